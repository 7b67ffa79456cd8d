"""A painting of pixel art -> its cells: grid, then groups of cells that share a color, then the background."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from threadpoolctl import ThreadpoolController  # pyright: ignore[reportMissingTypeStubs]

from punks.errors import ImageError, RecipeError
from punks.files.pictures import OPAQUE, check_alpha, convert
from punks.finish import SIZES
from punks.snap.art import Bools, Cells, Floats, Groups, Ints
from punks.snap.background import find_background
from punks.snap.cells import CORE, flatness, sample, settle
from punks.snap.grid import find_grid
from punks.snap.grouping import alike, drift_field, faint, group, noise_slack, values
from punks.snap.holes import whole_background
from punks.snap.level import level
from punks.snap.regions import grow

EXACT = 0.97  # of the cells without any noise: the picture is pixel art already, and its colors are kept
MOST = 0.8  # of a group in the background: the rest of it is a hole
_NUMPY: Any = ThreadpoolController()
Function = TypeVar("Function", bound=Callable[..., object])


def _in_one_thread(function: Function) -> Function:
    """Products of so few numbers are done before other threads have woken, and those then spin on every core."""
    return _NUMPY.wrap(limits=1, user_api="blas")(function)


@_in_one_thread
def restore(image: Image.Image, *, grid: int = 24) -> Cells:
    """The cells of a square picture of grid x grid pixel art; any mode, `grid` to 4096 px a side.

    Raises ImageError on other sizes and on what cannot be read, RecipeError on a grid that is not 8 to 64.
    """
    if not 8 <= grid <= 64:
        raise RecipeError("grid", grid, "use a whole number from 8 to 64")
    if image.width != image.height:
        raise ImageError(f"{image.width}x{image.height} px is not square; crop it first")
    if not grid <= image.width <= SIZES[1]:
        raise ImageError(f"{image.width} px a side: a picture of {grid} cells has {grid} to {SIZES[1]} px")
    read = convert(image)
    picture, said = read.image, read.warnings
    pixels, found = np.asarray(picture), find_grid(picture, grid)
    blocks = sample(pixels, found)
    cells, spread = settle(pixels, found, blocks[..., :3])
    means = cells.reshape(-1, 3)
    clear = np.zeros((grid, grid), bool)
    if pixels.shape[2] == 4:
        alpha = np.median(blocks[..., CORE, CORE, 3], axis=(2, 3))
        said, clear = (*said, *check_alpha(alpha)), alpha < OPAQUE
        means[clear.ravel()] = 0
    exact = bool((spread == 0).mean() >= EXACT)
    slack = 1.0
    if exact:
        owner = np.unique(np.rint(means), axis=0, return_inverse=True)[1].ravel()
    else:
        means, owner, slack = _groups(level(cells, blocks).reshape(-1, 3), grid)
    mask, plain = find_background(means, owner, blocks, max(1.0, slack))
    plain &= not exact
    if clear.any():  # what is transparent is the background
        mask, whole, merged, solid = clear, clear, owner, owner
    else:
        whole = whole_background(mask, means, owner, grid)
        merged, faded = _one_color(mask, means, owner, slack) if plain else (owner, mask & False)
        solid = merged if plain and (whole == mask).all() else _one_color(whole, means, owner, slack if plain else 0)[0]
        whole = whole | faded & grow(mask)
    painted = _colored(means, merged, grid, exact=exact)
    return Cells(
        painted=painted,
        solid=painted if solid is merged else _colored(means, solid, grid, exact=exact),
        background=mask,
        whole=whole,
        clear=clear,
        # with one pixel a cell there is nothing to measure, and no other grid is possible
        confidence=1.0 if picture.width == grid else _confidence(found.share, flatness(blocks)),
        drift=found.drift,
        warnings=said,
    )


def _one_color(mask: Bools, means: Floats, owner: Ints, slack: float) -> tuple[Ints, Bools]:
    """Groups (N,) with all of a background (g, g) in its most common one, and the faint cells that join it (g, g).

    A plain background, which has `slack`, takes in cells outside that hardly differ from it.
    """
    inside, faded = mask.ravel(), np.zeros_like(mask.ravel())
    if not inside.any():
        return owner, faded.reshape(mask.shape)
    main = int(np.bincount(owner[inside]).argmax())
    if slack:
        faded = faint(means, owner, main, inside, grow(mask).ravel(), slack)
        inside = inside | faded
        inside |= _mostly(inside, owner)
    merged = np.unique(np.where(inside, main, owner), return_inverse=True)[1].ravel()
    return merged, faded.reshape(mask.shape)


def _colored(means: Floats, owner: Ints, grid: int, *, exact: bool) -> Groups:
    """Groups (N,) with the color of each; in exact pixel art it is the one that most of its cells have."""
    if exact:
        rows, index = np.unique(np.rint(means).astype(np.uint8), axis=0, return_inverse=True)
        counts = np.zeros((owner.max() + 1, len(rows)), np.intp)
        np.add.at(counts, (owner, index.ravel()), 1)
        colors = rows[counts.argmax(1)]
    else:
        colors = np.rint(values(means, owner)).astype(np.uint8)
    return Groups(index=owner.reshape(grid, grid), colors=colors)


def _confidence(share: float, flat: float) -> float:
    """Edges on the grid, of which chance puts 42% there, times flat cells: each alone passes where it should not."""
    return float(np.clip((share - 0.42) / 0.5, 0, 1) * np.clip((flat - 0.7) / 0.28, 0, 1))


def _mostly(inside: Bools, owner: Ints) -> Bools:
    """All cells (N,) of the groups that hold MOST of theirs inside: a hole has the colour that drift gave to others."""
    return (np.bincount(owner, inside) >= MOST * np.bincount(owner))[owner]


def _groups(means: Floats, grid: int) -> tuple[Floats, Ints, float]:
    """Cells without the drift that groups show, the group of each, and the slack that their noise asked for."""
    tight = alike(means)
    means = means - drift_field(means, tight, grid)
    slack = noise_slack(means, tight)
    return means, group(means, slack), slack
