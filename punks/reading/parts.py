"""Hair, background and stray cells of a picture."""

from dataclasses import dataclass

import numpy as np

from punks.reading.face import BLACK, GRAY, RGB, SAME, Eyes, Skin, glints_in, mean_of
from punks.reading.names import HAIR, colour_name
from punks.reading.picture import ALIKE, FRAME, GRID, Picture, grow, reach
from punks.snap.art import Bools

SOLID = 0.8  # of the border's cells that one colour must have
LEAST = 5  # cells that make hair
LIT = 0.6  # of hair, less light: in shadow
BRIM, PEAK = 3, 4  # cells by which a hat is wider than the face, on both sides, or juts out on one
TURN, ODD = 40.0, 0.05  # degrees of hue, and the share of cells that far from the others' that hair does not have
STRAY, PLAIN = 12.0, 7  # CIEDE2000 from all eight neighbours, and how many of those are alike


@dataclass(frozen=True, kw_only=True, eq=False)
class Hair:
    """rgb: its lit cells' median. mask: bool (24, 24)."""

    name: str
    rgb: RGB
    mask: Bools


@dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """The colour that most of the border has, its name, and whether it is the only one. mask: bool (24, 24)."""

    name: str
    rgb: RGB
    solid: bool
    mask: Bools


def find_background(picture: Picture) -> Background:
    """The border's main colour; solid where nearly all of the border above the shoulders has it."""
    count = np.bincount(picture.owner[FRAME], minlength=len(picture.gaps))
    main = int(count.argmax())
    share = count[picture.gaps[main] < ALIKE].sum() / count.sum()
    rgb = mean_of(picture, (picture.background | FRAME) & (picture.away(main) < ALIKE))
    return Background(name=colour_name(np.array(rgb))[0], rgb=rgb, solid=bool(share >= SOLID), mask=picture.background)


def find_hair(picture: Picture, skin: Skin, eyes: Eyes | None) -> Hair | None:
    """What lies beside the face at the level of the eyes, or if nothing does, above it; None where nothing is hair."""
    dark = picture.light < BLACK / 2
    thick = _opened(picture.light < BLACK) & ~grow(picture.background)
    rows, columns = np.mgrid[0:GRID, 0:GRID]
    level, left, right = _sides(skin, eyes)
    # what the face has between its sides is skin, with the shades that it has in the nose and the neck
    middle = (columns > left) & (columns < right) & (rows > level - 4) & (rows < level + 10)
    near = picture.away_from(skin.rgb)
    shade = np.where(rows > level + 1, 3 * SAME, SAME)
    own = np.isin(picture.owner, np.unique(picture.owner[middle & (near < shade)])) | (skin.mask & middle)
    figure = reach(skin.mask, ~picture.background) & (~dark | thick)
    glints = np.flatnonzero(glints_in(picture).any(1))
    if len(glints):  # dark glasses are not hair
        figure &= ~(dark & (rows >= glints[0] - 2) & (rows <= glints[-1] + 1))
    outside = figure & ((columns < left - 1) | (columns > right + 1))
    loose = (figure & ~own) | outside
    beside = loose & (near > 3 * SAME) & ((columns < left) | (columns > right))
    if eyes:  # what is between the eyes are glasses
        first, last = np.flatnonzero(eyes.iris.any(0))[[0, -1]] + (2, -1)
        bridge = (rows >= level) & (rows < level + 3) & (columns >= first) & (columns <= last)
        beside &= ~np.isin(picture.owner, np.unique(picture.owner[bridge]))
    # the rims of glasses are thin
    beside &= ((columns < left) & np.roll(loose, 1, 1)) | ((columns > right) & np.roll(loose, -1, 1))
    top = level if not len(glints) else int(glints[-1]) + 1
    beside = (beside | outside) & (rows >= top) & (rows <= top + 3)
    above = loose & (rows < level - 1)
    hair = _hair(picture, beside, loose & (rows > level - 3))
    if hair is None and not _is_hat(picture, above, level, left, right):
        return _hair(picture, above, loose)
    return hair


def find_strays(picture: Picture, skin: Skin | None, eyes: Eyes | None) -> Bools:
    """Single cells in the background or the skin, unlike all eight around them, which are alike: noise, (24, 24).

    A nose is no noise; in hair and cloth a single cell may be a highlight or a button.
    """
    padded = np.pad(picture.owner, 1, mode="reflect")
    around = np.stack([padded[r : r + GRID, c : c + GRID] for r in range(3) for c in range(3) if (r, c) != (1, 1)])
    alike = (picture.gaps[around[:, None], around[None]] < ALIKE).sum(0).max(0)
    found = (picture.gaps[picture.owner, around] > STRAY).all(0) & (alike >= PLAIN)
    plain = picture.background | skin.mask if skin else picture.background
    found &= grow(plain, diagonal=True)
    if skin:
        level, left, right = _sides(skin, eyes)
        found[level : level + 8, left : right + 1] = False
    return found


def _sides(skin: Skin, eyes: Eyes | None) -> tuple[int, int, int]:
    """The row of the eyes, the first and the last column of the face."""
    level, first, last, least = 11, 9, 14, 1
    if eyes:
        rows, columns = np.nonzero(eyes.iris)
        level, first, last, least = int(rows.min()), int(columns.min()), int(columns.max()), 2
    cheeks = skin.mask[level : level + 6].sum(0) >= least
    ends = first - 3, last + 3
    while first > ends[0] and cheeks[first - 1]:
        first -= 1
    while last < ends[1] and cheeks[last + 1]:
        last += 1
    if eyes:  # the white of an eye, and skin beside it
        first, last = min(first, ends[0] + 2), max(last, ends[1] - 1)
    return level, first, last


def _is_hat(picture: Picture, above: Bools, level: int, left: int, right: int) -> bool:
    """Whether what only covers the head juts out beside it, or has more hues than hair has."""
    for line in above[level - 4 : level - 1]:
        first, end = _run(line)
        out = left - first, end - 1 - right
        if end - first > right - left and (max(out) > PEAK or (min(out) > 0 and sum(out) >= BRIM)):
            return True
    bright = above & (picture.light > 2 * BLACK)
    a, b = picture.points[picture.owner[bright], 1:].T
    if not len(a):
        return False
    chroma = np.hypot(a, b)
    own = np.hypot(np.median(a), np.median(b))
    turn = np.abs(np.angle((a + 1j * b) * (np.median(a) - 1j * np.median(b)), deg=True))
    # a hue and no hue are apart by more than the tint of a highlight
    apart = (np.minimum(chroma, own) < GRAY) & (np.maximum(chroma, own) > 2 * GRAY)
    other = apart | ((np.minimum(chroma, own) >= GRAY) & (turn > TURN))
    return int(other.sum()) > ODD * len(a)


def _run(line: Bools) -> tuple[int, int]:
    """The longest run of True: its first place, and the one after its last."""
    ends = np.flatnonzero(~np.pad(line, 1))
    at = int(np.diff(ends).argmax())
    return int(ends[at]), int(ends[at + 1]) - 1


def _opened(mask: Bools) -> Bools:
    """The cells that belong to a full 2x2 block: lines of one cell vanish."""
    full = np.zeros_like(mask)
    full[:-1, :-1] = mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:] & mask[1:, 1:]
    full[1:] |= full[:-1]
    full[:, 1:] |= full[:, :-1]
    return full


def _hair(picture: Picture, seen: Bools, allowed: Bools) -> Hair | None:
    """Grown from the cells seen, those of their commonest hue, over all that has it: light and shadow are one hair."""
    count = np.bincount(picture.owner[seen], minlength=len(picture.gaps))
    hues = _same_hue(picture)
    like = hues[((hues * count[:, None]) @ count).argmax()][picture.owner]
    if (seen & like).sum() < LEAST:
        return None
    mask = reach(seen & like, allowed & like)
    rgb = lit(picture, mask)
    return Hair(name=colour_name(np.array(rgb), HAIR)[0], rgb=rgb, mask=mask)


def _same_hue(picture: Picture) -> Bools:
    """Which colours have one hue, or are both gray, (K, K)."""
    plane = picture.points[:, 1] + 1j * picture.points[:, 2]
    gray = np.abs(plane) < GRAY
    turn = np.abs(np.angle(plane[:, None] * plane.conj()[None], deg=True))
    return (gray[:, None] & gray[None]) | ((turn < TURN) & ~gray[:, None] & ~gray[None])


def lit(picture: Picture, where: Bools) -> RGB:
    """The median colour of the lightest 40% of some cells: shade changes what a colour is called."""
    light = picture.light[where]
    red, green, blue = np.median(picture.cells[where][light >= np.quantile(light, LIT)], axis=0).astype(int).tolist()
    return red, green, blue
