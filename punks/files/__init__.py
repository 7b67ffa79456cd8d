"""Files in and out: pictures, palettes, weights."""
