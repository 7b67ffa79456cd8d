"""A painting of pixel art -> the pixel art it depicts: grid, then groups of cells, background, palette."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from threadpoolctl import ThreadpoolController  # pyright: ignore[reportMissingTypeStubs]

from punks.errors import ImageError, RecipeError
from punks.files.palettes import Color, parse_color, parse_palette
from punks.files.pictures import upright
from punks.snap.art import SIZES, Bools, Bytes, Floats, Ints, PixelArt, palette_of
from punks.snap.background import find_background
from punks.snap.cells import CORE, flatness, sample, settle
from punks.snap.color import ciede2000, lab, nearest
from punks.snap.grid import find_grid
from punks.snap.grouping import alike, drift_field, faint, group, noise_slack, values
from punks.snap.holes import whole_background
from punks.snap.level import level
from punks.snap.regions import grow

BACKGROUNDS = ("keep", "solid", "transparent")
SURE = 0.55  # of confidence: less is no grid
EXACT = 0.97  # of the cells without any noise: the picture is pixel art already, and its colours are kept
MOST = 0.8  # of a group in the background: the rest of it is a hole
BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 15 / 32
SWAY = 24.0  # levels between the darkest and the lightest threshold of the dither
_NUMPY: Any = ThreadpoolController()
Function = TypeVar("Function", bound=Callable[..., object])


def _in_one_thread(function: Function) -> Function:
    """Products of so few numbers are done before other threads have woken, and those then spin on every core."""
    return _NUMPY.wrap(limits=1, user_api="blas")(function)


@_in_one_thread
def snap(
    image: Image.Image,
    *,
    grid: int = 24,
    palette: Sequence[str | Sequence[int]] | Bytes | None = None,
    colors: int | None = None,
    background: str = "keep",
    dither: bool = False,
) -> PixelArt:
    """Restore a square painting of grid x grid pixel art; any mode, `grid` to 4096 px a side.

    palette: colours to snap to, or None to find them. colors: at most so many. background: keep, solid, transparent,
    or a colour for it. dither: ordered (Bayer 4x4), only with a palette. Raises ImageError, RecipeError.
    """
    table = None if palette is None else parse_palette(palette)
    fill = None if background in BACKGROUNDS else parse_color(background, "background")
    _check(image, grid, colors)
    picture = upright(image)
    pixels, found = np.asarray(picture), find_grid(picture, grid)
    blocks = sample(pixels, found)
    cells, spread = settle(pixels, found, blocks[..., :3])
    means = cells.reshape(-1, 3)
    clear = np.zeros(grid * grid, bool)
    if pixels.shape[2] == 4:
        clear = np.median(blocks[..., CORE, CORE, 3], axis=(2, 3)).ravel() < 128
        means[clear] = 0
    exact = bool((spread == 0).mean() >= EXACT)
    slack = 1.0
    if exact:
        _, owner = np.unique(np.rint(means), axis=0, return_inverse=True)
        owner = owner.ravel()
    else:
        means, owner, slack = _groups(level(cells, blocks).reshape(-1, 3), grid)
    mask, is_plain = find_background(means, owner, blocks, max(1.0, slack))
    if clear.any():  # what is transparent is the background
        mask = clear.reshape(grid, grid)
    whole = mask if background == "keep" or clear.any() else whole_background(mask, means, owner, grid)
    inside = (whole if background == "solid" else mask).ravel() & ~clear
    if inside.any() and ((is_plain and not exact) or background == "solid"):
        main = int(np.bincount(owner[inside]).argmax())
        if is_plain and not exact:
            beside = grow(mask).ravel()
            unclear = faint(means, owner, main, inside, beside, slack)
            inside |= unclear | _mostly(inside, owner)
            if background != "keep":
                whole = whole | (unclear & beside).reshape(grid, grid)
        owner = np.unique(np.where(inside, main, owner), return_inverse=True)[1].ravel()
    shades = np.rint(values(means, owner)).astype(np.uint8)
    if exact:
        shades[:] = _modes(means, owner)
    if table is not None:
        owner, shades = _onto(table, owner, shades, grid, dither=dither)
    if colors is not None:
        owner, shades = _cap(owner, shades, colors)
    art = shades[owner].reshape(grid, grid, 3)
    # of one pixel a cell nothing is between cells or inside them to measure, and no other grid is possible
    sure = 1.0 if picture.width == grid else _confidence(found.share, flatness(blocks))
    return _finish(art, whole, clear.reshape(grid, grid), fill, background, sure, found.drift)


def _confidence(share: float, flat: float) -> float:
    """Edges on the grid, of which chance puts 42% there, times flat cells: each alone passes where it should not."""
    return float(np.clip((share - 0.42) / 0.5, 0, 1) * np.clip((flat - 0.7) / 0.28, 0, 1))


def lock_palette(arts: Sequence[PixelArt], colors: int | None = None) -> Bytes:
    """One palette for a whole batch: snap each painting again with it. -> uint8 (K, 3), most used first."""
    if not arts:
        raise RecipeError("arts", arts, "one or more")
    flat = np.concatenate([art.cells[..., :3][_opaque(art)] for art in arts])
    rows, owner = np.unique(flat, axis=0, return_inverse=True)
    owner = owner.ravel()
    if colors is not None:
        owner, rows = _cap(owner, rows, colors)
    return palette_of(rows[owner])


def _opaque(art: PixelArt) -> Bools:
    return art.cells[..., 3] > 0 if art.cells.shape[2] == 4 else np.ones(art.cells.shape[:2], bool)


def _check(image: Image.Image, grid: int, colors: int | None) -> None:
    if not 8 <= grid <= 64:
        raise RecipeError("grid", grid, "8 to 64 cells a side")
    if colors is not None and colors < 1:
        raise RecipeError("colors", colors, "1 or more")
    if image.width != image.height:
        raise ImageError(f"{image.width}x{image.height} px is not square; crop it first")
    if not grid <= image.width <= SIZES[1]:
        raise ImageError(f"{image.width} px a side: a picture of {grid} cells has {grid} to {SIZES[1]} px")


def _mostly(inside: Bools, owner: Ints) -> Bools:
    """All cells (N,) of the groups that hold MOST of theirs inside: a hole has the colour that drift gave to others."""
    return (np.bincount(owner, inside) >= MOST * np.bincount(owner))[owner]


def _groups(means: Floats, grid: int) -> tuple[Floats, Ints, float]:
    """Cells without the drift that groups show, the group of each, and the slack that their noise asked for."""
    tight = alike(means)
    means = means - drift_field(means, tight, grid)
    slack = noise_slack(means, tight)
    return means, group(means, slack), slack


def _modes(means: Floats, owner: Ints) -> Bytes:
    shades = np.zeros((owner.max() + 1, 3), np.uint8)
    shades[owner] = np.rint(means)
    return shades


def _onto(table: Bytes, owner: Ints, shades: Bytes, grid: int, *, dither: bool) -> tuple[Ints, Bytes]:
    """Each group to the nearest colour of the palette; dithered, each cell by its own threshold."""
    if not dither:
        return nearest(shades, table)[owner], table
    sway = np.tile(BAYER, (grid // 4 + 1,) * 2)[:grid, :grid]
    own = shades[owner].astype(np.float32)
    known = (own[:, None] == table).all(-1).any(1)
    moved = np.where(known[:, None], own, np.clip(own + SWAY * sway.reshape(-1, 1), 0, 255))
    return nearest(moved, table), table


def _cap(owner: Ints, shades: Bytes, colors: int) -> tuple[Ints, Bytes]:
    """Merge the pair that changes the picture least until `colors` are left; the more used of a pair stays."""
    used, owner = np.unique(owner, return_inverse=True)
    shades, owner = shades[used], owner.ravel()
    count = np.bincount(owner).astype(np.float32)
    points = lab(shades)
    cost = ciede2000(points[:, None], points[None]) ** 2 * np.minimum(count[:, None], count)
    np.fill_diagonal(cost, np.inf)
    for _ in range(len(shades) - colors):
        one, two = divmod(int(cost.argmin()), len(shades))
        keep, drop = (one, two) if count[one] >= count[two] else (two, one)
        owner[owner == drop] = keep
        count[keep] += count[drop]
        cost[drop], cost[:, drop] = np.inf, np.inf
        row = ciede2000(points[keep], points) ** 2 * np.minimum(count[keep], count)
        row[np.isinf(cost[keep])] = np.inf
        cost[keep], cost[:, keep] = row, row
    return owner, shades


def _finish(
    art: Bytes, mask: Bools, clear: Bools, fill: Color | None, background: str, sure: float, drift: float
) -> PixelArt:
    if fill is not None:
        art[mask] = fill
    if background == "transparent" or clear.any():
        hidden = clear | mask if background == "transparent" else clear
        if fill is not None:
            hidden = clear & ~mask
        art = np.dstack([art, np.where(hidden, 0, 255).astype(np.uint8)])
        art[hidden] = 0
    return PixelArt(
        cells=art,
        palette=palette_of(art),
        confidence=sure,
        drift=drift,
        has_grid=sure >= SURE,
        background=mask,
    )
