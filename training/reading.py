"""Reads a 24x24 picture by the cells that the generator knows: which traits does it show?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from punks.snap.color import ciede2000, lab
from training.canvas import RGB, rows
from training.portraits import HATS, Traits, backdrop, draw
from training.traits import BACKGROUNDS, EYES, HAIR, HAT_COLORS, LIPS, PATTERNS, SKIN, ramp

Cells = NDArray[np.uint8]
Mask = NDArray[np.bool_]
DRAWS = 16
PARTS = ("hat", "crown", "glasses", "beard")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was found. `background` is CIEDE2000 from the named color; None where the trait cannot be seen."""

    background: float | None
    skin: bool
    eyes: bool | None
    hair: bool | None
    lips: bool | None
    smile: bool
    parts: dict[str, bool]


@lru_cache(maxsize=4096)
def examples(traits: Traits) -> tuple[Cells, dict[str, Mask]]:
    """Portraits of these traits (DRAWS, 24, 24, 3), and the cells that every one of them gives to a trait."""
    drawn = [draw(traits, np.random.default_rng([DRAWS, i])) for i in range(DRAWS)]
    names = set.intersection(*(set(one.masks) for one in drawn))
    known = {name: np.logical_and.reduce([one.masks[name] for one in drawn]) for name in names}
    return np.stack([one.cells for one in drawn]), known


def read(cells: Cells, traits: Traits) -> Reading:
    """Compares a picture of uint8 (24, 24, 3) with what was asked for."""
    known = examples(traits)[1]
    eyes = [known.get(side) for side in ("left eye", "right eye")]
    seen = [nearest_eyes(cells, eye) == traits.eyes for eye in eyes if eye is not None and eye.any()]
    hair, bald = known.get("hair"), traits.hair == "bald"
    lips = known.get("mouth", np.zeros_like(known["skin"])) & (rows <= 16)  # below, they mix with the skin
    return Reading(
        background=_background(cells, known["background"], traits),
        skin=_skin(cells, known["skin"]) == traits.skin,
        eyes=all(seen) if len(seen) == 2 else None,
        hair=None if bald or hair is None or hair.sum() < 3 else _names(cells, hair, _ramps(HAIR)) == traits.hair_color,
        lips=_nearest(cells, lips, LIPS) == traits.lips if traits.lips and lips.any() else None,
        smile=_shows(cells, traits, "smile"),
        parts={part: _shows(cells, traits, part) for part in PARTS},
    )


def asked(traits: Traits, part: str) -> bool:
    """Whether a caption asks for a smile, or for a part of PARTS."""
    return {
        "hat": traits.hat in HATS,
        "crown": traits.hat == "gold crown",
        "glasses": traits.glasses is not None,
        "beard": traits.beard == "beard",
        "smile": traits.smile,
    }[part]


def _background(cells: Cells, where: Mask, traits: Traits) -> float | None:
    if traits.pattern != "solid":
        return None
    found = np.median(cells[where], axis=0).astype(np.float32)
    return float(ciede2000(lab(found), lab(np.array(BACKGROUNDS[traits.background], np.float32))))


def ground(traits: Traits) -> Mask:
    """The cells that no figure of these traits comes near in any portrait: bool (24, 24).

    A painted outline lies where the hand of the day put it, a cell beside the drawn ones as often as not.
    """
    apart = np.pad(examples(traits)[1]["background"], 1, constant_values=True)
    return apart[1:-1, 1:-1] & apart[2:, 1:-1] & apart[:-2, 1:-1] & apart[1:-1, 2:] & apart[1:-1, :-2]


def shows_pattern(cells: Cells, traits: Traits) -> bool:
    """Whether the background is nearer to the pattern asked for than to any other or a plain one, and 80% of it right.

    A cell is right whose nearest color of the pattern's is its own, on a gradient perhaps that of the band beside.
    """
    where, drawn = ground(traits), patterns(traits)
    picture = drawn.pop(traits.pattern)
    others = [one[where] for one in drawn.values()] + [np.median(cells[where], axis=0), picture[-1, -1]]
    found = lab(cells[where])
    gaps = [np.minimum(ciede2000(found, lab(one)), 30).mean() for one in (picture[where], *others)]
    tones = lab(_tones(picture, traits))
    near, own = (ciede2000(one[:, None], tones).argmin(1) for one in (found, lab(picture[where])))
    right = np.abs(near - own) <= (traits.pattern == "gradient")
    return bool(gaps[0] < min(gaps[1:]) and right.mean() >= 0.8)


def pattern_gap(cells: Cells, traits: Traits) -> float:
    """How far the pattern's colors are from those asked for: the median CIEDE2000 of the color that is furthest."""
    where, picture = ground(traits), patterns(traits)[traits.pattern]
    own, gaps = picture[where], ciede2000(lab(cells[where]), lab(picture[where]))
    places = [(own == tone).all(-1) for tone in _tones(picture, traits)]
    return max(float(np.median(gaps[place])) for place in places if place.any())


def patterns(traits: Traits) -> dict[str, Cells]:
    """The generator's backgrounds in these traits' colors, by pattern."""
    return {name: backdrop(replace(traits, pattern=name), BACKGROUNDS[traits.background]) for name in PATTERNS}


def _tones(picture: Cells, traits: Traits) -> Cells:
    """A background's colors; a gradient's bands in their order."""
    return picture[::4, 0] if traits.pattern == "gradient" else np.unique(picture.reshape(-1, 3), axis=0)


def _skin(cells: Cells, where: Mask) -> str:
    """The skin whose base tone is nearest to the median: the lights of one skin are the base of the next."""
    found = lab(np.median(cells[where], axis=0).astype(np.float32))
    gaps = {name: float(ciede2000(found, lab(np.array(tone, np.float32)))) for name, tone in SKIN.items()}
    return min(gaps, key=lambda name: gaps[name])


def _ramps(table: Mapping[str, RGB]) -> dict[str, Cells]:
    return {name: ramp(color, 0.8)[1:] for name, color in table.items()}


def nearest_eyes(cells: Cells, where: Mask) -> str:
    """The eye color that these cells are nearest to."""
    return _nearest(cells, where, EYES)


def _nearest(cells: Cells, where: Mask, table: Mapping[str, RGB]) -> str:
    return _names(cells, where, {name: np.array([color], np.uint8) for name, color in table.items()})


def _names(cells: Cells, where: Mask, tones: Mapping[str, Cells]) -> str:
    """The name whose tones explain these cells best."""
    found = lab(cells[where])[:, None]
    gaps = {name: ciede2000(found, lab(values)[None]).min(1).mean() for name, values in tones.items()}
    return min(gaps, key=lambda name: gaps[name])


def _shows(cells: Cells, traits: Traits, part: str) -> bool:
    """Whether the picture is nearer to the generator's pictures with the part than to those without it."""
    bare = _bare(traits, part)
    others = [traits] if asked(traits, part) else _dressed(bare, part)
    plain = [traits] if not asked(traits, part) else [bare]
    if asked(traits, part) and part in ("hat", "crown"):
        plain += [replace(bare, hat=name, hat_color=None) for name in ("gold crown",) if name != traits.hat]
    having = np.concatenate([examples(one)[0] for one in others])
    lacking = np.concatenate([examples(one)[0] for one in plain])
    where = np.any(np.median(having, 0) != np.median(lacking, 0), axis=-1)
    found = lab(cells[where])
    gaps = [np.minimum(ciede2000(lab(group[:, where]), found), 30).mean(1).min() for group in (having, lacking)]
    return bool(gaps[0] < gaps[1])


def _bare(traits: Traits, part: str) -> Traits:
    if part == "smile":
        return replace(traits, smile=False)
    if part in ("hat", "crown"):
        return replace(traits, hat=None, hat_color=None)
    return replace(traits, glasses=None) if part == "glasses" else replace(traits, beard=None)


def _dressed(bare: Traits, part: str) -> list[Traits]:
    if part == "smile":
        return [replace(bare, smile=True)]
    if part == "hat":
        return [replace(bare, hat=name, hat_color=tint) for name in HATS for tint in HAT_COLORS[name][:2]]
    if part == "crown":
        return [replace(bare, hat="gold crown")]
    if part == "glasses":
        return [replace(bare, glasses="glasses"), replace(bare, glasses="stunner shades")]
    return [replace(bare, beard="beard")]
