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
from punks.snap.background import find_background, shaded
from punks.snap.cells import CORE, flatness, sample, settle
from punks.snap.evidence import Evidence, gather
from punks.snap.grid import find_grid
from punks.snap.grouping import alike, drift_field, group, values
from punks.snap.holes import whole_background
from punks.snap.level import level
from punks.snap.model import look, weights
from punks.snap.regions import reach
from punks.snap.rules import grouped

EXACT = 0.97  # of the cells without any noise: the picture is pixel art already, and its colors are kept
_NUMPY: Any = ThreadpoolController()
Function = TypeVar("Function", bound=Callable[..., object])


def _in_one_thread(function: Function) -> Function:
    """Products of so few numbers are done before other threads have woken, and those then spin on every core."""
    return _NUMPY.wrap(limits=1, user_api="blas")(function)


@_in_one_thread
def restore(image: Image.Image, *, grid: int = 24, rules: bool = False) -> Cells:
    """The cells of a square picture of grid x grid pixel art; any mode, `grid` to 4096 px a side.

    Which cells share a color says the trained model, or the `rules` of version 0.1.

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
    if rules:
        leveled = means if exact else level(cells, blocks).reshape(-1, 3)
        means, owner, solid, mask, whole = grouped(leveled, blocks, clear, exact=exact)
    else:
        means, owner, solid, mask, whole = _learned(cells, means, spread, blocks, clear, exact=exact)
    painted = _colored(means, owner, grid, exact=exact)
    return Cells(
        painted=painted,
        solid=painted if solid is owner else _colored(means, solid, grid, exact=exact),
        background=mask,
        whole=whole,
        clear=clear,
        # with one pixel a cell there is nothing to measure, and no other grid is possible
        confidence=1.0 if picture.width == grid else _confidence(found.share, flatness(blocks)),
        drift=found.drift,
        warnings=said,
    )


def _learned(
    cells: Floats, means: Floats, spread: Floats, blocks: Floats, clear: Bools, *, exact: bool
) -> tuple[Floats, Ints, Ints, Bools, Bools]:
    """As rules.grouped, by the trained model."""
    side = len(blocks)
    if exact:
        owner = np.unique(np.rint(means), axis=0, return_inverse=True)[1].ravel()
        evidence = gather(means, np.zeros(len(means), np.float32), spread, blocks, owner)
    else:
        means, owner, evidence = _groups(cells, spread, blocks)
    embedding, logits, context = look(evidence.cells, evidence.picture, weights())
    mask, plain = find_background(logits, means, blocks)
    if not exact:
        owner = group(means, owner, mask.ravel() if plain else None, spread, embedding, context)
    if plain:  # now that its color is known, the background is all of that color that hangs together
        main = _main(mask, owner)
        if not exact:
            owner = _joined(shaded(means, owner, main, mask), owner, main)
            main = _main(mask, owner)
        same = (owner == main).reshape(side, side)
        mask = reach(mask & same, same)
    if clear.any():  # what is transparent is the background
        mask, whole, solid = clear, clear, owner
    else:
        whole = whole_background(mask, means, owner, side)
        solid = _joined(whole.ravel(), owner, _main(whole, owner)) if whole.any() else owner
    return means, owner, solid, mask, whole


def _main(mask: Bools, owner: Ints) -> int:
    """The group (N,) that most cells of the mask (g, g) have."""
    return int(np.bincount(owner[mask.ravel()]).argmax())


def _joined(cells: Bools, owner: Ints, group: int) -> Ints:
    """Groups (N,) with these cells (N,) in one of them, numbered anew."""
    return np.unique(np.where(cells, group, owner), return_inverse=True)[1].ravel()


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


def _groups(cells: Floats, spread: Floats, blocks: Floats) -> tuple[Floats, Ints, Evidence]:
    """Cells (N, 3) without the drift that groups show, their tight groups (N,), and the evidence to merge those."""
    means = level(cells, blocks).reshape(-1, 3)
    owner = alike(means)
    means = means - drift_field(means, owner, len(cells))
    moved = np.sqrt(((means - cells.reshape(-1, 3)) ** 2).sum(1))
    return means, owner, gather(means, moved, spread, blocks, owner)
