"""Background and stray cells of a picture."""

from dataclasses import dataclass

import numpy as np

from punks.snap.art import Bools
from punks.snap.portrait.face import RGB, Eyes, Skin, mean_of
from punks.snap.portrait.names import color_name
from punks.snap.portrait.picture import ALIKE, FRAME, GRID, Picture
from punks.snap.regions import grow

SOLID = 0.8  # of the border's cells that one color must have
STRAY, PLAIN = 12.0, 7  # CIEDE2000 from all eight neighbours, and how many of those are alike


@dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """The color that most of the border has, its name, and whether it is the only one. mask: bool (24, 24)."""

    name: str
    rgb: RGB
    solid: bool
    mask: Bools


def find_background(picture: Picture) -> Background:
    """The border's main color; solid where nearly all of the border above the shoulders has it."""
    count = np.bincount(picture.owner[FRAME], minlength=len(picture.gaps))
    main = int(count.argmax())
    share = count[picture.gaps[main] < ALIKE].sum() / count.sum()
    rgb = mean_of(picture, (picture.background | FRAME) & (picture.away(main) < ALIKE))
    return Background(name=color_name(np.array(rgb))[0], rgb=rgb, solid=bool(share >= SOLID), mask=picture.background)


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
