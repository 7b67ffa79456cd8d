"""Skin and eyes by their structure: a face is one tone in the middle, eyes are a pair of equal things in it.

No cell is known beforehand. Both the owner's portraits and the generator's look slightly aside, so that the right eye
is the left one moved, not mirrored.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from punks.snap.art import Bools, Floats
from punks.snap.portrait.names import EYES, color_name, skin_name
from punks.snap.portrait.picture import Picture
from punks.snap.regions import reach

RGB = tuple[int, int, int]
MIDDLE = (slice(8, 19), slice(6, 18))  # where a portrait has its face
_NEAR = np.exp(-((np.mgrid[0:24, 0:24] - np.array([12.5, 11.5])[:, None, None]) ** 2).sum(0) / 18)
SAME = 8.0  # CIEDE2000 within which cells are of one tone
BLACK = 12.0  # L of a pupil or an outline
WHITE, GRAY = 78.0, 12.0  # L and chroma of the white of an eye
ROWS, COLUMNS = slice(7, 16), slice(5, 14)  # where the left eye may begin
APART = range(3, 7)  # cells between the left edges of two eyes
LEAST, SURE = 0.3, 0.5  # the confidence under which nothing is an eye, or not for sure


@dataclass(frozen=True, kw_only=True, eq=False)
class Skin:
    """`name` is light, medium, tan or dark. mask: bool (24, 24), the face and what hangs together with it."""

    name: str
    rgb: RGB
    mask: Bools


@dataclass(frozen=True, kw_only=True, eq=False)
class Eyes:
    """Both eyes: iris cells bool (24, 24) each, the color of the irises, its name, 0-1 how sure all of it is."""

    left: Bools
    right: Bools
    rgb: RGB
    name: str
    confidence: float

    @property
    def iris(self) -> Bools:
        """The iris cells of both, (24, 24)."""
        return self.left | self.right


def find_face(picture: Picture) -> tuple[Skin | None, Eyes | None]:
    """Skin is the tone that most cells in the middle share, or the next one where only that has sure eyes in it."""
    faces = [(skin, find_eyes(picture, skin)) for skin in _skins(picture)]
    sure = [face for face in faces if face[1] and face[1].confidence > SURE]
    return sure[0] if sure else faces[0] if faces else (None, None)


def _skins(picture: Picture) -> Iterator[Skin]:
    """The two commonest tones in the middle, with what hangs together with them."""
    middle = np.zeros(picture.background.shape, bool)
    middle[MIDDLE] = True
    inside = middle & ~picture.background & (picture.light > BLACK)
    count = np.bincount(picture.owner[inside], _NEAR[inside], minlength=len(picture.gaps))
    for _ in range(2):
        if not count.any():
            return
        tone = int(((picture.gaps < SAME) @ count * (count > 0)).argmax())
        tone = int((count * (picture.gaps[tone] < SAME)).argmax())
        near = (picture.away(tone) < 1.5 * SAME) & ~picture.background
        mask = reach(near & middle & (picture.away(tone) < SAME), near)
        rgb = mean_of(picture, mask & middle & (picture.owner == tone))
        yield Skin(name=skin_name(np.array(rgb))[0], rgb=rgb, mask=mask)
        count = np.where(picture.gaps[tone] < 1.5 * SAME, 0, count)


def find_eyes(picture: Picture, skin: Skin) -> Eyes | None:
    """The best pair of equal 2x2 blocks in the face that stand out from its skin; None where none is sure."""
    best: tuple[float, Bools, Bools] | None = None
    if glints_in(picture).sum() >= 2:
        return None  # dark glasses
    away = picture.away_from(skin.rgb)
    plain = (away < SAME).astype(np.float32)
    stands = _stands(np.minimum(away / (3 * SAME), 1))
    for apart in APART:
        likeness = np.exp(-_unlike(picture, apart) / SAME)[ROWS, COLUMNS]
        between = np.maximum(*(np.mean([_at(plain, down, along) for along in range(2, apart)], 0) for down in (0, 1)))
        below = np.mean([_at(plain, 2, along) for along in (0, 1, apart, apart + 1)], 0)
        outstanding = np.minimum(_at(stands, 0, 0), _at(stands, 0, apart))
        score = np.zeros((24, 24), np.float32)
        score[ROWS, COLUMNS] = likeness * outstanding * (0.2 + 0.4 * between + 0.4 * below) * (likeness > LEAST)
        for place in np.argsort(-score, axis=None):
            row, col = divmod(int(place), 24)
            if score[row, col] < LEAST or (best and score[row, col] <= best[0]):
                break
            left, right = (_iris(picture, away, row, side) for side in (col, col + apart))
            if (
                left
                and right
                and (sure := float(score[row, col]) * min(left[1], right[1])) > (best[0] if best else LEAST)
            ):
                best = (sure, left[0], right[0])
    if best is None:
        return None
    confidence, left, right = best
    rgb = mean_of(picture, left | right)
    name, sure = color_name(np.array(rgb), EYES)
    return Eyes(left=left, right=right, rgb=rgb, name=name, confidence=confidence)


def _at(values: Floats, down: int, along: int) -> Floats:
    """Of each place where the left eye may begin, the value of the cell so far from it."""
    return values[ROWS.start + down : ROWS.stop + down, COLUMNS.start + along : COLUMNS.stop + along]


def glints_in(picture: Picture) -> Bools:
    """White cells with black on all four sides: reflections of dark glasses, (24, 24)."""
    black = np.pad(picture.light < BLACK, 1)
    around = black[2:, 1:-1] & black[:-2, 1:-1] & black[1:-1, 2:] & black[1:-1, :-2]
    glints = np.zeros_like(around)
    glints[MIDDLE] = (around & (picture.light > WHITE) & (picture.chroma < GRAY))[MIDDLE]
    return glints


def _stands(values: Floats) -> Floats:
    """The greater mean of the two rows of the 2x2 block at each cell, and a little of the other's, (24, 24)."""
    rows = np.zeros_like(values)
    rows[:, :-1] = (values[:, :-1] + values[:, 1:]) / 2
    under = np.vstack([rows[1:], rows[:1]])
    return 0.9 * np.maximum(rows, under) + 0.1 * np.minimum(rows, under)


def _unlike(picture: Picture, apart: int) -> Floats:
    """How far the block at each cell is from the one `apart` cells to its right, moved or mirrored, (24, 24)."""
    owner, gaps = picture.owner, picture.gaps
    moved, mirrored = np.full((2, 24, 24), 99, np.float32)
    gaps = np.minimum(gaps, 2 * SAME)
    moved[:, :-apart] = gaps[owner[:, :-apart], owner[:, apart:]]
    moved[:-1, :-1] = (moved[:-1, :-1] + moved[1:, :-1] + moved[:-1, 1:] + moved[1:, 1:]) / 4
    outer = gaps[owner[:, : -apart - 1], owner[:, apart + 1 :]]
    inner = gaps[owner[:, 1:-apart], owner[:, apart:-1]]
    mirrored[:-1, : -apart - 1] = (outer[:-1] + outer[1:] + inner[:-1] + inner[1:]) / 4
    return np.minimum(moved, mirrored)


def _iris(picture: Picture, away: Floats, row: int, col: int) -> tuple[Bools, float] | None:
    """The iris in the block at this cell, and how much it looks like one: beside a white, or around a pupil."""
    there = np.zeros((24, 24), bool)
    there[row : row + 2, col : col + 2] = True
    bare = away < SAME
    white = (picture.light > WHITE) & (picture.chroma < GRAY) & ~bare
    black = (picture.light < BLACK) & ~bare
    if (white & there).any():
        iris = (np.roll(white & there, 1, 1) | np.roll(white & there, -1, 1)) & there & ~white & (away > SAME / 2)
        if not iris.any() or len(np.flatnonzero(iris.any(0))) > 1:
            return None
        like = picture.like(iris, 1.5 * SAME)
        iris |= np.roll(iris, 1, 0) & ~white & ~bare & like
        weight = 1.0
    else:
        iris = there & ~bare & ~black
        pupil = there & black
        weight = 0.9 if iris.any() and pupil.any() and reach(pupil, black).sum() <= 2 else 0.5
        iris = iris if iris.any() else there & black
        if not iris.any():
            return None
    return iris, weight if reach(iris, picture.like(iris, SAME) & ~bare).sum() <= 4 else weight / 2


def mean_of(picture: Picture, where: Bools) -> RGB:
    """The mean color of cells, as whole numbers."""
    red, green, blue = np.rint(picture.cells[where].astype(np.float64).mean(0)).astype(int).tolist()
    return red, green, blue
