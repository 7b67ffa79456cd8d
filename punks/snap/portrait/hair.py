"""Hair by its structure: what hangs beside the face, or lies on the forehead and is no hat.

What is hair and what is skin is not told by a limit between their colors, for brown hair may be nearer to dark skin
than the skin's own shadow is. A color belongs where most of its cells are: in the face, below the chin, or around.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from punks.snap.art import Bools, Floats
from punks.snap.portrait.face import BLACK, GRAY, RGB, SAME, Eyes, Skin, glints_in
from punks.snap.portrait.names import HAIR, color_name
from punks.snap.portrait.picture import GRID, Picture
from punks.snap.regions import grow, reach

LEAST, FRINGE = 5, 10  # cells that make hair beside the face, and on the forehead
BROAD = 3  # columns of the forehead that hair covers
LIT = 0.6  # of hair, less light: in shadow
TURN, ODD = 40.0, 0.05  # degrees of one hue, and the share of cells of another that hair does not have on it


@dataclass(frozen=True, kw_only=True, eq=False)
class Hair:
    """rgb: its lit cells' median. mask: bool (24, 24)."""

    name: str
    rgb: RGB
    mask: Bools


def find_hair(picture: Picture, skin: Skin, eyes: Eyes | None) -> Hair | None:
    """What hangs beside the face at the level of the eyes, or if nothing does, lies on the forehead; None for a hat."""
    dark = picture.light < BLACK / 2
    thick = _opened(picture.light < BLACK) & ~grow(picture.background)
    figure = reach(skin.mask, ~picture.background) & (~dark | thick)
    level, first, last = 11, 9, 13
    if eyes:
        irises = np.argwhere(eyes.iris)
        (level, first), last = irises.min(0).tolist(), int(irises[:, 1].max())
    own, left, right = _face(picture, figure, skin, level, slice(first - 1, last + 2))
    loose, top = figure & ~own, level
    glints = np.flatnonzero(glints_in(picture).any(1))
    if len(glints):  # dark glasses are not hair
        around = slice(max(glints[0] - 2, 0), glints[-1] + 2)
        loose[around] &= ~dark[around]
        top = int(glints[-1]) + 1
    beside = np.zeros_like(loose)
    beside[top : top + 4] = loose[top : top + 4]
    beside[:, left : right + 1] = False
    beside &= np.roll(beside, 1, 1) | np.roll(beside, -1, 1)  # the rims of glasses are thin
    for hue in _hues(picture, beside):
        if (beside & hue).sum() >= LEAST:
            below = loose & hue
            below[: level - 2] = False
            return _named(picture, reach(beside & hue, below))
    head = figure[level - 1 : level + 2].copy()
    head[:, left : right + 1] = True
    ends = np.median([_run(line, (left + right) // 2) for line in head], axis=0)
    return _on_forehead(picture, own, loose, level, (left, right), (float(ends[0]), float(ends[1])))


def _on_forehead(
    picture: Picture, own: Bools, loose: Bools, level: int, face: tuple[int, int], head: tuple[float, float]
) -> Hair | None:
    """The commonest hue right above the forehead that comes down at the temples, or has no brim and no ornaments."""
    above, forehead, temples = loose.copy(), np.zeros_like(loose), np.zeros_like(loose)
    above[level - 1 :] = False
    forehead[:, face[0] : face[1] + 1] = above[:, face[0] : face[1] + 1]
    hairline = forehead & (np.cumsum(forehead[::-1], 0)[::-1] == 1)
    for side in face:
        temples[level - 1 :, side - 1 : side + 2] = True
    for hue in _hues(picture, hairline):
        cap = reach(hairline & hue, above & hue)
        mask = reach(cap, loose & picture.like(cap & forehead, SAME))
        if (hairline & hue).sum() < BROAD or mask.sum() < FRINGE:
            continue
        odd = above & ~hue & grow(cap) & ~grow(own) & (picture.light > 2 * BLACK)
        if (mask & temples).sum() >= 2 or not (odd.sum() > ODD * cap.sum() or _juts(cap, *head)):
            return _named(picture, mask)
    return None


def _face(picture: Picture, figure: Bools, skin: Skin, level: int, middle: slice) -> tuple[Bools, int, int]:
    """Cells in the colors of the face, in shades of its skin and in those of clothes, (24, 24); the sides of the face.

    The face is looked for in some columns of it, between the brows and the mouth, for a beard is of the hair's colors.
    """
    head = figure.copy()
    head[level + 6 :] = False
    tone = picture.owner.flat[picture.away_from(skin.rgb).argmin()]
    own = _share(picture, head, slice(level - 1, level + 5), middle) > 1 / 3
    own[tone] = True
    left, right = _run(own[picture.owner][level : level + 6].sum(0) >= 3, (middle.start + middle.stop) // 2)
    shade = _same_hue(picture)[tone] & (picture.gaps[tone] < 3 * SAME)
    own |= shade & (_share(picture, figure, slice(level - 1, GRID), slice(left, right + 2)) > 2 / 3)
    own |= _share(picture, figure, slice(level + 9, GRID), slice(GRID)) > 1 / 2
    return own[picture.owner], left, right


def _share(picture: Picture, figure: Bools, rows: slice, columns: slice) -> Floats:
    """The share of each color's cells that are in a place, (K,)."""
    place = np.zeros_like(figure)
    place[rows, columns] = figure[rows, columns]
    inside, count = (np.bincount(picture.owner[mask], minlength=len(picture.gaps)) for mask in (place, figure))
    return inside / np.maximum(count, 1)


def _juts(cap: Bools, first: float, last: float) -> bool:
    """Whether one of its lowest lines juts out on both sides of the head: a brim."""
    lines = [np.flatnonzero(line) for line in cap[cap.any(1)][-3:]]
    return any(line[0] < first and line[-1] > last for line in lines)


def _run(line: Bools, at: int) -> tuple[int, int]:
    """The ends of the run of True around a place."""
    gaps = np.flatnonzero(~np.pad(line, 1)) - 1
    after = int(np.searchsorted(gaps, at))
    return int(gaps[after - 1]) + 1, int(gaps[after]) - 1


def _opened(mask: Bools) -> Bools:
    """The cells that belong to a full 2x2 block: lines of one cell vanish."""
    full = np.zeros_like(mask)
    full[:-1, :-1] = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:] & mask[1:, 1:]
    full[1:] |= full[:-1]
    full[:, 1:] |= full[:, :-1]
    return full


def _hues(picture: Picture, seen: Bools) -> Iterator[Bools]:
    """The cells of each hue that some cells have, the commonest first, (24, 24): light and shadow are one hair."""
    count = np.bincount(picture.owner[seen], minlength=len(picture.gaps))
    same = _same_hue(picture)
    while count.any():
        hue = same[(same @ count * (count > 0)).argmax()]
        yield hue[picture.owner]
        count = np.where(hue, 0, count)


def _same_hue(picture: Picture) -> Bools:
    """Which colors have one hue, or are both gray, (K, K)."""
    plane = picture.points[:, 1] + 1j * picture.points[:, 2]
    gray = np.abs(plane) < GRAY
    turn = np.abs(np.angle(plane[:, None] * plane.conj()[None], deg=True))
    return (gray[:, None] & gray[None]) | ((turn < TURN) & ~gray[:, None] & ~gray[None])


def _named(picture: Picture, mask: Bools) -> Hair:
    """Named by the median color of its lightest 40%: shade changes what a color is called."""
    light = picture.light[mask]
    lit = picture.cells[mask][light >= np.quantile(light, LIT)]
    red, green, blue = np.median(lit, axis=0).astype(int).tolist()
    return Hair(name=color_name(np.array((red, green, blue)), HAIR)[0], rgb=(red, green, blue), mask=mask)
