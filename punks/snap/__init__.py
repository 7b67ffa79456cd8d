"""Painting in, exact pixel art out: grid, palette, background. Pure numpy and Pillow, no torch."""

from punks.snap.art import PixelArt
from punks.snap.restore import lock_palette, snap

__all__ = ["PixelArt", "lock_palette", "snap"]
