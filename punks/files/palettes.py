"""Palette files, read and written."""

import logging
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from punks.errors import ImageError
from punks.files.ase import read_ase, write_ase
from punks.files.formats import open_image
from punks.files.pictures import convert, decode, faults, local, read_bytes
from punks.files.png import write_bytes
from punks.palette import MAX_COLORS, parse_color
from punks.vocabulary import Color

Row = tuple[int, ...]  # red, green, blue, perhaps alpha
log = logging.getLogger(__name__)


def read_palette(path: Path) -> list[Color]:
    """The colors of a palette file, once each, in its order; entries with alpha 0 are skipped. Raises ImageError.

    A picture gives its color table where it has one, else the colors of its pixels, row by row.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageError(f"{path}: {suffix or 'no suffix'} is not a palette format; use {', '.join(sorted(SUFFIXES))}")
    with faults(f"{path}: "):
        rows = _READERS[suffix](read_bytes(path)) if suffix in _READERS else _picture_colors(path)
        for row in rows:
            if not (len(row) in (3, 4) and all(0 <= level <= 255 for level in row)):
                raise ImageError(f"{' '.join(map(str, row))} is not a color; levels are 0 to 255")
        colors = list(dict.fromkeys(row[:3] for row in rows if row[3:] != (0,)))
        if not 1 <= len(colors) <= MAX_COLORS:
            clear = len(rows) - len(colors) if not colors else 0
            what = f"all {clear} entries are transparent" if clear else f"{len(colors)} colors"
            raise ImageError(f"{what}; a palette has 1 to {MAX_COLORS}")
        return [(red, green, blue) for red, green, blue in colors]


def write_palette(path: Path, colors: Sequence[Color], name: str = "punks") -> None:
    """Write a palette file, .gpl, .hex, .pal (JASC) or .ase by its suffix. Raises ImageError."""
    name = " ".join(name.split())
    codes = ["{:02x}{:02x}{:02x}".format(*color) for color in colors]
    numbers = [" ".join(map(str, color)) for color in colors]
    if not colors:
        raise ImageError(f"{path}: there are no colors to write")
    match path.suffix.lower():
        case ".gpl":
            rows = [f"{row}\t{code}" for row, code in zip(numbers, codes, strict=True)]
            data = "\n".join(["GIMP Palette", f"Name: {name}", "Columns: 8", "#", *rows, ""]).encode()
        case ".hex":
            data = "\n".join([*codes, ""]).encode()
        case ".pal":
            data = "\r\n".join(["JASC-PAL", "0100", str(len(colors)), *numbers, ""]).encode()
        case ".ase":
            data = write_ase(colors, name)
        case suffix:
            raise ImageError(f"{path}: {suffix or 'no suffix'} cannot be written; use .gpl, .hex, .pal or .ase")
    write_bytes(local(path), data)


def _lines(data: bytes, comment: str = "") -> Iterator[tuple[int, str]]:
    """The lines that are neither blank nor comments, and their numbers. Names may be in any encoding."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    for number, line in enumerate(data.decode(encoding, errors="replace").splitlines(), 1):
        if (text := line.strip()) and not (comment and text.startswith(comment)):
            yield number, text


def _hex(data: bytes) -> list[Row]:
    """A color a line, as Lospec writes it."""
    return [parse_color(text, f"line {number}") for number, text in _lines(data, ";")]


def _paint_net(data: bytes) -> list[Row]:
    """AARRGGBB or RRGGBB a line."""
    rows: list[Row] = []
    for number, text in _lines(data, ";"):
        found = re.fullmatch(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{6})", text)
        rows.append((*bytes.fromhex(found[2] + found[1]),) if found else parse_color(text, f"line {number}"))
    return rows


def _gpl(data: bytes) -> list[Row]:
    """GIMP: `R G B name` lines; `R G B A name` after the header `Channels: RGBA`, as Aseprite writes it."""
    lines = list(_lines(data, "#"))
    if not lines or lines[0][1] != "GIMP Palette":
        raise ImageError("a .gpl file begins with the line 'GIMP Palette'")
    channels = 3
    rows: list[Row] = []
    for number, text in lines[1:]:
        if header := re.match(r"([A-Za-z]\w*):\s*(.*)", text):
            channels = 4 if header.groups() == ("Channels", "RGBA") else channels
        elif numbers := re.match(rf"(?:(?:^|\s+)\d{{1,3}}(?!\S)){{{channels}}}", text):
            rows.append(tuple(map(int, numbers[0].split())))
        else:
            raise ImageError(f"line {number} is not '{'R G B A'[: 2 * channels - 1]} name': {text[:40]!r}")
    return rows


def _pal(data: bytes) -> list[Row]:
    """JASC (Paint Shop Pro), text; or RIFF (Microsoft), binary."""
    if data[:4] == b"RIFF" and data[8:16] == b"PAL data":
        count = struct.unpack_from("<H", data, 22)[0]
        return [struct.unpack_from("<3B", data, 24 + 4 * entry) for entry in range(count)]
    lines = [text for _, text in _lines(data)]
    if lines[:1] != ["JASC-PAL"] or not all(re.fullmatch(r"\d{1,3}(\s+\d{1,3}){2,3}", text) for text in lines[3:]):
        raise ImageError("neither a JASC palette ('JASC-PAL', '0100', the count, then 'R G B' lines) nor a RIFF one")
    if lines[2:3] != [str(len(lines) - 3)]:
        raise ImageError(
            f"the third line says {lines[2] if lines[2:] else 'no'} colors, but there are {len(lines) - 3}"
        )
    return [tuple(map(int, text.split())) for text in lines[3:]]


def _act(data: bytes) -> list[Row]:
    """Adobe Color Table: 256 RGB entries, then perhaps how many of them count and which one is transparent."""
    if len(data) not in (768, 772):
        raise ImageError(f"an .act file has 768 or 772 bytes, this one has {len(data)}")
    rows: list[Row] = [tuple(data[at : at + 3]) for at in range(0, 768, 3)]
    if len(data) == 768:
        return _unpadded(rows, 1)
    count, clear = struct.unpack_from(">HH", data, 768)
    return [(*row, 0 if number == clear else 255) for number, row in enumerate(rows[:count])]


def _picture_colors(path: Path) -> list[Row]:
    image = open_image(read_bytes(path), 0)
    decode(image, 0)
    if image.mode == "P":
        image = _color_table(image)
    picture = convert(image, 0)
    for warning in picture.warnings:
        log.warning("%s: %s", path, warning)
    pixels = np.array(picture.image.convert("RGBA")).reshape(-1, 4)
    pixels[pixels[:, 3] == 0] = 0
    _, first = np.unique(pixels.view(np.uint32).ravel(), return_index=True)
    return [tuple(row) for row in pixels[np.sort(first)].tolist()]


def _color_table(image: Image.Image) -> Image.Image:
    """The color table of an indexed picture as one row of pixels, without padding."""
    levels = image.getpalette() or []
    rows: list[Row] = [tuple(levels[at : at + 3]) for at in range(0, len(levels), 3)]
    count = len(_unpadded(rows, int(np.asarray(image).max()) + 1))
    row = Image.fromarray(np.arange(count, dtype=np.uint8)[None]).convert("P")
    row.putpalette(levels)
    row.info = {key: image.info[key] for key in ("transparency", "icc_profile") if key in image.info}
    return row


def _unpadded(rows: list[Row], used: int) -> list[Row]:
    """The entries without the padding of a table of fixed size: black, at the end, used by no pixel."""
    while len(rows) > used and rows[-1] == (0, 0, 0):
        rows = rows[:-1]
    return rows


_READERS: dict[str, Callable[[bytes], list[Row]]] = {
    ".hex": _hex,
    ".gpl": _gpl,
    ".pal": _pal,
    ".txt": _paint_net,
    ".ase": read_ase,
    ".act": _act,
}
SUFFIXES = frozenset({*_READERS, ".png", ".gif", ".webp"})
