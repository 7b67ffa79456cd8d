"""The background: grown from the border inward, so that it never eats a figure's own colour."""

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.color import ciede2000, lab

STEP = 4.0  # CIEDE2000 from the background nearby
ALONE = 6.0  # the same for a cell with background on three sides: details there are far bolder
WIDE = 5.0  # 95% of a plain background lies this near to its own colour
LEVELS = 8.0  # in RGB, what a group of its own is away from the background
LEAST = 0.12  # of the cells, less is no background


def find_background(means: Floats, owner: Ints, side: int, slack: float = 1.0) -> tuple[Bools, bool]:
    """(N, 3) RGB, groups (N,) -> mask (side, side) grown from the border's main colour, and whether it is plain.

    A cell joins where it is near to the mean of the background around it: drift is followed, steps are not. Groups
    of many cells with a colour of their own stay out: stripes and checkers are not noise. `slack` is the grouping's:
    noise widens what joins.
    """
    frame = np.ones((side, side), bool)
    frame[1:-1, 1:-1] = False
    frame[-3:] = False  # shoulders reach the lower border
    share = np.bincount(owner[frame.ravel()], minlength=owner.max() + 1)
    main = int(np.argmax(share))
    core = (owner == main).reshape(side, side)
    mask = _reach(core & frame, core)
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
        edge = _grow(mask) & ~mask & ~barred
        if not edge.any():
            break
        near = _box(np.dstack([picture * mask[..., None], mask.astype(np.float32)]))[edge]
        local = near[:, :3] / near[:, 3:]
        away = ciede2000(lab(picture[edge]), lab(local))
        alone = _beside(mask)[edge] >= 3
        faint = np.sqrt(((picture[edge] - local) ** 2).sum(1)) < 2 * LEVELS * slack
        joins = (away < np.where(alone, ALONE * slack, STEP * np.sqrt(slack))) | (alone & faint)
        if not joins.any():
            break
        mask[np.nonzero(edge)[0][joins], np.nonzero(edge)[1][joins]] = True
    away = ciede2000(lab(picture[mask]), colour)
    return mask, bool(np.percentile(away, 95) < WIDE and (core & mask).sum() > 0.4 * mask.sum())


def _reach(seed: Bools, allowed: Bools) -> Bools:
    while True:
        wider = _grow(seed) & allowed
        if (wider == seed).all():
            return seed
        seed = wider


def _grow(mask: Bools) -> Bools:
    wide = mask.copy()
    wide[1:] |= mask[:-1]
    wide[:-1] |= mask[1:]
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    return wide


def _beside(mask: Bools) -> Ints:
    """Of each cell's four neighbours, how many are in the mask; past the border counts as in."""
    wide = np.pad(mask, 1, constant_values=True).astype(np.intp)
    return wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]


def _box(values: Floats) -> Floats:
    """Sum over 5x5 cells."""
    padded = np.pad(values, ((2, 2), (2, 2), (0, 0)))
    rows = np.stack([padded[k : k + len(values)] for k in range(5)]).sum(0)
    return np.stack([rows[:, k : k + len(values)] for k in range(5)]).sum(0)
