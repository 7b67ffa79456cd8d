"""Groups of cells, how they merge, and what tells whether two of them share a color."""

from dataclasses import dataclass

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.color import ciede2000, lab
from punks.snap.evidence import overlap

PAIR = 40  # numbers of two groups
NEAREST = 6  # other groups that each may merge with
REACH = 18.0  # CIELAB distance past which nothing merges
_AROUND = [(y, x) for y in range(3) for x in range(-2, 3) if (y, x) > (0, 0)]  # half of 5x5 cells about one


@dataclass(frozen=True)
class Groups:
    """K groups of cells: sums that merging adds up, and of each two the nearest of their cells and how they touch."""

    owner: Ints
    count: Floats
    sums: Floats  # (K, 10 + E): R, G, B, six products of them, log spread, embedding
    nearest: Floats  # (K, K) squared RGB distance
    touch: Floats  # (4, K, K): neighbours, steps between them, diagonal neighbours, both within 5x5 cells

    def merged(self, first: Ints, second: Ints) -> "Groups":
        """With each group of `second` merged into its partner in `first`, which merges into none itself."""
        into = np.arange(len(self.count))
        into[second] = first
        order = np.argsort(into, kind="stable")
        starts = np.flatnonzero(np.diff(into[order], prepend=-1))
        rank = np.zeros(len(into), np.intp)
        rank[into[order[starts]]] = np.arange(len(starts))
        nearest = np.minimum.reduceat(self.nearest[order], starts, axis=0)
        touch = np.add.reduceat(self.touch[:, order], starts, axis=1)
        return Groups(
            rank[into][self.owner],
            np.add.reduceat(self.count[order], starts),
            np.add.reduceat(self.sums[order], starts),
            np.minimum.reduceat(nearest[:, order], starts, axis=1),
            np.add.reduceat(touch[:, :, order], starts, axis=2),
        )


def start(means: Floats, owner: Ints, ground: Bools | None, spread: Floats, embedding: Floats) -> Groups:
    """Tight groups (N,) of leveled cells (N, 3) RGB, the cells of a plain background (N,) in one of their own.

    spread (g, g), embedding (N, E).
    """
    side = len(spread)
    if ground is not None:
        owner = np.where(ground, owner + owner.max() + 1, owner)
    owner, count = np.unique(owner, return_inverse=True, return_counts=True)[1:]
    size = len(count)
    red, green, blue = means.T
    rows = [red, green, blue, red * red, green * green, blue * blue, red * green, red * blue, green * blue]
    table = np.column_stack([*rows, np.log(spread.ravel() + 0.1), embedding])
    order = np.argsort(owner, kind="stable")
    sums = np.add.reduceat(table[order].astype(np.float64), np.cumsum(count) - count)
    count, middle = count.astype(np.float32), (sums[:, :3] / count[:, None] - 128).astype(np.float32)
    norm = (middle**2).sum(1)
    nearest = np.maximum(norm[:, None] + norm - 2 * (middle @ middle.T), 0)
    if ground is not None and ground.any():
        first = len(np.unique(owner[~ground]))
        nearest[first] = nearest[first:].min(0)
        nearest[:, first] = nearest[:, first:].min(1)
        sums[first], count[first] = sums[first:].sum(0), count[first:].sum()
        owner, size = np.minimum(owner, first), first + 1
        nearest, sums, count = nearest[:size, :size], sums[:size], count[:size]
    grid, cells = owner.reshape(side, side), means.reshape(side, side, 3)
    beside: list[Ints] = []
    corner: list[Ints] = []
    around: list[Ints] = []
    steps: list[Floats] = []
    for down, along in _AROUND:
        own, other = overlap(down, along)
        code = (grid[own] * size + grid[other]).ravel()
        around.append(code)
        if down + abs(along) == 1:
            beside.append(code)
            steps.append(np.sqrt(((cells[own] - cells[other]) ** 2).sum(-1)).ravel())
        elif down == abs(along) == 1:
            corner.append(code)
    layers = ((beside, None), (beside, np.concatenate(steps)), (corner, None), (around, None))
    touch = np.stack([np.bincount(np.concatenate(codes), weights, size * size) for codes, weights in layers])
    touch = touch.astype(np.float32).reshape(4, size, size)
    return Groups(owner, count, sums, nearest, touch + touch.swapaxes(1, 2))


def candidates(groups: Groups) -> tuple[Ints, Ints, Floats]:
    """Pairs of groups that may be one color, the smaller first, and what tells of each: (P,), (P,), (P, PAIR)."""
    count = groups.count
    mean = (groups.sums / count[:, None]).astype(np.float32)
    color, points = mean[:, :3], lab(mean[:, :3])
    norm = (points**2).sum(1)
    flat = np.maximum(norm[:, None] + norm - 2 * (points @ points.T), 0)
    np.fill_diagonal(flat, np.inf)
    most = min(NEAREST, len(count) - 1)
    closest = np.argpartition(flat, most - 1, axis=1)[:, :most]
    table = np.zeros(flat.shape, bool)
    np.put_along_axis(table, closest, values=True, axis=1)
    table &= flat < REACH**2
    one, two = np.nonzero(np.triu(table | table.T))
    swap = count[one] > count[two]
    one, two = np.where(swap, two, one), np.where(swap, one, two)
    ranked = np.sqrt(np.sort(np.take_along_axis(flat, closest, 1)[:, :most], axis=1))
    first, second = ranked[:, 0], ranked[:, min(1, most - 1)]
    gap = ciede2000(points[one], points[two])
    flat = np.sqrt(flat[one, two])
    found = np.empty((PAIR, len(one)), np.float32)
    apart = color[two] - color[one]
    size = (apart**2).sum(1)
    away = np.sqrt(size)
    found[0], found[1] = np.log(gap + 0.1), gap / 5
    found[2], found[3] = np.log(away + 0.3), away / 10
    found[4:7] = np.abs(points[two] - points[one]).T / 5
    found[7] = (points[one, 0] + points[two, 0]) / 100 - 1
    found[8] = np.hypot(*((points[one, 1:] + points[two, 1:]) / 80).T)
    small, large = count[one], count[two]
    product = np.concatenate([color**2, color[:, [0, 0, 1]] * color[:, [1, 2, 2]]], 1)
    spare = (groups.sums[:, 3:9] / count[:, None] - product).astype(np.float32)
    trace = np.maximum(spare[:, :3].sum(1), 0)
    scatter = np.log(np.sqrt(trace) + 0.2)
    own = np.stack([np.log(count), scatter, np.log(first + 0.1), mean[:, 9], np.minimum(color.max(1) / 16, 4)])
    found[[9, 11, 25, 27, 29]], found[[10, 12, 26, 28, 30]] = own[:, one], own[:, two]
    unit = apart / np.maximum(away, 1e-3)[:, None]
    weights = np.concatenate([unit**2, 2 * unit[:, [0, 0, 1]] * unit[:, [1, 2, 2]]], 1)
    found[13] = np.maximum((spare[one] * weights).sum(1), 0)
    found[14] = np.maximum((spare[two] * weights).sum(1), 0)
    # what cells are off by in this picture: of the groups in which it shows, but for the largest, the background maybe
    several = count >= 3
    several[count.argmax()] = False
    noise = ((trace * count)[several].sum() + 0.2) / ((count[several] - 1).sum() + 1)
    found[33] = np.log(noise) / 2
    found[34] = np.log(away + 0.05) + np.log(small * large / (small + large)) / 2 - found[33]
    usual = max(_middle((trace * count / np.maximum(count - 1, 1))[several], count[several]), 0.05)
    found[36] = np.log(usual) / 2  # not moved by a few groups that are wrong
    found[37] = found[34] + found[33] - found[36]
    # noise that runs smoothly over a picture parts the cells of one color, but not those side by side
    beside, step = np.diagonal(groups.touch[:2], axis1=1, axis2=2)
    near = (step[several].sum() + 0.1) / (beside[several].sum() + 1)
    within = np.log((step[one] + step[two] + 8 * near) / (beside[one] + beside[two] + 8))
    found[38], found[39] = within - found[36], np.log(near) - found[36]
    known = ((found[13:15] * count[[one, two]] + noise) / (count[[one, two]] + 3)).sum(0)
    found[35] = np.log(away + 0.05) - np.log(known) / 2
    found[15] = np.log(away / np.sqrt(found[13] + found[14] + 0.25) + 0.1)
    found[13:15] = np.log(np.sqrt(found[13:15]) + 0.2)
    link = np.sqrt(groups.nearest[one, two])
    found[16], found[17] = np.log(link + 0.2), link / (away + 0.2)
    beside, step, corner, around = groups.touch[:, one, two]
    found[18], found[19] = np.log1p(beside), beside / (4 * small)
    found[20] = corner / (4 * small)
    found[21] = np.log((around + 0.5) / small * (len(groups.owner) / 24) / large)
    found[22] = np.where(beside > 0, step / np.maximum(beside, 1) / (away + 0.5), 1.5)
    for k, which in enumerate((one, two)):
        other = np.where(flat > first[which] + 1e-4, first[which], second[which])
        found[23 + k] = np.log((other + 0.1) / (flat + 0.1))
    found[31] = np.log(np.minimum(around, 50) + 1)
    found[32] = np.log(len(count))
    return one, two, found.T


def mergers(logit: Floats, one: Ints, two: Ints, size: int) -> tuple[Ints, Ints]:
    """Which of `size` groups grow, and what merges into each, by the logits of pairs (P,), the smaller group first.

    All groups whose best partner is larger merge at once, unless that merges itself: nearly the same tree as one by
    one, in a few rounds.
    """
    best = np.zeros(size, np.float32)
    np.maximum.at(best, one, logit)
    np.maximum.at(best, two, logit)
    first, second = two[at := np.flatnonzero((logit > 0) & (logit == best[one]))], one[at]
    leaves = np.zeros(size, bool)
    leaves[second] = True
    stays = ~leaves[first]
    return first[stays], second[stays]


def _middle(values: Floats, weights: Floats) -> float:
    """Weighted median; 0 of nothing."""
    if not len(values):
        return 0.0
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
