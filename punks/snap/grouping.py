"""Which cells share a color: agglomeration, each merger decided by a trained model."""

from functools import lru_cache

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.color import even, lab
from punks.snap.groups import candidates, mergers, start
from punks.snap.model import SEEN, weigh, weights

FAR = 8.0  # CIEDE2000 past which nothing is a plain background's color
SAME = 0.7  # colors nearer than this are never told apart
SIZE, MARGIN = 0.5, 2.0  # how much a color's size speaks for it, and what a cell must gain to change
OTHER = 24.0  # levels from a color at which a cell is not of it
BESIDE, ASLANT = 0.45, 0.3  # what a neighbor of a color speaks for it
BLACK = 8  # a color whose brightest channel is no more is pure black


def group(means: Floats, owner: Ints, ground: Bools | None, spread: Floats, embedding: Floats, context: Floats) -> Ints:
    """Tight groups (N,) of cells (N, 3) merged as the model says; a plain background (N,) is one from the start.

    spread (g, g); embedding (N, E) and context (C,) as `model.look` gives them.
    """
    groups = start(means, owner, ground, spread, embedding)
    while len(groups.count) > 1:
        one, two, told = candidates(groups)
        if not len(one):
            break
        seen = (groups.sums[:, -SEEN:] / groups.count[:, None]).astype(np.float32)
        logit = weigh(told, seen[one], seen[two], context, weights())
        if ground is not None:  # clouds in it are found by their edges; what has edges is a detail
            home = groups.owner[ground.argmax()]
            logit[((one == home) | (two == home)) & (told[:, 1] > FAR / 5)] = -1
        first, second = mergers(logit, one, two, len(groups.count))
        if not len(first):
            break
        groups = groups.merged(first, second)
    return reassigned(means, groups.owner, ground, len(spread))


def reassigned(means: Floats, owner: Ints, ground: Bools | None, side: int) -> Ints:
    """Cells (N,) that noise put into the wrong one of two near colors go to the likelier one, by their neighbours too.

    Of a mixture of equal Gaussians with a Potts prior, two sweeps. Cells of a plain background stay.
    """
    free = np.ones(len(owner), bool) if ground is None else ~ground
    cells = np.arange(len(owner))
    beside, weight = _neighbors(side)
    for _ in range(2):
        count = np.bincount(owner)
        middle = values(means, owner)
        away = (means**2).sum(1)[:, None] + (middle**2).sum(1) - 2 * means @ middle.T
        noise = max(float(np.sort(away[cells, owner])[len(owner) // 2]) / 2.4, 0.3)  # of one channel, squared
        cost = away / (2 * noise) - SIZE * np.log(count)
        around = cells * len(count) + owner[beside]
        cost -= np.bincount(around.ravel(), weight, cost.size).reshape(cost.shape)
        best = cost.argmin(1)
        gain = cost[cells, owner] - cost[cells, best]
        moves = free & (count[owner] > 1) & (gain > MARGIN) & (away[cells, best] < OTHER**2)
        if not moves.any():
            break
        owner = np.unique(np.where(moves, best, owner), return_inverse=True)[1].ravel()
    return owner


@lru_cache
def _neighbors(side: int) -> tuple[Ints, Floats]:
    """The eight cells around each (8, N), past the border those of the other side, and their weights (8 N,)."""
    cells = np.arange(side * side).reshape(side, side)
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    beside = np.stack([np.roll(cells, shift, (0, 1)).ravel() for shift in shifts])
    return beside, np.repeat([ASLANT if y and x else BESIDE for y, x in shifts], side * side)


def values(means: Floats, owner: Ints) -> Floats:
    """The color of each group: the median of its cells, channel by channel. (N, 3), (N,) -> (K, 3)."""
    count = np.bincount(owner)
    first = np.cumsum(count) - count
    above = owner * 1024.0  # sorts by group, and by value in each
    ranked = np.sort(means.T + above, axis=1)
    found = (ranked[:, first + (count - 1) // 2] + ranked[:, first + count // 2]).T / 2
    found = (found - 1024.0 * np.arange(len(count))[:, None]).astype(np.float32)
    found[found.max(axis=1) <= BLACK] = 0
    return np.clip(found, 0, 255)


def drift_field(means: Floats, owner: Ints, side: int, spread: float = 1.5) -> Floats:
    """Smooth part of what the groups leave over: Gaussian mean of `spread` cells, pulled to 0. -> (N, 3) RGB."""
    count = np.bincount(owner)
    middle = values(means, owner)
    weight = (count[owner] >= 4).astype(np.float32)
    rest = (means - middle[owner]) * weight[:, None]
    kernel = _kernel(side, spread)
    # Residuals can be large only where a group is wrong: one cell must not bend the field.
    rest = np.clip(rest, -12, 12)
    over = kernel @ rest.reshape(side, side, 3).transpose(2, 0, 1) @ kernel
    under = kernel @ weight.reshape(side, side) @ kernel
    return (over / (under + 1.2)).transpose(1, 2, 0).reshape(-1, 3)


@lru_cache
def _kernel(side: int, spread: float) -> Floats:
    at = np.arange(side)
    return np.exp(-0.5 * ((at[:, None] - at) / spread) ** 2).astype(np.float32)


def alike(means: Floats, same: float = SAME) -> Ints:
    """Cells within `same` of a busy cell join it; rather too many groups than too few. (N, 3) -> (N,)."""
    points = even(lab(means))
    half, ones = -0.5 * (points**2).sum(1)[:, None], np.ones((len(points), 1), np.float32)
    near = np.hstack([points, half, ones]) @ np.hstack([points, ones, half]).T >= -0.5 * same * same
    np.fill_diagonal(near, val=True)
    bits = np.packbits(near, axis=1, bitorder="little")
    order = np.argsort(-np.bitwise_count(bits).sum(1, dtype=np.intp), kind="stable")
    packed, width = bits.tobytes(), bits.shape[1]
    taken, found = 0, list[int]()
    for leader in order.tolist():  # sets of cells as whole numbers, a bit each
        if not taken >> leader & 1:
            found.append(leader)
            taken |= int.from_bytes(packed[leader * width : (leader + 1) * width], "little")
    return near[found].argmax(0)
