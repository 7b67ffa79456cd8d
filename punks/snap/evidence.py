"""What tells whether cells share a color, as numbers: of each cell, and of the picture.

A trained model weighs them (`model.py`). Logarithms where ratios count: noise is compared with steps, sizes with sizes.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.cells import CORE
from punks.snap.color import even, lab

CELL, PICTURE = 39, 33  # numbers of a cell, and of the whole picture
_STEPS = (5, 10, 20, 30, 40, 50, 60, 75)  # percentiles
# To the right and down, and the blocks of both cells that face their border, of which the outermost are blurred.
# The layer after each is the same seen from the other cell.
_SIDES = ((0, (0, 1), (CORE, -2), (CORE, 1)), (2, (1, 0), (-2, CORE), (1, CORE)))
_CORNERS = ((0, 3, (1, 1)), (1, 2, (1, -1)))


@dataclass(frozen=True)
class Evidence:
    """Of N cells: maps (N, CELL), and the picture (PICTURE,)."""

    cells: Floats
    picture: Floats


def gather(means: Floats, moved: Floats, spread: Floats, blocks: Floats, owner: Ints) -> Evidence:
    """Levelled cells (N, 3) RGB, levels (N,) that levelling moved them by, spread (g, g), blocks, tight groups (N,)."""
    side, means = len(blocks), means.astype(np.float32)
    points, cells = lab(means), means.reshape(side, side, 3)
    main, frame = _border_group(owner, side)
    ground = np.sort(means[main & frame], axis=0)
    ground = ground[len(ground) // 2]
    tones = even(points).reshape(side, side, 3)
    away = np.sqrt(((tones.reshape(-1, 3) - even(lab(ground))) ** 2).sum(1))
    count = np.log(_crowd(means))
    steps, tints, corners, seen = around = np.zeros((4, 4, side, side), np.float32)
    for k, (below, along), here, there in _SIDES:
        own, other = overlap(below, along)
        apart = cells[own] - cells[other]
        size = (apart**2).sum(-1)
        steps[k][own] = steps[k + 1][other] = np.sqrt(size)
        tints[k][own] = tints[k + 1][other] = np.sqrt(((tones[own] - tones[other]) ** 2).sum(-1))
        face = (blocks[(*own, *here)][..., :3] - blocks[(*other, *there)][..., :3]).sum(2) / 4
        seen[k][own] = seen[k + 1][other] = np.clip((face * apart).sum(-1) / (size + 1), -0.5, 1.5)
    for k, opposite, (below, along) in _CORNERS:
        own, other = overlap(below, along)
        corners[k][own] = corners[opposite][other] = np.sqrt(((cells[own] - cells[other]) ** 2).sum(-1))
    calm = _least(steps)
    beside, under = np.log(steps[0][:, :-1].ravel() + 0.3), np.log(steps[2][:-1].ravel() + 0.3)
    around[:3] = np.log(around[:3] + np.array([0.5, 0.3, 0.5], np.float32)[:, None, None, None])
    off = np.sqrt(((means - ground) ** 2).sum(1))
    loose = np.log(spread.ravel() + 0.1)
    shift = np.log(moved + 0.1)
    maps = _places(side).copy()
    maps[:, :3] = points * np.array([0.02, 0.025, 0.025], np.float32) - np.array([1, 0, 0], np.float32)
    maps[:, 3:6] = means / 128 - 1
    maps[:, 6], maps[:, 7] = loose, shift
    maps[:, 8:11] = count / 3 - 1
    maps[:, 11:27] = around.reshape(16, -1).T
    maps[:, 27], maps[:, 28] = np.log(off + 0.5), np.log(away + 0.3)
    maps[:, 29], maps[:, 30] = main, frame
    every = np.sort(np.concatenate([beside, under]))
    inner = ~main.reshape(side, side)
    bold = np.concatenate([beside[inner[:, :-1].ravel()], under[inner[:-1].ravel()], every[-4:]])
    tint = np.sort(np.concatenate([tints[0][:, :-1].ravel(), tints[2][:-1].ravel()]))
    picture = np.concatenate(
        [
            _ranks(every, _STEPS),
            _ranks(np.sort(bold), (5, 15, 30, 50)),
            _ranks(np.sort(np.concatenate([calm[inner], every[-4:]])), (20, 40, 60, 80, 92)),
            _ranks(tint, (10, 30, 50)),
            count.mean(0),
            _ranks(np.sort(loose), (5, 20, 35, 50, 90)),
            _ranks(np.sort(shift), (50, 90)),
            [np.log(owner.max() + 1.0), main.mean(), np.log(np.count_nonzero(np.bincount(owner) > 3) + 1.0)],
        ]
    )
    return Evidence(maps, picture.astype(np.float32))


@lru_cache
def _places(side: int) -> Floats:
    """Maps (N, CELL) with what only the place of a cell decides: where it is, which border it is at."""
    row, column = (np.indices((side, side)).reshape(2, -1) + 0.5) / side - 0.5
    edge = 0.5 - 1 / side
    maps = np.zeros((side * side, CELL), np.float32)
    maps[:, 31:34] = np.stack([2 * row, 2 * column, np.abs(2 * column)], -1)
    maps[:, 34:38] = np.stack([row < -edge, row > edge, column < -edge, column > edge], -1)
    maps[:, 38] = 1
    return maps


def _least(steps: Floats) -> Floats:
    """Steps to the neighbors right, left, below, above (4, g, g) -> log of the least of each cell (g, g)."""
    right, left, below, above = steps
    across = np.hstack([right[:, :1], np.minimum(right, left)[:, 1:-1], left[:, -1:]])
    down = np.vstack([below[:1], np.minimum(below, above)[1:-1], above[-1:]])
    return np.log(np.minimum(across, down) + 0.3)


def _crowd(means: Floats) -> Floats:
    """How many cells lie within 1.5, 3 and 6 levels of each. (N, 3) RGB -> (N, 3)."""
    middle = means - 128
    half, ones = -0.5 * (middle**2).sum(1, keepdims=True), np.ones((len(means), 1), np.float32)
    near = np.hstack([middle, half, ones]) @ np.hstack([middle, ones, half]).T
    bits = (np.packbits(near >= -0.5 * radius**2 - 0.02, axis=1) for radius in (1.5, 3, 6))
    found = np.stack([np.bitwise_count(rows).sum(1, dtype=np.float32) for rows in bits], -1)
    return np.maximum(found, 1)


def overlap(down: int, along: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Cells that have a neighbour (down, along) of them, and those neighbours."""
    rows = (slice(0, -down or None), slice(down, None)) if down >= 0 else (slice(-down, None), slice(0, down))
    across = (slice(0, -along or None), slice(along, None)) if along >= 0 else (slice(-along, None), slice(0, along))
    return (rows[0], across[0]), (rows[1], across[1])


def _ranks(ordered: Floats, per_cent: tuple[int, ...]) -> Floats:
    return ordered[(np.array(per_cent) * (len(ordered) - 1)) // 100]


def _border_group(owner: Ints, side: int) -> tuple[Bools, Bools]:
    """Cells (N,) of the group that most of the border's cells have, and the border, without its lower end."""
    frame = np.ones((side, side), bool)
    frame[1:-1, 1:-1] = False
    frame[-3:] = False  # shoulders reach the lower border
    frame = frame.ravel()
    return owner == np.bincount(owner[frame]).argmax(), frame
