"""Collections: weighted traits drawn with exact quotas under rules."""
