"""What tells whether cells share a colour, as numbers: of each cell, of the picture, and of two groups of cells.

A trained model weighs them (`model.py`). Logarithms where ratios count: noise is compared with steps, sizes with sizes.
"""

from dataclasses import dataclass, replace

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.cells import CORE
from punks.snap.color import ciede2000, lab

CELL, PICTURE, PAIR = 39, 26, 33  # how many numbers each is told by
NEAREST = 8  # other groups that each may merge with
REACH = 22.0  # CIELAB distance past which nothing merges
_STEPS = (5, 10, 20, 30, 40, 50, 60, 75)  # percentiles
# To the right and down, and the blocks of both cells that face their border, of which the outermost are blurred.
# The layer after each is the same seen from the other cell.
_SIDES = ((0, (0, 1), (CORE, -2), (CORE, 1)), (2, (1, 0), (-2, CORE), (1, CORE)))
_CORNERS = ((0, 3, (1, 1)), (1, 2, (1, -1)))
_AROUND = [(y, x) for y in range(3) for x in range(-2, 3) if (y, x) > (0, 0)]  # half of 5x5 cells about one


@dataclass(frozen=True)
class Evidence:
    """Of N cells: maps (N, CELL), the picture (PICTURE,), and squared RGB distances (N, N)."""

    cells: Floats
    picture: Floats
    gaps: Floats


def gather(means: Floats, moved: Floats, spread: Floats, blocks: Floats, owner: Ints) -> Evidence:
    """Levelled cells (N, 3) RGB, levels (N,) that levelling moved them by, spread (g, g), blocks, tight groups (N,)."""
    side, means = len(blocks), means.astype(np.float32)
    points, cells = lab(means), means.reshape(side, side, 3)
    field = points.reshape(side, side, 3)
    norm = (means**2).sum(1)
    gaps = np.maximum(norm[:, None] + norm - 2 * (means @ means.T), 0)
    near = np.stack([np.count_nonzero(gaps < radius**2, axis=1) for radius in (1.5, 3, 6)], -1)
    count = np.log(near.astype(np.float32))
    steps, seen = np.zeros((2, 4, side, side), np.float32)
    tints = np.zeros((4, side, side), np.float32)
    for k, (down, along), here, there in _SIDES:
        own, other = _overlap(down, along)
        apart = cells[own] - cells[other]
        size = (apart**2).sum(-1)
        steps[k][own] = steps[k + 1][other] = np.sqrt(size)
        tints[k][own] = tints[k + 1][other] = ciede2000(field[own], field[other])
        face = blocks[(*own, *here)][..., :3].mean(2) - blocks[(*other, *there)][..., :3].mean(2)
        seen[k][own] = seen[k + 1][other] = np.clip((face * apart).sum(-1) / (size + 1), -0.5, 1.5)
    corners = np.zeros((4, side, side), np.float32)
    for k, opposite, (down, along) in _CORNERS:
        own, other = _overlap(down, along)
        corners[k][own] = corners[opposite][other] = np.sqrt(((cells[own] - cells[other]) ** 2).sum(-1))
    main, frame = _border_group(owner, side)
    ground = np.median(means[main & frame], axis=0)
    away = np.sqrt(((means - ground) ** 2).sum(1))
    loose = np.log(spread.ravel() + 0.1)
    shift = np.log(moved + 0.1)
    row, column = (np.indices((side, side)).reshape(2, -1) + 0.5) / side - 0.5
    maps = np.empty((side * side, CELL), np.float32)
    maps[:, :3] = points * np.array([0.02, 0.025, 0.025], np.float32) - np.array([1, 0, 0], np.float32)
    maps[:, 3:6] = means / 128 - 1
    maps[:, 6], maps[:, 7] = loose, shift
    maps[:, 8:11] = count / 3 - 1
    maps[:, 11:15] = np.log(steps + 0.5).reshape(4, -1).T
    maps[:, 15:19] = np.log(tints + 0.3).reshape(4, -1).T
    maps[:, 19:23] = np.log(corners + 0.5).reshape(4, -1).T
    maps[:, 23:27] = seen.reshape(4, -1).T
    maps[:, 27], maps[:, 28] = np.log(away + 0.5), np.log(ciede2000(points, lab(ground)) + 0.3)
    maps[:, 29], maps[:, 30] = main, frame
    maps[:, 31], maps[:, 32] = 2 * row, 2 * column
    maps[:, 33] = np.abs(2 * column)
    maps[:, 34:38] = np.stack(
        [
            row * side < 1 - side / 2,
            row * side > side / 2 - 1,
            column * side < 1 - side / 2,
            column * side > side / 2 - 1,
        ],
        -1,
    )
    maps[:, 38] = 1
    right, down = np.log(steps[0][:, :-1].ravel() + 0.3), np.log(steps[2][:-1].ravel() + 0.3)
    every = np.sort(np.concatenate([right, down]))
    inner = ~main.reshape(side, side)
    bold = np.concatenate([right[inner[:, :-1].ravel()], down[inner[:-1].ravel()], every[-4:]])
    tint = np.sort(np.log(np.concatenate([tints[0][:, :-1].ravel(), tints[2][:-1].ravel()]) + 0.3))
    picture = np.concatenate(
        [
            _ranks(every, _STEPS),
            _ranks(np.sort(bold), (5, 15, 30, 50)),
            _ranks(tint, (10, 30, 50)),
            count.mean(0),
            _ranks(np.sort(loose), (20, 50, 90)),
            _ranks(np.sort(shift), (50, 90)),
            [np.log(owner.max() + 1.0), main.mean(), np.log(np.count_nonzero(np.bincount(owner) > 3) + 1.0)],
        ]
    )
    return Evidence(maps, picture.astype(np.float32), gaps)


def _overlap(down: int, along: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
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


@dataclass(frozen=True)
class Groups:
    """K groups of cells: sums that merging adds up, and of each two the nearest of their cells and how they touch."""

    owner: Ints
    count: Floats
    sums: Floats  # (K, 10 + E): R, G, B, six products of them, log spread, embedding
    nearest: Floats  # (K, K) squared RGB distance
    touch: Floats  # (4, K, K): neighbours, steps between them, diagonal neighbours, both within 5x5 cells

    def merged(self, first: Ints, second: Ints) -> "Groups":
        """With each group of `second` merged into its partner in `first`."""
        size = len(self.count)
        keep = np.ones(size, bool)
        keep[second] = False
        into = np.cumsum(keep) - 1
        into[second] = into[first]
        count, sums, nearest, touch = self.count.copy(), self.sums.copy(), self.nearest.copy(), self.touch.copy()
        count[first] += count[second]
        sums[first] += sums[second]
        nearest[first] = np.minimum(nearest[first], nearest[second])
        nearest[:, first] = np.minimum(nearest[:, first], nearest[:, second])
        touch[:, first] += touch[:, second]
        touch[:, :, first] += touch[:, :, second]
        at = np.flatnonzero(keep)
        square = np.ix_(at, at)
        return replace(
            self,
            owner=into[self.owner],
            count=count[keep],
            sums=sums[keep],
            nearest=nearest[square],
            touch=touch[(slice(None), *square)],
        )


def start(means: Floats, owner: Ints, gaps: Floats, spread: Floats, embedding: Floats) -> Groups:
    """Groups (N,) of levelled cells (N, 3) RGB; spread (g, g), embedding (N, E)."""
    side, size = len(spread), int(owner.max()) + 1
    red, green, blue = means.T
    rows = [red, green, blue, red * red, green * green, blue * blue, red * green, red * blue, green * blue]
    table = np.column_stack([*rows, np.log(spread.ravel() + 0.1), embedding])
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(size))
    sums = np.add.reduceat(table[order].astype(np.float64), first)
    nearest = np.minimum.reduceat(np.minimum.reduceat(gaps[order], first, axis=0)[:, order], first, axis=1)
    touch = np.zeros((4, size * size), np.float32)
    grid, cells = owner.reshape(side, side), means.reshape(side, side, 3)
    for down, along in _AROUND:
        own, other = _overlap(down, along)
        code = (grid[own] * size + grid[other]).ravel()
        touch[3] += np.bincount(code, minlength=size * size)
        if down + abs(along) == 1:
            touch[0] += np.bincount(code, minlength=size * size)
            step = np.sqrt(((cells[own] - cells[other]) ** 2).sum(-1))
            touch[1] += np.bincount(code, step.ravel(), minlength=size * size)
        elif down == abs(along) == 1:
            touch[2] += np.bincount(code, minlength=size * size)
    touch = touch.reshape(4, size, size)
    return Groups(owner, np.bincount(owner).astype(np.float32), sums, nearest, touch + touch.swapaxes(1, 2))


def candidates(groups: Groups) -> tuple[Ints, Ints, Floats]:
    """Pairs of groups that may be one colour, the smaller first, and what tells of each: (P,), (P,), (P, PAIR)."""
    count = groups.count
    mean = (groups.sums / count[:, None]).astype(np.float32)
    colour, points = mean[:, :3], lab(mean[:, :3])
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
    flat = np.sqrt(flat[one, two])
    found = np.empty((PAIR, len(one)), np.float32)
    gap = ciede2000(points[one], points[two])
    apart = colour[two] - colour[one]
    size = (apart**2).sum(1)
    away = np.sqrt(size)
    found[0], found[1] = np.log(gap + 0.1), gap / 5
    found[2], found[3] = np.log(away + 0.3), away / 10
    found[4:7] = np.abs(points[two] - points[one]).T / 5
    found[7] = (points[one, 0] + points[two, 0]) / 100 - 1
    found[8] = np.hypot(*((points[one, 1:] + points[two, 1:]) / 80).T)
    small, large = count[one], count[two]
    found[9], found[10] = np.log(small), np.log(large)
    unit = apart / np.maximum(away, 1e-3)[:, None]
    weights = np.concatenate([unit**2, 2 * unit[:, [0, 0, 1]] * unit[:, [1, 2, 2]]], 1)
    for k, which in enumerate((one, two)):
        middle = colour[which]
        product = np.concatenate([middle**2, middle[:, [0, 0, 1]] * middle[:, [1, 2, 2]]], 1)
        spare = (groups.sums[which, 3:9] / count[which, None] - product).astype(np.float32)
        found[11 + k] = np.log(np.sqrt(np.maximum(spare[:, :3].sum(1), 0)) + 0.2)
        found[13 + k] = np.maximum((spare * weights).sum(1), 0)
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
        found[25 + k] = np.log(first[which] + 0.1)
        found[27 + k] = mean[which, 9]
        found[29 + k] = np.minimum(colour[which].max(1) / 16, 4)
    found[31] = np.log(np.minimum(around, 50) + 1)
    found[32] = np.log(len(count))
    return one, two, found.T
