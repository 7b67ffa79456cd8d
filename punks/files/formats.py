"""Opens picture files without the metadata that cannot change a pixel.

A fault in text, EXIF or resolution tags, or too much of them, makes Pillow refuse the whole picture.
"""

import importlib
import io
import re
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Any

from PIL import Image, ImageCms, JpegImagePlugin
from PIL.ExifTags import Base

from punks.errors import ImageError

# never every format that Pillow knows: EPS would start Ghostscript
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
NAMES = "PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, and HEIC with `pip install 'punks[heic]'`"
SUFFIXES = frozenset({".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".dib"}) | {
    *(".tif", ".tiff", ".avif", ".avifs", ".heic", ".heif", ".hif")
}
# Pillow's errors have no base class of their own (its fuzzers catch Exception): plugins compute with numbers from the
# file, so a bad file raises whatever Python raises for bad values. Left out are errors that only a bug in the code can
# cause, such as NameError and ImportError.
FAULTS = (
    *(ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, MemoryError, OSError),
    *(RuntimeError, SyntaxError, SystemError, TypeError, ValueError, struct.error, zlib.error),
    *(Image.DecompressionBombError, ImageCms.PyCMSError),
)
PNG = b"\x89PNG\r\n\x1a\n"
_RAW_EXIF, _XMP = "Raw profile type exif", "XML:com.adobe.xmp"  # where ImageMagick and Adobe put an orientation
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND")
_MOST_METADATA = 1 << 26  # bytes of a decompressed profile or text
_RESOLUTION = (Base.XResolution, Base.YResolution, Base.ResolutionUnit)
_FIRST_DESCRIPTION = 700  # TIFF tags from here on describe the picture, except for these two
_PROFILE, _LERC = Base.InterColorProfile, 50674


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """The first picture of a JPEG file; broken EXIF counts as none."""

    def getexif(self) -> Image.Exif:
        try:
            return super().getexif()
        except FAULTS:
            return Image.Exif()


def open_image(data: bytes, frame: int | None = None) -> Image.Image:
    """The bytes of a picture file -> a Pillow image, not yet decoded. Raises ImageError and FAULTS."""
    info: dict[str | tuple[int, int], Any] = {}
    formats = FORMATS
    if data.startswith(b"\xff\xd8\xff") and not frame:
        return _Jpeg(io.BytesIO(data))
    if data.startswith(PNG):
        data, info = _split_png(data)
    elif data.startswith((b"II*\0", b"MM\0*")):
        data = _without_tags(data)
    elif data[4:8] == b"ftyp":
        # AVIF and HEIC store the orientation outside EXIF, so nothing is lost by hiding the EXIF item
        data = re.sub(rb"(infe[\2\3].{7,9})Exif", rb"\1none", data, flags=re.DOTALL)
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
            formats = (*FORMATS, "HEIF")
        except ImportError:
            if data[8:10] == b"he":
                raise ImageError("HEIC needs `pip install 'punks[heic]'`; or save it as PNG or JPEG") from None
    image = Image.open(io.BytesIO(data), formats=formats)
    image.info |= info
    return image


def png_texts(data: bytes, keys: Collection[str] | None = None) -> dict[str, str]:
    """The texts of a PNG, or those with these keys."""
    found: dict[str, str] = {}
    for kind, body, _ in _chunks(data):
        key, _, rest = body.partition(b"\0")
        name = key.decode("latin-1")
        if keys is not None and name not in keys:
            continue
        if kind == b"tEXt":
            found[name] = rest.decode("latin-1")
        elif kind == b"zTXt":
            found[name] = _inflate(rest[1:]).decode("latin-1")
        elif kind == b"iTXt":  # compressed or not, method, language, key in that language, text
            text = rest[2:].split(b"\0", 2)[-1]
            found[name] = (_inflate(text) if rest[:1] == b"\1" else text).decode(errors="replace")
    return found


def _split_png(data: bytes) -> tuple[bytes, dict[str | tuple[int, int], Any]]:
    """A PNG without the chunks that make no pixels, and what those say of orientation and color."""
    info: dict[str | tuple[int, int], Any] = {**png_texts(data, (_RAW_EXIF, _XMP))}
    kept = [PNG]
    for kind, body, chunk in _chunks(data):
        if kind in _PIXEL_CHUNKS:
            kept.append(chunk)
        elif kind == b"eXIf":
            info["exif"] = b"Exif\0\0" + body
        elif kind == b"iCCP":
            info["icc_profile"] = _inflate(body.partition(b"\0")[2][1:])
    return b"".join(kept), info


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """The chunks of a PNG up to its end: kind, content, and all of it."""
    at, kind = len(PNG), b""
    while at + 8 <= len(data) and kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length], data[at : at + 12 + length]
        at += 12 + length


def _inflate(data: bytes) -> bytes:
    """Decompressed; empty where that fails or gives too much."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, _MOST_METADATA)
    except zlib.error:
        return b""
    return b"" if stream.unconsumed_tail else found


def _without_tags(data: bytes) -> bytes:
    """A TIFF without the resolution and EXIF of its first picture, which Pillow computes with."""
    order = "<" if data[:1] == b"I" else ">"
    start = struct.unpack_from(f"{order}I", data, 4)[0]
    end = start + 2 + 12 * struct.unpack_from(f"{order}H", data, start)[0]
    entries = [data[at : at + 12] for at in range(start + 2, end, 12)]
    tags = [struct.unpack_from(f"{order}H", entry)[0] for entry in entries]
    kept = [
        entry
        for tag, entry in zip(tags, entries, strict=True)
        if tag in (_PROFILE, _LERC) or (tag < _FIRST_DESCRIPTION and tag not in _RESOLUTION)
    ]
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + data[end : end + 4]
    return data[:start] + directory + data[start + len(directory) :]
