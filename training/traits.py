"""What a portrait can have, and the colors behind the words: the owner's vocabulary as tables."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.canvas import RGB

Kind = Literal["lady", "lad"]

BACKGROUNDS: dict[str, RGB] = {
    "blue": (52, 104, 220),
    "light blue": (150, 200, 240),
    "dark blue": (24, 32, 96),
    "green": (44, 156, 72),
    "bright neon green": (106, 231, 69),
    "dark green": (22, 74, 46),
    "red": (210, 40, 44),
    "dark red": (112, 18, 34),
    "purple": (122, 60, 182),
    "lavender": (200, 172, 238),
    "orange": (240, 138, 36),
    "peach": (250, 196, 160),
    "yellow": (248, 218, 56),
    "pink": (244, 134, 184),
    "magenta": (206, 28, 128),
    "gray": (136, 138, 142),
    "brown": (122, 78, 46),
    "teal": (20, 138, 140),
    "cyan": (62, 212, 232),
    "black": (18, 16, 22),
    "white": (244, 244, 242),
    "beige": (224, 206, 170),
}
HAIR: dict[str, RGB] = {
    "black": (30, 26, 34),
    "brown": (106, 64, 34),
    "blonde": (230, 194, 108),
    "red": (184, 46, 34),
    "ginger": (222, 116, 40),
    "blue": (50, 92, 214),
    "green": (50, 156, 66),
    "purple": (132, 66, 188),
    "pink": (240, 120, 176),
    "gray": (146, 146, 152),
    "white": (234, 232, 230),
}
SKIN: dict[str, RGB] = {
    "light": (246, 208, 178),
    "medium": (216, 162, 118),
    "tan": (172, 112, 68),
    "dark": (96, 60, 42),
}
EYES: dict[str, RGB] = {
    "brown": (112, 60, 18),
    "blue": (34, 104, 232),
    "green": (26, 158, 66),
    "black": (14, 12, 16),
    "gray": (128, 140, 150),
}
LIPS: dict[str, RGB] = {
    "red": (214, 30, 44),
    "pink": (244, 116, 172),
    "dark red": (116, 10, 32),
    "purple": (138, 52, 178),
    "black": (20, 16, 22),
}
CLOTHES: dict[str, RGB] = {
    "black": (34, 32, 40),
    "white": (232, 232, 236),
    "gray": (112, 114, 122),
    "red": (186, 40, 46),
    "blue": (46, 84, 178),
    "green": (48, 118, 66),
    "purple": (104, 58, 150),
    "orange": (226, 122, 44),
    "yellow": (232, 196, 60),
    "pink": (232, 124, 166),
    "brown": (104, 68, 44),
    "teal": (28, 120, 124),
}
HAT_COLORS: dict[str, tuple[str, ...]] = {
    "top hat": ("black", "gray", "purple", "red"),
    "fedora": ("brown", "gray", "black", "teal"),
    "wizard hat": ("purple", "blue", "green", "red"),
    "baseball cap": ("red", "blue", "black", "green", "orange", "white"),
    "bandana": ("red", "blue", "green", "purple", "white"),
    "beanie": ("gray", "orange", "teal", "pink", "blue"),
    "gold crown": (),
    "tiara": (),
    "flower crown": (),
    "bow": ("red", "pink", "blue", "purple"),
}
HATS = ("top hat", "fedora", "wizard hat", "baseball cap", "bandana", "beanie")
STYLES: dict[Kind, tuple[str, ...]] = {
    "lad": ("bald", "buzz cut", "short", "spiky", "mohawk", "afro", "curly", "long", "slicked back"),
    "lady": ("long", "wavy", "curly", "afro", "bob", "bun", "ponytail", "pigtails", "short", "bald"),
}
PATTERNED = 0.32  # of the backgrounds are not solid
PATTERNS = ("solid", "checkered", "gradient", "split", "striped")
GARMENTS = ("shirt", "suit and tie", "hoodie", "turtleneck", "jacket", "dress")


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What is asked of one portrait; every field but the colors' second ones is named by a caption."""

    kind: Kind
    hair: str
    hair_color: str
    eyes: str
    skin: str
    background: str
    pattern: str = "solid"
    second: str | None = None
    hat: str | None = None
    hat_color: str | None = None
    glasses: Literal["glasses", "stunner shades"] | None = None
    earrings: Literal["hoop", "stud"] | None = None
    necklace: Literal["silver necklace", "gold chain"] | None = None
    beard: Literal["beard", "mustache", "stubble"] | None = None
    joint: bool = False
    smile: bool = False
    lips: str | None = None
    garment: str = "shirt"
    garment_color: str = "black"


def _pick(rng: np.random.Generator, words: tuple[str, ...] | list[str]) -> str:
    return words[int(rng.integers(len(words)))]


def sample(rng: np.random.Generator, patterned: float = PATTERNED) -> Traits:
    """Traits at random; `patterned` is the share of backgrounds that are not solid."""
    kind: Kind = "lady" if rng.random() < 0.5 else "lad"
    hair = _pick(rng, STYLES[kind])
    if hair == "bald" and rng.random() < (0.75 if kind == "lady" else 0.3):
        hair = _pick(rng, STYLES[kind][1:-1])
    pattern = "solid" if rng.random() < 1 - patterned else _pick(rng, PATTERNS[1:])
    background = _pick(rng, list(BACKGROUNDS))
    others = [name for name in BACKGROUNDS if name != background]
    roll = rng.random()
    hat = None
    if roll < 0.3:
        hat = _pick(rng, HATS)
    elif roll < 0.42:
        hat = "gold crown"
    elif roll < 0.58 and kind == "lady":
        hat = _pick(rng, ("tiara", "flower crown", "bow"))
    tints = HAT_COLORS[hat] if hat else ()
    roll = rng.random()
    beard = _pick(rng, ("beard", "beard", "mustache", "stubble")) if kind == "lad" and rng.random() < 0.42 else None
    found = Traits(
        kind=kind,
        hair=hair,
        hair_color=_pick(rng, list(HAIR)),
        eyes=_pick(rng, list(EYES)),
        skin=_pick(rng, list(SKIN)),
        background=background,
        pattern=pattern,
        second=_pick(rng, others) if pattern in ("gradient", "split") else None,
        hat=hat,
        hat_color=_pick(rng, tints) if tints else None,
        glasses="glasses" if roll < 0.16 else "stunner shades" if roll < 0.28 else None,
        earrings=_one(rng, 0.4 if kind == "lady" else 0.15, "hoop", "stud"),
        necklace=_one(rng, 0.22, "silver necklace", "gold chain"),
        beard=beard,  # pyright: ignore[reportArgumentType]
        joint=bool(rng.random() < 0.08),
        smile=bool(rng.random() < 0.4),
        garment=_pick(rng, GARMENTS if kind == "lady" else GARMENTS[:-1]),
        garment_color=_pick(rng, list(CLOTHES)),
        lips=_one(rng, 0.5 if kind == "lady" else 0.15, *LIPS),
    )
    # checkers and stripes are two shades of a color, or two colors
    return replace(found, second=_one(rng, 0.4, *others)) if pattern in ("checkered", "striped") else found


def _one(rng: np.random.Generator, chance: float, *words: str) -> str | None:
    return _pick(rng, words) if rng.random() < chance else None


def ramp(color: RGB, contrast: float = 1.0) -> NDArray[np.uint8]:
    """Deep shadow, shadow, base and light of a color, hue-shifted as painters do: RGB uint8 (4, 3)."""
    base = np.array(color, float)
    cool, warm = np.array([-4, -2, 8.0]), np.array([6, 4, -2.0])
    deep = base * (1 - 0.48 * contrast) + cool
    dark = base * (1 - 0.24 * contrast) + cool / 2
    light = base + (255 - base) * 0.3 * contrast + warm
    return np.clip(np.stack([deep, dark, base, light]), 0, 255).round().astype(np.uint8)
