"""Trains the model that says which cells of a painting share a color."""
