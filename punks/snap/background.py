"""The background: grown from the border inward, so that it never eats a figure's own colour."""

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.cells import CORE
from punks.snap.color import ciede2000, lab
from punks.snap.regions import grow, reach

STEP = 4.0  # CIEDE2000 from the background nearby
ALONE = 6.0  # the same for a cell with background on three sides: details there are far bolder
WIDE = 5.0  # 95% of a plain background lies this near to its own colour
LEVELS = 8.0  # in RGB, what a group of its own is away from the background
SEAM = 0.65  # of the step between two colours is at their border: 93% and more, 65% under heavy blur, of drift a third
CLOUD = 15.0  # CIEDE2000 that drift may be off the background nearby
# to a cell's neighbour, and the blocks of both that face their border, of which the outermost are blurred
FACING = (
    ((-1, 0), (1, CORE), (-2, CORE)),
    ((1, 0), (-2, CORE), (1, CORE)),
    ((0, -1), (CORE, 1), (CORE, -2)),
    ((0, 1), (CORE, -2), (CORE, 1)),
)
LEAST = 0.12  # of the cells, less is no background


def find_background(means: Floats, owner: Ints, blocks: Floats, slack: float = 1.0) -> tuple[Bools, bool]:
    """(N, 3) RGB, groups (N,), blocks -> mask (side, side) grown from the border's main colour, whether it is plain.

    A cell joins where it is near to the mean of the background around it, or where no edge parts it from that: drift
    is followed, steps are not. Groups of many cells with a colour of their own stay out: stripes and checkers are not
    noise. `slack` is the grouping's: noise widens what joins.
    """
    side = len(blocks)
    frame = np.ones((side, side), bool)
    frame[1:-1, 1:-1] = False
    frame[-3:] = False  # shoulders reach the lower border
    share = np.bincount(owner[frame.ravel()], minlength=owner.max() + 1)
    main = int(np.argmax(share))
    core = (owner == main).reshape(side, side)
    mask = reach(core & frame, core)
    if mask.mean() < LEAST:
        return np.zeros((side, side), bool), False
    picture = means.reshape(side, side, 3)
    size = np.bincount(owner)
    middle = np.median(means[mask.ravel()], axis=0)
    colour = lab(middle)
    centres = np.stack([np.bincount(owner, means[:, c]) for c in range(3)], -1) / np.maximum(size, 1)[:, None]
    bold = (ciede2000(lab(centres), colour) > 3.0) & (np.sqrt(((centres - middle) ** 2).sum(1)) > LEVELS)
    own = (size >= 6) & bold
    barred = own[owner].reshape(side, side)
    for _ in range(2 * side):
        edge = grow(mask) & ~mask
        if not edge.any():
            break
        near = _box(np.dstack([picture * mask[..., None], mask.astype(np.float32)]))[edge]
        local = near[:, :3] / near[:, 3:]
        away = ciede2000(lab(picture[edge]), lab(local))
        alone = _beside(mask)[edge] >= 3
        faint = np.sqrt(((picture[edge] - local) ** 2).sum(1)) < 2 * LEVELS * slack
        joins = (away < np.where(alone, ALONE * slack, STEP * np.sqrt(slack))) | (alone & faint)
        row, column = np.nonzero(edge)
        joins &= ~barred[row, column]
        doubt = ~joins & (away < CLOUD)
        joins[doubt] = _seam(mask, row[doubt], column[doubt], blocks) < SEAM
        if not joins.any():
            break
        mask[row[joins], column[joins]] = True
    away = ciede2000(lab(picture[mask]), colour)
    return mask, bool(np.percentile(away, 95) < WIDE * slack and (core & mask).sum() > 0.4 * mask.sum())


def _seam(mask: Bools, row: Ints, column: Ints, blocks: Floats) -> Floats:
    """For each of some cells, which share of the step from its neighbours in the mask is seen at their border."""
    held = np.pad(mask, 1)
    near, whole = np.zeros((2, len(row)), np.float32)
    for (down, along), facing, opposite in FACING:
        at = np.flatnonzero(held[row + down + 1, column + along + 1])
        if not len(at):
            continue
        own, other = blocks[row[at], column[at], ..., :3], blocks[row[at] + down, column[at] + along, ..., :3]
        step = np.median(own[:, CORE, CORE], axis=(1, 2)) - np.median(other[:, CORE, CORE], axis=(1, 2))
        seen = np.median(own[:, *facing] - other[:, *opposite], axis=1)
        near[at] += (seen * step).sum(1)
        whole[at] += (step**2).sum(1)
    return near / np.maximum(whole, 1e-6)


def _beside(mask: Bools) -> Ints:
    """Of each cell's four neighbours, how many are in the mask; past the border counts as in."""
    wide = np.pad(mask, 1, constant_values=True).astype(np.intp)
    return wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]


def _box(values: Floats) -> Floats:
    """Sum over 5x5 cells."""
    padded = np.pad(values, ((2, 2), (2, 2), (0, 0)))
    rows = np.stack([padded[k : k + len(values)] for k in range(5)]).sum(0)
    return np.stack([rows[:, k : k + len(values)] for k in range(5)]).sum(0)
