"""Adobe Swatch Exchange (.ase), the palettes of Photoshop and Illustrator: big-endian blocks.

The library `swatch` reads and writes it too, but its last release is from 2014, it checks files with `assert`, and it
counts the letters of names wrongly.
"""

import struct
from collections.abc import Sequence

from PIL import Image

from punks.errors import ImageError

_GROUP, _GROUP_END, _COLOR = 0xC001, 0xC002, 1
_MODELS = {b"RGB ": 3, b"CMYK": 4, b"LAB ": 3, b"Gray": 1}  # numbers of each, 32-bit floats


def read_ase(data: bytes) -> list[tuple[int, ...]]:
    """The RGB colors of all groups, in the order of the file; CMYK without a profile. Raises ImageError."""
    if data[4:6] == b"\xe0\xa5":
        raise ImageError("a sprite of Aseprite, not a palette; save the palette of the sprite as .gpl")
    if data[:4] != b"ASEF":
        raise ImageError("not an Adobe Swatch Exchange file: it does not begin with ASEF")
    rows: list[tuple[int, ...]] = []
    try:
        at = 12
        for _ in range(struct.unpack_from(">I", data, 8)[0]):
            kind, length = struct.unpack_from(">HI", data, at)
            if kind == _COLOR:
                start = at + 8 + 2 * struct.unpack_from(">H", data, at + 6)[0]
                model = data[start : start + 4]
                if model not in _MODELS:
                    raise ImageError(f"color model {model!r}; RGB, CMYK, LAB and Gray are read")
                rows.append(_rgb(model, struct.unpack_from(f">{_MODELS[model]}f", data, start + 4)))
            at += 6 + length
    except struct.error as error:
        raise ImageError("the file is cut off") from error
    return rows


def write_ase(colors: Sequence[tuple[int, int, int]], name: str) -> bytes:
    """The bytes of a file with one group of RGB colors, each named by its hex code."""
    blocks = [_block(_GROUP, _text(name))]
    for color in colors:
        levels = struct.pack(">4s3fH", b"RGB ", *(level / 255 for level in color), 0)
        blocks.append(_block(_COLOR, _text("{:02x}{:02x}{:02x}".format(*color)) + levels))
    blocks.append(_block(_GROUP_END, b""))
    return struct.pack(">4sHHI", b"ASEF", 1, 0, len(blocks)) + b"".join(blocks)


def _rgb(model: bytes, values: Sequence[float]) -> tuple[int, ...]:
    if model == b"LAB ":  # lightness 0 to 1, a and b -128 to 127
        values = (values[0], *((value + 128) / 255 for value in values[1:]))
    if not all(-0.001 <= value <= 1.001 for value in values):
        raise ImageError(f"{model.decode().strip()} values out of range: {', '.join(f'{v:g}' for v in values)}")
    levels = tuple(min(max(round(value * 255), 0), 255) for value in values)
    if model in (b"RGB ", b"Gray"):
        return levels * (3 // len(levels))
    pixel = Image.new(model.decode().strip(), (1, 1), levels).convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(map(int, pixel))


def _block(kind: int, body: bytes) -> bytes:
    return struct.pack(">HI", kind, len(body)) + body


def _text(text: str) -> bytes:
    units = f"{text}\0".encode("utf-16-be")
    return struct.pack(">H", len(units) // 2) + units
