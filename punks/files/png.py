"""PNG and lossless WebP files that carry texts, such as their recipe; written whole or not at all.

Pillow writes an enlarged punk of 1024 px in 12 ms in mode P and in 25 ms in mode RGB, the writer of rows here in 1.4.
"""

import contextlib
import functools
import io
import json
import secrets
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo, putchunk
from zlib_ng import zlib_ng

from punks.errors import ImageError, RecipeError
from punks.files.formats import PNG, png_texts
from punks.files.parameters import KEY as PARAMETERS
from punks.files.pictures import faults, read_bytes

# the recipe and the finish as JSON, and what finishing needs of the painting
RECIPE, CELLS = "punks-recipe", "punks-cells"
_TAGS = {RECIPE: Base.ImageDescription, CELLS: Base.ImageHistory}  # of a WebP's EXIF
_UNICODE = b"UNICODE\0"  # how a comment in EXIF begins that is UTF-16
# beginnings of keys whose texts are not handed on: ours are made anew, and an orientation or profile was applied
OWN_TEXTS = (RECIPE, CELLS, "Raw profile type", "XML:com.adobe.xmp")
_LONG = 10_000  # characters of texts that are compressed
_NONE: Mapping[str, str] = MappingProxyType({})
UP = b"\x02"  # the filter that stores a row as its difference from the row above


def write_png(image: Image.Image, path: Path, texts: Mapping[str, str] = _NONE, dpi: int | None = None) -> None:
    """Writes a lossless PNG with each text in a chunk of its own. A killed program leaves no file of that name."""
    options: dict[str, Any] = {} if dpi is None else {"dpi": (dpi, dpi)}
    # a quarter of the time of the usual strategy, at the same size
    save = functools.partial(image.save, format="PNG", pnginfo=_info(texts), compress_type=zlib.Z_RLE, **options)
    write_file(path, save)


def write_rows(rows: NDArray[np.uint8], counts: NDArray[np.intp], path: Path, texts: Mapping[str, str] = _NONE) -> None:
    """Writes as `write_png` does a picture of rows (N, width, 3 or 4), each `counts` times, in a tenth of the time."""
    write_file(path, functools.partial(_encode, rows, counts.tolist(), _info(texts)))


def write_indexed(cells: NDArray[np.uint8], size: int, path: Path, texts: Mapping[str, str] = _NONE) -> None:
    """Writes cells (grid, grid, 3 or 4) as a PNG with a color table, the most used color first, `size` px wide.

    Raises RecipeError for more than 256 colors.
    """
    flat = cells.reshape(-1, cells.shape[2])
    table, index, counts = np.unique(flat, axis=0, return_inverse=True, return_counts=True)
    if len(table) > 256:
        raise RecipeError("indexed", f"{len(table)} colors", "a color table holds 256; use --colors 256 or fewer")
    order = np.argsort(-counts, kind="stable")
    place = np.argsort(order)[index.ravel()].reshape(cells.shape[:2]).astype(np.uint8)
    borders = np.diff(np.rint(np.arange(len(cells) + 1) * size / len(cells)).astype(int))
    image = Image.fromarray(place.repeat(borders, 0).repeat(borders, 1))
    image.putpalette(table[order, :3].tobytes())
    clear = {} if cells.shape[2] == 3 else {"transparency": bytes(table[order, 3].tolist())}
    write_file(path, functools.partial(image.save, format="PNG", pnginfo=_info(texts), **clear))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole, or not at all. Raises ImageError."""
    write_file(path, lambda file: file.write(content))


def _info(texts: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    for key, text in texts.items():
        if key in _TAGS:
            info.add_itxt(key, text)
        else:
            info.add_text(key, text, zip=len(text) > _LONG)
    return info


def _encode(rows: NDArray[np.uint8], counts: list[int], info: PngInfo, file: BinaryIO) -> None:
    """A PNG of rows (N, width, 3 or 4), each `counts` times, without building the whole picture. w3.org/TR/png-3"""
    _, width, channels = rows.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, sum(counts), 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    putchunk(file, b"IHDR", header)
    for kind, data, *_ in info.chunks:
        putchunk(file, kind, data)
    differences = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    deflate, parts, checksum = _deflate(), [b"\x78\x01"], 1  # how a zlib stream begins, and its checksum
    for difference, count in zip(differences, counts, strict=True):
        row = UP + difference.tobytes()
        same, packed = _same(width * channels, count - 1)
        parts += deflate.compress(row), deflate.flush(zlib.Z_FULL_FLUSH), packed
        for raw in (row, same):
            checksum: int = zlib_ng.adler32(raw, checksum)  # pyright: ignore[reportUnknownMemberType]
    putchunk(file, b"IDAT", *parts, deflate.flush(), struct.pack(">I", checksum))
    putchunk(file, b"IEND")


def _deflate() -> Any:
    # level 3 takes half the time of the usual 6 for a hundredth more bytes
    return zlib_ng.compressobj(3, zlib.DEFLATED, -zlib.MAX_WBITS)  # pyright: ignore[reportUnknownMemberType]


@functools.lru_cache(4)
def _same(length: int, count: int) -> tuple[bytes, bytes]:
    """Rows that equal the one above, `count` of `length` bytes; and compressed, to stand behind any full flush."""
    rows = (UP + bytes(length)) * count
    deflate = _deflate()
    return rows, deflate.compress(rows) + deflate.flush(zlib.Z_FULL_FLUSH)


def write_webp(image: Image.Image, path: Path, texts: Mapping[str, str] = _NONE) -> None:
    """Writes a lossless WebP; its EXIF takes the recipe, the cells and `parameters`, where the web UI reads it."""
    exif = Image.Exif()
    for key in _TAGS.keys() & texts.keys():
        exif[_TAGS[key]] = f"{key} {json.dumps(texts[key])[1:-1]}"  # EXIF text is ASCII
    if PARAMETERS in texts:
        # in a bytearray: Pillow writes bytes with the type of numbers, which readers refuse here
        exif[IFD.Exif] = {Base.UserComment: (bytearray(_UNICODE + texts[PARAMETERS].encode("utf-16-be")),)}
    write_file(path, functools.partial(image.save, format="WEBP", lossless=True, exact=True, exif=exif))


def write_file(path: Path, save: Callable[[BinaryIO], object]) -> None:
    """Writes what `save` puts into a file whole, or not at all. Raises ImageError."""
    part = path.with_name(f".punk.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            save(file)
        part.replace(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with contextlib.suppress(OSError):  # the error that counts was said
            part.unlink(missing_ok=True)


def read_texts(path: Path) -> dict[str, str]:
    """The texts of a PNG, whatever its suffix; from a WebP or JPEG, those in its EXIF. Raises ImageError."""
    with faults(f"{path}: "):
        data = read_bytes(path)
        if data.startswith(PNG):
            return png_texts(data)
    return _exif_texts(data) if data[8:12] == b"WEBP" or data.startswith(b"\xff\xd8\xff") else {}


def _exif_texts(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    with contextlib.suppress(ImageError), faults():  # the EXIF of another program may be broken
        exif = Image.open(io.BytesIO(data), formats=["WEBP", "JPEG"]).getexif()
        for key, tag in _TAGS.items():
            name, _, text = str(exif.get(tag, "")).partition(" ")
            if name == key:
                # version 0.1 wrote the JSON itself, with its quotes as they are
                found[key] = text if text.startswith('{"') else json.loads(f'"{text}"')
        comment = exif.get_ifd(IFD.Exif).get(Base.UserComment, b"")
        if isinstance(comment, bytes) and comment.startswith(_UNICODE):
            text = comment.removeprefix(_UNICODE)
            little = text[1::2].count(0) > text[::2].count(0)  # the web UI writes big-endian, some tools do not
            found[PARAMETERS] = text.decode("utf-16-le" if little else "utf-16-be", errors="replace")
    return found
