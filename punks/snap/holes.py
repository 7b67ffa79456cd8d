"""All of the background where it is to change: patterns and gradients too, and the holes that a figure leaves open.

`find_background` grows one color from the border and stops at doubt, since what it takes is made one color unasked.
Here somebody asked. Where heads and shoulders are settles what color alone cannot: the white of an eye is no hole.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punks.snap.art import Bools, Floats, Ints
from punks.snap.color import ciede2000, lab
from punks.snap.regions import grow, reach

PLAIN = 0.9  # of the outer cells in the mask: one color is all of the background
DRIFT = 8.0  # CIEDE2000 that a plain background may be off below
INSIDE = 2  # times as many of a group's cells where the figure must be as at the edge: it is no background
OUTSIDE = 0.08  # of a group's cells among the outer ones
BESIDE = 0.3  # the same of a group on one side alone: more than of any shoulder
PART = 12  # cells of one group that hang together and say by themselves what they are
ALONG = 0.25  # of such a part's cells among the outer ones, where it has none in the figure
OUTLINE = 0.25  # the same of black, which is every figure's outline
BLACK = 14  # levels, the largest mean of a black group's channels
BRIM = 3  # cells between the outlines of a hat's brim
DARK = 28  # levels, the largest channel of an outline's cell
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))
NEAR = 4.0  # CIEDE2000 from a neighbour, the step of a gradient
SPECK = 5.0  # the same, of a cell that the background encloses
SPAN = 3  # cells that a blend of two backgrounds is wide
MIXED = 6.0  # CIEDE2000 from a mixture of them
SHADE = 0.1  # of the background's cells that one of its colors has
ALIKE = 3.2  # CIEDE2000 from some cell of the background, of what an outline parts from the figure
PATTERNED = 2.5  # times as loose are SPECK and ALIKE, and its square SHADE, where the background has many shades
SAME = 2.5  # CIEDE2000 from the background, the color of a hole


def whole_background(mask: Bools, level: Floats, owner: Ints, side: int) -> Bools:
    """The mask of `find_background` (side, side) with what it left out; level (N, 3) RGB, groups (N,).

    Where nothing would be left for a figure, the mask as it is.
    """
    sure = mask
    outer, figure = _outer(side), _figure(side)
    groups, points = owner.reshape(side, side), lab(level).reshape(side, side, 3)
    steps = _steps(points)
    free = np.ones((side, side), bool)
    plain = bool(mask[outer & _before(side, 0, 12)].mean() >= PLAIN)
    if mask[outer].mean() < PLAIN:
        outer, ground, free, plain = _judged(mask, level, groups, plain=plain)
        mask = _grown((mask | outer) & ground, ground, free, steps)
    if not mask.any():
        return mask
    loose = 1.0 if plain else PATTERNED
    count = np.bincount(groups[mask], minlength=owner.max() + 1)
    shades = np.flatnonzero(count >= min(SHADE / loose**2 * mask.sum(), count.max()))
    for _ in range(2):
        mask = _specked(mask, steps, loose * SPECK)
    for _ in range(0 if plain else SPAN):
        mask = mask | _blended(mask, points, free)
    mask = mask | _alike(_cut_off(mask, level, figure), mask, points, loose * ALIKE)
    mask = mask | _holes(mask, level, points, groups, shades, figure)
    if not plain:
        mask = _specked(mask | _loose(mask, figure), steps, loose * SPECK)
    return sure if mask.all() else mask


def _judged(mask: Bools, level: Floats, groups: Ints, *, plain: bool) -> tuple[Bools, Bools, Bools, bool]:
    """The outer cells, those of the background's groups, those that may join, and whether it is plain after all."""
    side, owner = len(groups), groups.ravel()
    outer, figure = _outer(side), _figure(side)
    size = np.bincount(owner)
    colors = np.stack([level[owner == k].mean(0) for k in range(len(size))])
    black = colors.max(1) < BLACK
    outer[0] |= _open(black[groups[0]])
    outer &= ~_between(black[groups])
    on_left = _before(side, 1, 12)
    places = (figure, outer, outer & _before(side, 0, 3), outer & on_left, outer & ~on_left)
    inside, outside, above, left, right = (np.bincount(groups[where], minlength=len(size)) for where in places)
    own = (inside > INSIDE * outside) | black & (outside < OUTLINE * size)
    if plain:  # what is of another color below is hair
        own |= ciede2000(lab(colors), lab(np.median(level[mask.ravel()], axis=0))) > DRIFT
    around = (above > 0) | (left > 0) & (right > 0) | (outside > BESIDE * size)
    beside, held = _beside(groups, outer, figure)
    ground = ((outside > OUTSIDE * size) & ~own & around)[groups] | beside
    free = ~own[groups] | ~held & ~black[groups]
    return outer, ground, free, plain and not (beside & own[groups]).any()


def _grown(mask: Bools, ground: Bools, free: Bools, steps: Floats) -> Bools:
    """Grows over cells of the background's groups, and over small steps of color."""
    small = free & ~ground & (steps < NEAR)
    while True:
        beside = _moved(mask)
        joins = (beside & (ground | small)).any(0) & ~mask
        if not joins.any():
            return mask
        mask = mask | joins


def _beside(groups: Ints, outer: Bools, figure: Bools) -> tuple[Bools, Bools]:
    """Cells of groups' parts that hang together along the border, and those of parts that reach into the figure."""
    part = _parts(groups)
    size, inside, outside = (np.bincount(part[where], minlength=groups.size) for where in (part >= 0, figure, outer))
    return ((size >= PART) & (inside == 0) & (outside > ALONG * size))[part], (inside > 0)[part]


def _parts(groups: Ints) -> Ints:
    """Cells of one group that hang together have one number, that of their first cell."""
    part = np.arange(groups.size).reshape(groups.shape)
    linked = _moved(groups, border=-1) == groups
    while True:
        least = np.minimum(part, np.where(linked, _moved(part), groups.size).min(0))
        if (least == part).all():
            return part
        part = least


def _specked(mask: Bools, steps: Floats, most: float) -> Bools:
    """With the cells that the background encloses on three sides or four, and that hardly differ from it."""
    enclosed = _moved(mask, border=1).sum(0) >= 3
    return mask | enclosed & (_moved(mask) & (steps < most)).any(0)


def _blended(mask: Bools, points: Floats, free: Bools) -> Bools:
    """Cells between two parts of the background, within SPAN cells of both, of a color that mixes theirs."""
    asked = _moved(mask).any(0) & free & ~mask
    cells = np.argwhere(asked)
    ahead = np.array(((0, 1), (1, 0), (1, 1), (1, -1)))[:, None, None] * np.arange(1, SPAN + 1)[:, None]
    at = cells[:, None, None, None] + np.concatenate([-ahead, ahead], axis=1) + SPAN  # (cells, lines, 2 ends, SPAN, 2)
    held = np.pad(mask, SPAN)[at[..., 0], at[..., 1]]
    nearest = np.take_along_axis(at, held.argmax(-1)[..., None, None], axis=3)[..., 0, :]
    cell, line = np.nonzero(held.any(-1).all(-1))
    ends = np.pad(points, ((SPAN, SPAN), (SPAN, SPAN), (0, 0)))[tuple(nearest[cell, line].transpose(2, 1, 0))]
    color, one, way = points[asked][cell], ends[0], ends[1] - ends[0]
    part = ((color - one) * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-6)
    mixed = ciede2000(color, one + np.clip(part, 0, 1)[:, None] * way) < MIXED
    found = np.zeros(len(cells), bool)
    found[cell[mixed]] = True
    asked[asked] = found
    return asked


def _steps(points: Floats) -> Floats:
    """CIEDE2000 between each cell and its neighbor, one layer for each of SIDES. (g, g, 3) -> (4, g, g)."""
    return ciede2000(points, np.stack([_moved(channel) for channel in np.moveaxis(points, -1, 0)], -1))


def _holes(mask: Bools, level: Floats, points: Floats, groups: Ints, shades: Ints, figure: Bools) -> Bools:
    """Regions of the background's shades that the figure encloses, none of their cells where only the figure is."""
    colors = np.stack([np.median(level[(groups == k).ravel() & mask.ravel()], axis=0) for k in shades])
    alike = ~mask
    alike[alike] = (ciede2000(points[alike][:, None], lab(colors)) < SAME).any(1) | np.isin(groups[alike], shades)
    return alike & ~reach(figure & alike, alike)


def _cut_off(mask: Bools, level: Floats, figure: Bools) -> Bools:
    """What an outline, or the background itself, parts from the figure."""
    inner = ~mask & (level.max(1) >= DARK).reshape(mask.shape)
    return inner & ~reach(figure & inner, inner)


def _alike(asked: Bools, mask: Bools, points: Floats, most: float) -> Bools:
    """Those of the cells asked about whose color is near to that of some cell in the mask, wherever that is."""
    if not asked.any():
        return asked
    alike = asked.copy()
    alike[asked] = (ciede2000(points[asked][:, None], points[mask]) < most).any(1)
    return alike


def _loose(mask: Bools, figure: Bools) -> Bools:
    """What hangs together with no part of the figure, not even past one cell, as smoke does; nothing without figure."""
    held = reach(figure & ~mask, ~mask, lambda cells: grow(grow(cells)))
    return ~mask & ~held & held.any()


def _moved(cells: NDArray[Any], *, border: int = 0) -> NDArray[Any]:
    """Each cell's neighbour, one layer for each of SIDES; what lies past the border is as told."""
    moved = np.full((len(SIDES), *cells.shape), border, cells.dtype)
    moved[0, 1:], moved[1, :-1], moved[2, :, 1:], moved[3, :, :-1] = cells[:-1], cells[1:], cells[:, :-1], cells[:, 1:]
    return moved


def _open(black: Bools) -> Bools:
    """What of the first row is linked to a corner: a hat that is cut by the border lies between two outlines."""
    return ~np.logical_or.accumulate(black) | ~np.logical_or.accumulate(black[::-1])[::-1]


def _between(black: Bools) -> Bools:
    """Few cells between two outlines, one above the other: a brim, as wide as the picture maybe."""
    wide = np.pad(black, ((BRIM, BRIM), (0, 0)))
    last = len(black) + BRIM
    above = np.logical_or.reduce([wide[BRIM - k : last - k] for k in range(1, BRIM + 1)])
    below = np.logical_or.reduce([wide[BRIM + k : last + k] for k in range(1, BRIM + 1)])
    return ~black & above & below


def _outer(side: int) -> Bools:
    """Cells that hardly any figure reaches: the upper corners, two columns at the sides."""
    rows, columns = _places(side)
    edge = np.minimum(columns, 1 - columns)
    return (edge < 2 / 24) | (edge < 6 / 24) & (rows < 3 / 24)


def _before(side: int, axis: int, cell: int) -> Bools:
    """The rows or columns of a 24x24 grid before this one."""
    return _places(side)[axis] < cell / 24


def _figure(side: int) -> Bools:
    """Cells of head, chin and chest, which are the figure's in nearly every portrait."""
    rows, columns = _places(side)

    def box(top: int, bottom: int, left: int, right: int) -> Bools:
        return (rows > top / 24) & (rows < bottom / 24) & (columns > left / 24) & (columns < right / 24)

    return box(4, 16, 8, 17) | box(17, 21, 8, 13) | box(21, 24, 7, 16)


@lru_cache
def _places(side: int) -> tuple[Floats, Floats]:
    """Of each cell the middle, 0-1 from the top and from the left."""
    rows, columns = np.indices((side, side))
    return (rows + 0.5) / side, (columns + 0.5) / side
