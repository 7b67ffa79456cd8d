"""Picture files with faults in their structure: chunks, segments, tags and boxes, each valid in itself."""

import functools
import io
import random
import struct
import zlib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from PIL import Image

Entry = tuple[int, int, int, bytes]  # tag, type, count, value or offset
HEIC = ("HEIF",) if find_spec("pillow_heif") else ()
if HEIC:
    import_module("pillow_heif").register_heif_opener()
ROOM = b"x" * 400
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8, 12: 8, 13: 4}


def ifd(entries: list[Entry], start: int = 8, magic: bytes = b"II*\0") -> bytes:
    """A little-endian TIFF header and directory: EXIF, or the beginning of a TIFF file."""
    directory, after = struct.pack("<H", len(entries)), b""
    end = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        if len(value) > 4:
            value, after = struct.pack("<I", end + len(after)), after + value
        directory += struct.pack("<HHI4s", tag, kind, count, value)
    return magic + struct.pack("<I", start) + bytes(start - 8) + directory + bytes(4) + after


def turned(entries: list[Entry]) -> bytes:
    """EXIF that says orientation 6, and these entries beside it."""
    return ifd(sorted([(0x112, 3, 1, struct.pack("<H", 6)), *entries]))


def odd_exif(draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """EXIF with a good orientation 6 and one thing wrong beside it."""
    for tag in (0x11A, 0x11B, 0x128, 0x131, 0x8769, 0x8825, 0x2BC, 0x10F):
        for kind in (2, 3, 5, 7, 10, 12):
            count = draw.choice([0, 1, 2, 7])
            yield (
                f"tag {tag:#x} of type {kind} x {count}",
                turned([(tag, kind, count, draw.randbytes(SIZES[kind] * count))]),
            )
    yield "rational -1/1", turned([(0x11A, 10, 1, struct.pack("<ii", -1, 1))])
    yield "rational 1/0", turned([(0x11A, 5, 1, bytes(8))])
    yield "nan", turned([(0x11A, 12, 1, struct.pack("<d", float("nan")))])
    yield "resolution as words", turned([(0x11A, 2, 4, b"300\0"), (0x128, 3, 1, b"\3\0")])
    yield "an unknown type", turned([(0x131, 99, 4, b"abcd")])
    yield "a count of 4 billion", turned([(0x131, 7, 2**32 - 1, b"\x20\0\0\0")])
    yield "an offset behind the end", turned([(0x131, 7, 99, b"\xff\xff\xff\x7f")])
    yield "a directory in itself", turned([(0x8769, 4, 1, struct.pack("<I", 8)), (0x8825, 4, 1, struct.pack("<I", 8))])
    yield "twice the same tag", turned([(0x131, 2, 4, b"ab\0\0"), (0x131, 2, 4, b"cd\0\0")])


BROKEN_EXIF = {
    "empty": b"",
    "no header": b"nothing of the kind",
    "half a header": b"II*\0\x08",
    "BigTIFF with an offset of 2**64-1": b"II+\0\x08\0\0\0" + b"\xff" * 8,
    "a directory behind the end": b"II*\0\xff\xff\xff\xff",
    "65535 entries": b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 40,
    "zeros": bytes(64),
}


def tiff(image: Image.Image, entries: list[Entry], *, deflated: bool = False) -> bytes:
    """An RGB picture as TIFF. An entry replaces that of the same tag; one of no values removes it."""
    pixels = zlib.compress(image.tobytes()) if deflated else image.tobytes()
    own = {
        256: (4, 1, struct.pack("<I", image.width)),
        257: (4, 1, struct.pack("<I", image.height)),
        258: (3, 3, struct.pack("<3H", 8, 8, 8)),
        259: (3, 1, struct.pack("<H", 8 if deflated else 1)),
        262: (3, 1, struct.pack("<H", 2)),
        273: (4, 1, struct.pack("<I", 8)),
        277: (3, 1, struct.pack("<H", 3)),
        278: (4, 1, struct.pack("<I", image.height)),
        279: (4, 1, struct.pack("<I", len(pixels))),
    }
    every = {tag: (tag, *entry) for tag, entry in own.items()} | {entry[0]: entry for entry in entries}
    kept = [entry for _, entry in sorted(every.items()) if entry[2:] != (0, b"")]
    start = 8 + len(pixels) + len(pixels) % 2
    whole = ifd(kept, start)
    return whole[:8] + pixels.ljust(start - 8, b"\0") + whole[start:]


def with_exif(image: Image.Image, name: str, exif: bytes) -> bytes:
    """The picture in a file of that format with these bytes as its EXIF."""
    file = io.BytesIO()
    block = b"Exif\0\0" + exif
    match name:
        case "jpeg":
            image.save(file, "JPEG", quality=100, subsampling=0)
            return _insert(file, 2, b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block)
        case "png":
            image.save(file, "PNG")
            return _insert(file, 33, chunk(b"eXIf", exif))
        case "png text":
            image.save(file, "PNG")
            text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
            return _insert(file, 33, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))
        case "webp":
            image.save(file, "WEBP", lossless=True, exif=block)
            return file.getvalue()
        case _:
            data = _with_room(image.tobytes(), image.size, name)
            at = data.rindex(b"Exif\0\0", 0, data.index(ROOM)) + 6
            return data[:at] + exif + data[at + len(exif) :]


@functools.cache
def _with_room(pixels: bytes, size: tuple[int, int], name: str) -> bytes:
    """AVIF or HEIC with orientation 6 and long EXIF."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x112], exif[0x10F] = 6, ROOM.decode()
    Image.frombytes("RGB", size, pixels).save(file, name, quality=100, exif=exif.tobytes())
    return file.getvalue()


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    """A PNG chunk; `length` is a lie about it."""
    size = len(body) if length is None else length
    return struct.pack(">I", size) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _insert(file: io.BytesIO, at: int, data: bytes) -> bytes:
    whole = file.getvalue()
    return whole[:at] + data + whole[at:]


def structures(image: Image.Image, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """Files of each format with one part lost, doubled, moved or lying about itself."""
    for name in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", *HEIC):
        file = io.BytesIO()
        image.save(file, name, **({"icc_profile": b"no profile"} if name in ("PNG", "JPEG", "WEBP") else {}))
        parts = list(_parts(name, file.getvalue()))
        for number in range(len(parts)):
            before, part, after = b"".join(parts[:number]), parts[number], b"".join(parts[number + 1 :])
            yield f"{name} without part {number}", before + after
            yield f"{name} with part {number} twice", before + part + part + after
            yield f"{name} with part {number} last", before + after + part
            yield f"{name} cut in part {number}", before + part[: len(part) // 2]
            for value in (0, 0x7F, 0xFF):
                at = draw.randrange(len(part))
                yield (
                    f"{name} part {number} with {value:#x} at {at}",
                    before + part[:at] + bytes([value]) * 4 + part[at + 4 :] + after,
                )
    pixels = image.tobytes()
    for size in ((0, 1), (2**31, 1), (2**32 - 1, 2**32 - 1)):
        yield f"PNG {size}", png(chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)))
    for depth, kind, interlace in ((3, 2, 0), (16, 3, 0), (8, 7, 0), (8, 2, 9), (1, 0, 1), (8, 3, 0)):
        header = struct.pack(">IIBBBBB", *image.size, depth, kind, 0, 0, interlace)
        yield f"PNG depth {depth} kind {kind}", png(chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(pixels)))
    own = {256, 257, 258, 259, 262, 273, 277, 278, 279}
    for tag in own | {254, 266, 274, 284, 317, 320, 322, 324, 338, 339, 347, 530, 34675}:
        yield f"TIFF without tag {tag}", tiff(image, [(tag, 3, 0, b"")])
        for kind, count in ((1, 1), (2, 3), (3, 1), (3, 5), (4, 1), (5, 1), (7, 9), (12, 1), (12, 0), (99, 1)):
            value = draw.choice([bytes(80), b"\xff" * 80, draw.randbytes(80)])[: SIZES.get(kind, 4) * count]
            for deflated in (False, True):
                yield (
                    f"TIFF tag {tag} type {kind} x {count} {value.hex()} {deflated}",
                    tiff(image, [(tag, kind, count, value)], deflated=deflated),
                )


def png(*chunks: bytes) -> bytes:
    """A PNG of these chunks and an end."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def _parts(name: str, data: bytes) -> Iterator[bytes]:
    """The chunks, segments or boxes of a file; of a GIF, BMP or TIFF, which have none, eight equal slices."""
    at = {"PNG": 8, "JPEG": 2, "WEBP": 12}.get(name, 0)
    if name in ("GIF", "BMP", "TIFF"):
        step = max(1, len(data) // 8)
        yield from (data[i : i + step] for i in range(0, len(data), step))
        return
    if at:
        yield data[:at]
    while at < len(data):
        match name:
            case "PNG":
                size = 12 + int.from_bytes(data[at : at + 4], "big")
            case "JPEG":
                size = 2 + int.from_bytes(data[at + 2 : at + 4], "big") if data[at + 1] != 0xDA else len(data)
            case "WEBP":
                size = 8 + int.from_bytes(data[at + 4 : at + 8], "little")
            case _:
                size = int.from_bytes(data[at : at + 4], "big")
        yield data[at : at + size]
        at += size
