"""What is derived from a batch folder: gallery, contact sheets, comparison, metadata."""
