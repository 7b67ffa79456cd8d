"""Colours as people write them: hex codes, names, and palette files (.hex, .gpl, .png)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from punks.errors import ImageError, RecipeError
from punks.files.pictures import open_picture

Color = tuple[int, int, int]
MAX_COLORS = 576
_HEX = re.compile(r"#?(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})")
_GPL = re.compile(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})(?:\s|$)")


def parse_color(text: str, field: str = "colour") -> Color:
    """`#6ae745`, `6ae745`, `#abc` or a CSS name -> RGB 0-255. Raises RecipeError."""
    word = text.strip().lower()
    if _HEX.fullmatch(word):
        word = "#" + word.removeprefix("#")
    elif not word.isalpha() or word not in ImageColor.colormap:
        raise RecipeError(field, text, "give a hex code such as #6ae745 or a CSS colour name such as teal")
    red, green, blue = ImageColor.getrgb(word)[:3]
    return red, green, blue


def parse_palette(
    colors: Sequence[str | Sequence[int]] | NDArray[np.uint8], field: str = "palette"
) -> NDArray[np.uint8]:
    """Hex codes, names or RGB triples -> uint8 (K, 3), once each, in the order given. Raises RecipeError."""
    rows: list[Color] = []
    for color in colors:
        if isinstance(color, str):
            rows.append(parse_color(color, field))
            continue
        row = [int(v) for v in color]
        if len(row) != 3 or not all(0 <= v <= 255 for v in row):
            raise RecipeError(field, row, "a colour is three numbers from 0 to 255")
        rows.append((row[0], row[1], row[2]))
    rows = list(dict.fromkeys(rows))
    if not 1 <= len(rows) <= MAX_COLORS:
        raise RecipeError(field, f"{len(rows)} colours", f"1 to {MAX_COLORS} of them")
    return np.array(rows, np.uint8)


def read_palette(path: Path) -> NDArray[np.uint8]:
    """A palette file -> uint8 (K, 3), in the order of the file. Raises ImageError.

    .hex (lospec): a code a line. .gpl (GIMP): `R G B name` lines. .png: its pixels' colours, row by row.
    """
    if path.suffix.lower() == ".png":
        picture = np.asarray(open_picture(path).convert("RGB")).reshape(-1, 3)
        colors, first = np.unique(picture, axis=0, return_index=True)
        rows: list[str | Sequence[int]] = list(colors[np.argsort(first)].tolist())
    else:
        rows = _text_rows(path)
    try:
        return parse_palette(rows)
    except RecipeError as error:
        raise ImageError(f"{path}: {error}") from error


def _text_rows(path: Path) -> list[str | Sequence[int]]:
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{path}: cannot be read as a palette: {error}") from error
    rows: list[str | Sequence[int]] = []
    match path.suffix.lower():
        case ".hex":
            rows += [line for line in lines if line and not line.startswith(";")]
        case ".gpl":
            if not lines or lines[0] != "GIMP Palette":
                raise ImageError(f"{path}: a .gpl file begins with the line 'GIMP Palette'")
            for number, line in enumerate(lines[1:], 2):
                if not line or line.startswith("#") or re.match(r"(Name|Columns|Channels):", line):
                    continue
                if not (found := _GPL.match(line)):
                    raise ImageError(f"{path}: line {number} is not 'R G B name': {line[:40]!r}")
                rows.append([int(v) for v in found.groups()])
        case suffix:
            raise ImageError(f"{path}: {suffix or 'no suffix'} is not a palette file; give .hex, .gpl or .png")
    return rows
