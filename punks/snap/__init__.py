"""Painting in, exact pixel art out: grid, colors, background, finish. Numpy and Pillow, no torch."""

from punks.snap.art import Cells, PixelArt
from punks.snap.finish import finish_cells, shared_palette, snap
from punks.snap.restore import restore

__all__ = ["Cells", "PixelArt", "finish_cells", "restore", "shared_palette", "snap"]
