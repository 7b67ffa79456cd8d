"""Cells of a painting -> the pixel art that is asked for: palette, number of colors, background, eyes."""

from collections import Counter

import numpy as np
from PIL import Image

from punks.finish import Finish
from punks.palette import Palette
from punks.snap.art import Bytes, Cells, Floats, Ints, PixelArt, as_array
from punks.snap.color import ciede2000, lab, nearest
from punks.snap.portrait import read, repaint_eyes
from punks.snap.restore import restore
from punks.vocabulary import Color

BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 15 / 32
SWAY = 24.0  # levels between the darkest and the lightest threshold of the dither
MOST = 1024  # colors that a shared palette is chosen from; of more, those close to each other count as one


def snap(
    image: Image.Image,
    *,
    grid: int = 24,
    palette: object = None,
    colors: int | None = None,
    background: str = "keep",
    dither: bool = False,
) -> PixelArt:
    """Restores a square picture of grid x grid pixel art; see `restore` and Finish. Raises ImageError, RecipeError."""
    table = None if palette is None else Palette.parse(palette)
    finish = Finish(palette=table or "auto", colors=colors, background=background, dither=dither)
    return finish_cells(restore(image, grid=grid), finish, table)[0]


def finish_cells(cells: Cells, finish: Finish, palette: Palette | None) -> tuple[PixelArt, list[str]]:
    """The pixel art of a painting's cells, and warnings of what could not be done.

    `palette` is that of the finish, its `prompt` and `auto` looked up.
    """
    art = _art(cells, finish, palette)
    warnings = list(cells.warnings)
    if not cells.has_grid:
        side = len(cells.whole)
        warnings.append(f"grid: the painting has no clear {side}x{side} grid (confidence {cells.confidence:.2f})")
    if finish.background not in (None, "keep") and not art.background.any():
        warnings.append("background: no background was found; left as painted")
    if finish.eyes not in (None, "keep"):
        # eyes are located in the painting's own colors, and then take those of the palette
        own = art if palette is None else _art(cells, finish, None)
        changed = repaint_eyes(own, finish.eyes)
        if changed is not None:
            iris = (changed != own.cells).any(-1)
            painted = art.cells.copy()
            painted[iris, :3] = changed[iris, :3] if palette is None else _nearest(changed[iris, :3], palette)
            art = PixelArt(cells=painted, background=art.background, confidence=art.confidence, drift=art.drift)
        sure = changed is not None and palette is None
        if not sure and ((eyes := read(art).eyes) is None or eyes.name != finish.eyes):
            why = "could not locate both eyes" if changed is None else f"the palette has no {finish.eyes} for eyes"
            warnings.append(f"eyes: {why}; left as painted")
    return art, warnings


def shared_palette(counts: Counter[Color], colors: int) -> Palette:
    """The palette of many pictures, from how many cells have each color; at most `colors`, the most used first."""
    rows = np.array(sorted(counts), np.uint8)
    sizes = np.array([counts[(r, g, b)] for r, g, b in rows.tolist()], np.float64)
    owner, bits = np.arange(len(rows)), 0
    while owner.max() >= MOST:
        bits += 1
        owner = np.unique(rows >> bits, axis=0, return_inverse=True)[1].ravel()
    order = np.argsort(-sizes, kind="stable")  # the most used of the colors that count as one stands for them
    first = order[np.unique(owner[order], return_index=True)[1]]
    total = np.bincount(owner, weights=sizes)
    kept = _capped(rows[first], total, colors)
    used = np.bincount(kept, weights=total, minlength=len(first))
    best = np.argsort(-used, kind="stable")
    return Palette(tuple((r, g, b) for r, g, b in rows[first][best[used[best] > 0]].tolist()))


def _art(cells: Cells, finish: Finish, palette: Palette | None) -> PixelArt:
    """The pixel art but for the eyes."""
    side = len(cells.whole)
    groups = cells.solid if finish.background == "solid" else cells.painted
    shades, owner = groups.colors, groups.index.ravel()
    if palette is not None:
        owner, shades = _onto(as_array(palette), owner, shades, side, dither=finish.dither)
    if finish.colors is not None:
        used, owner = np.unique(owner, return_inverse=True)
        shades = shades[used]
        owner = _capped(shades, np.bincount(owner), finish.colors)[owner]
    art = shades[owner].reshape(side, side, 3)
    mask = cells.background if finish.background in (None, "keep") else cells.whole
    fill = finish.background_rgb
    if fill is not None:
        art[mask] = fill
    if finish.background == "transparent" or cells.clear.any():
        hidden = cells.clear | mask if finish.background == "transparent" else cells.clear
        if fill is not None:
            hidden = cells.clear & ~mask
        art = np.dstack([art, np.where(hidden, 0, 255).astype(np.uint8)])
        art[hidden] = 0
    return PixelArt(cells=art, background=mask, confidence=cells.confidence, drift=cells.drift)


def _nearest(colors: Bytes, palette: Palette) -> Bytes:
    table = as_array(palette)
    return table[nearest(colors, table)]


def _capped(shades: Bytes, count: Ints | Floats, colors: int) -> Ints:
    """Which color (K, 3) stands for each once `colors` are left: the pair that changes the picture least merges first.

    The more used of a pair, by `count` (K,), stays. -> (K,)
    """
    stands, count = np.arange(len(shades)), count.astype(np.float32)
    points = lab(shades)
    cost = ciede2000(points[:, None], points[None]) ** 2 * np.minimum(count[:, None], count)
    np.fill_diagonal(cost, np.inf)
    for _ in range(len(shades) - colors):
        one, two = divmod(int(cost.argmin()), len(shades))
        keep, drop = (one, two) if count[one] >= count[two] else (two, one)
        stands[stands == drop] = keep
        count[keep] += count[drop]
        cost[drop], cost[:, drop] = np.inf, np.inf
        row = ciede2000(points[keep], points) ** 2 * np.minimum(count[keep], count)
        row[np.isinf(cost[keep])] = np.inf
        cost[keep], cost[:, keep] = row, row
    return stands


def _onto(table: Bytes, owner: Ints, shades: Bytes, grid: int, *, dither: bool) -> tuple[Ints, Bytes]:
    """Each color to the nearest of the palette; dithered, each cell by a threshold of its own."""
    if not dither:
        return nearest(shades, table)[owner], table
    sway = np.tile(BAYER, (grid // 4 + 1,) * 2)[:grid, :grid]
    own = shades[owner].astype(np.float32)
    known = (own[:, None] == table).all(-1).any(1)
    moved = np.where(known[:, None], own, np.clip(own + SWAY * sway.reshape(-1, 1), 0, 255))
    return nearest(moved, table), table
