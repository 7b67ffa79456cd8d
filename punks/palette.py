"""Colors as people write them, palettes of them, and how far apart two colors look."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import webcolors  # pyright: ignore[reportMissingTypeStubs]

from punks.errors import RecipeError
from punks.vocabulary import COLORS, PATTERNS, Color

MAX_COLORS = 576  # a punk has 24x24 cells
_HEX = re.compile(r"#?([0-9a-f]{6}|[0-9a-f]{3})")
_CODE = re.compile(r"#([0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b")
_WORDS = {name.replace(" ", ""): color for name, color in COLORS.items()}


def hex_of(color: Color) -> str:
    """RGB 0-255 -> `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def parse_color(text: str, field: str = "color") -> Color:
    """`#6ae745`, `6ae745`, `#abc`, a word of the captions (`dark blue`), or a CSS name -> RGB 0-255.

    The words of the captions come first: `teal` is their teal. Raises RecipeError.
    """
    word = text.strip().lower()
    if code := _HEX.fullmatch(word):
        return _rgb(code[1])
    joined = "".join(word.split()).replace("grey", "gray")
    if joined in _WORDS:
        return _WORDS[joined]
    try:
        color = webcolors.name_to_rgb(joined)
    except ValueError:
        raise RecipeError(field, text, "use a hex code such as #6ae745 or a color name such as teal") from None
    return color.red, color.green, color.blue


def background_color(words: str) -> Color | None:
    """The one color that a background is described with: `teal`, `blue solid background`, `(#6ae745)`; else None."""
    parts = [word for word in re.findall(r"[^\s,;()]+", words.lower()) if word not in ("solid", "background")]
    if any(word in PATTERNS for word in parts):
        return None
    if code := _CODE.search(words):
        return _rgb(code[1])
    try:
        return parse_color(" ".join(parts))
    except RecipeError:
        return None


def hex_codes(text: str) -> list[Color]:
    """The colors that a text writes as #rgb or #rrggbb, in order, each once."""
    return list(dict.fromkeys(_rgb(code) for code in _CODE.findall(text)))


def _rgb(code: str) -> Color:
    code = "".join(digit * 2 for digit in code) if len(code) == 3 else code
    red, green, blue = bytes.fromhex(code)
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Palette:
    """1 to 576 different colors, RGB 0-255, in the order given. Raises RecipeError."""

    colors: tuple[Color, ...]

    def __post_init__(self) -> None:
        for color in self.colors:
            if len(color) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in color):
                raise RecipeError("palette", color, "a color is three whole numbers from 0 to 255")
        object.__setattr__(self, "colors", tuple(dict.fromkeys(self.colors)))
        if not 1 <= len(self.colors) <= MAX_COLORS:
            raise RecipeError("palette", f"{len(self.colors)} colors", f"use 1 to {MAX_COLORS}")

    @classmethod
    def parse(cls, given: object) -> "Palette":
        """The palette of text with commas or spaces between colors, or of a sequence of names, codes, RGB triples."""
        if isinstance(given, Palette):
            return given
        if isinstance(given, str):
            # names may have spaces inside, codes not: "#fff #000" and "dark blue, teal" both work
            parts = re.split(r"[,;\n]|\s+(?=#)|(?<=[0-9a-fA-F])\s+(?=[0-9a-fA-F]{3,6}\b)", given)
            given = [part for part in parts if part.strip()]
        elif hasattr(given, "tolist"):
            given = cast("Any", given).tolist()
        if not isinstance(given, Iterable):
            raise RecipeError("palette", given, "use colors separated by commas")
        rows = cast("Iterable[Any]", given)
        return cls(tuple(parse_color(one, "palette") if isinstance(one, str) else _triple(one) for one in rows))

    @property
    def hexes(self) -> list[str]:
        """The colors as `#rrggbb`."""
        return [hex_of(color) for color in self.colors]

    def __str__(self) -> str:
        return ",".join(self.hexes)


def _triple(color: Any) -> Color:
    try:
        red, green, blue = (int(part) for part in color)
    except (TypeError, ValueError):
        raise RecipeError("palette", color, "a color is three whole numbers from 0 to 255") from None
    return red, green, blue


def difference(one: Color, two: Color) -> float:
    """CIEDE2000 between two RGB colors. Sharma, Wu, Dalal, Color Res. Appl. 30 (2005) 21-30."""
    (l1, a1, b1), (l2, a2, b2) = _lab(one), _lab(two)
    mean7 = ((math.hypot(a1, b1) + math.hypot(a2, b2)) / 2) ** 7
    g = 1.5 - 0.5 * math.sqrt(mean7 / (mean7 + 25.0**7))
    a1, a2 = a1 * g, a2 * g
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = math.atan2(b1, a1), math.atan2(b2, a2)
    turn = (h2 - h1 + math.pi) % (2 * math.pi) - math.pi
    hue = math.degrees(h1 + turn / 2) % 360
    lm, cm = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 + sum(
        weight * math.cos(math.radians(times * hue + shift))
        for weight, times, shift in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    )
    twist = math.sin(math.radians(60 * math.exp(-(((hue - 275) / 25) ** 2))))
    twist *= -2 * math.sqrt(cm**7 / (cm**7 + 25.0**7))
    dl = (l2 - l1) / (1 + 0.015 * (lm - 50) ** 2 / math.sqrt(20 + (lm - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * cm)
    dh = 2 * math.sqrt(c1 * c2) * math.sin(turn / 2) / (1 + 0.015 * cm * t)
    return math.sqrt(max(dl * dl + dc * dc + dh * dh + twist * dc * dh, 0.0))


def _lab(color: Color) -> tuple[float, float, float]:
    """sRGB 0-255 -> CIELAB (D65, 2 degrees)."""
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (part / 255 for part in color))
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b
    z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883
    fx, fy, fz = (math.cbrt(v) if v > (6 / 29) ** 3 else v * (841 / 108) + 4 / 29 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
