"""What a file holds beside its pixels neither changes nor prevents the picture."""

import io
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.errors import ImageError
from punks.files.pictures import open_picture, read_picture
from punks.files.png import CELLS, RECIPE, read_texts, write_png
from tests.support import malformed
from tests.support.malformed import chunk, tiff, turned, with_exif

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)
LARGE = PICTURE.resize((96, 64), Image.Resampling.NEAREST)
SIX = (0x112, 3, 1, b"\6\0")
WITH_EXIF = ("jpeg", "png", "png text", "webp", "AVIF", "HEIF")


@pytest.fixture(scope="module", autouse=True)
def heif() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[object]:
    def read(data: bytes, frame: int | None = None) -> Image.Image:
        (tmp_path / "picture").write_bytes(data)
        found = read_picture(tmp_path / "picture", frame)
        assert found.warnings == ()
        return found.image

    return read


def source(name: str) -> Image.Image:
    return LARGE if name in ("AVIF", "HEIF") else PICTURE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["jpeg", "png", "png text", "webp", "tiff"])
def test_every_orientation(read, name: str, orientation: int) -> None:
    entry = (0x112, 3, 1, struct.pack("<H", orientation))
    if name == "tiff":
        plain, data = read(tiff(PICTURE, [])), tiff(PICTURE, [entry])
    else:
        plain, data = (
            read(with_exif(PICTURE, name, b"")),
            with_exif(PICTURE, name, malformed.ifd([entry])),
        )
    # the tag says where the first row and the first column of what is stored are when it is seen
    pixels = np.asarray(plain)
    seen = pixels.swapaxes(0, 1) if orientation > 4 else pixels
    rows = {1: 1, 2: 1, 3: -1, 4: -1, 5: 1, 6: 1, 7: -1, 8: -1}[orientation]
    columns = {1: 1, 2: -1, 3: -1, 4: 1, 5: 1, 6: -1, 7: -1, 8: 1}[orientation]
    assert np.array_equal(np.asarray(read(data)), seen[::rows, ::columns])


@pytest.mark.parametrize("name", WITH_EXIF)
def test_nothing_else_in_exif_matters(read, name: str) -> None:
    seen = read(with_exif(source(name), name, turned([])))
    assert seen.size == source(name).size[::-1]
    for what, exif in malformed.odd_exif(random.Random(0)):
        assert read(with_exif(source(name), name, exif)).tobytes() == seen.tobytes(), what


@pytest.mark.parametrize("name", WITH_EXIF)
def test_broken_exif_is_none(read, name: str) -> None:
    seen = read(with_exif(source(name), name, turned([])))
    for what, exif in malformed.BROKEN_EXIF.items():
        found = read(with_exif(source(name), name, exif))
        if name in ("AVIF", "HEIF"):  # these keep the orientation elsewhere
            assert found.tobytes() == seen.tobytes(), what
        else:
            assert found.size == PICTURE.size, what


@pytest.mark.parametrize("deflated", [False, True])
def test_nothing_that_only_describes_a_tiff_matters(read, deflated: bool, capfd: pytest.CaptureFixture[str]) -> None:
    draw, seen = random.Random(0), PICTURE.transpose(Image.Transpose.ROTATE_270).tobytes()
    for tag in (0x10F, 0x11A, 0x11B, 0x128, 0x131, 0x2BC, 0x83BB, 0x8649, 0x8769, 0x8825, 0x927C, 0xA005, 0xC4A5):
        for kind in (1, 2, 3, 4, 5, 7, 10, 12, 13, 99):
            for count in (0, 1, 7):
                entry = (tag, kind, count, draw.randbytes(malformed.SIZES.get(kind, 4) * count) or b"\0")
                assert read(tiff(PICTURE, [SIX, entry], deflated=deflated)).tobytes() == seen, entry
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("endian", ["II", "MM"])
def test_tiffs_of_pillow_keep_their_pixels(read, endian: str) -> None:
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"):
        picture = PICTURE.convert("L").convert("I;16") if mode == "I;16" else PICTURE.convert(mode)
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            file = io.BytesIO()
            picture.save(file, "TIFF", compression=compression, dpi=(72, 72), description="words")
            with Image.open(io.BytesIO(file.getvalue())) as expected:
                expected.load()
            assert read(file.getvalue()).convert("L").size == expected.size
            if mode == "RGB":
                assert read(file.getvalue()).tobytes() == expected.tobytes()


def test_long_text_and_odd_chunks_do_not_matter(read) -> None:
    file = io.BytesIO()
    PICTURE.save(file, "PNG")
    head, rest = file.getvalue()[:33], file.getvalue()[33:]
    long = b"Comment\0\0" + zlib.compress(b"x" * 80_000_000)
    for extra in (
        chunk(b"zTXt", long),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"x" * 3_000_000)),
        chunk(b"tEXt", b"Comment\0" + b"x" * 70_000_000),
        chunk(b"zTXt", b"Comment\0\7broken"),
        chunk(b"pHYs", b"\0"),
        chunk(b"gAMA", b""),
        chunk(b"tIME", b"never")[:-1] + b"?",  # a wrong checksum
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"f" * 80_000_000)),
    ):
        assert read(head + extra + rest).tobytes() == PICTURE.tobytes(), extra[:40]


@pytest.mark.parametrize("comment", [b"x" * 65533, b"\0" * 9])
def test_long_comments_in_jpeg_do_not_matter(read, comment: bytes) -> None:
    file = io.BytesIO()
    PICTURE.save(file, "JPEG")
    extra = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    assert read(file.getvalue()[:2] + extra * 40 + file.getvalue()[2:]).tobytes() == read(file.getvalue()).tobytes()


def test_several_pictures_in_one_file_give_the_first(read) -> None:
    first = Image.linear_gradient("L").convert("RGB")
    second = first.rotate(180)
    for name in ("MPO", "TIFF", "HEIF"):
        file, one = io.BytesIO(), io.BytesIO()
        first.copy().save(file, name, save_all=True, append_images=[second.copy()])
        first.copy().save(one, name)
        assert read(file.getvalue()).tobytes() == read(one.getvalue()).tobytes()
        assert read(file.getvalue(), 0).tobytes() == read(one.getvalue()).tobytes()
        assert abs(np.asarray(read(file.getvalue(), 1), int) - np.asarray(second)).max() < 8
        with pytest.raises(ImageError, match="no frame 2"):
            read(file.getvalue(), 2)
    for name in ("PNG", "JPEG", "BMP"):
        one = io.BytesIO()
        first.copy().save(one, name)
        with pytest.raises(ImageError, match="no frame 1; frames are counted from 0"):
            read(one.getvalue(), 1)


@pytest.mark.parametrize("index", [b"", b"II*\0\xff\xff\xff\xff", malformed.ifd([(0xB001, 4, 1, b"\2\0\0\0")])])
def test_a_broken_index_of_further_pictures_does_not_matter(read, index: bytes) -> None:
    file = io.BytesIO()
    PICTURE.save(file, "JPEG")
    extra = b"\xff\xe2" + struct.pack(">H", len(index) + 6) + b"MPF\0" + index
    assert read(file.getvalue()[:2] + extra + file.getvalue()[2:]).tobytes() == read(file.getvalue()).tobytes()


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_avif_and_heic_are_read(read, name: str) -> None:
    soft = Image.linear_gradient("L").convert("RGB")
    file = io.BytesIO()
    soft.save(file, name, quality=95)
    assert abs(np.asarray(read(file.getvalue()), int) - np.asarray(soft)).max() < 8


def test_heic_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PICTURE.save(tmp_path / "a.heic", "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(ImageError, match=r"a\.heic: HEIC needs `pip install 'punks\[heic\]'`; or save it as PNG"):
        open_picture(tmp_path / "a.heic")


def test_orientation_in_xmp(read) -> None:
    file = io.BytesIO()
    PICTURE.save(file, "PNG")
    packet = b'<x:xmpmeta><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    for body in (b"\0\0\0\0" + packet, b"\1\0\0\0" + zlib.compress(packet)):
        data = file.getvalue()[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0" + body) + file.getvalue()[33:]
        assert read(data).tobytes() == PICTURE.transpose(Image.Transpose.ROTATE_270).tobytes()


def test_our_texts_are_found_beside_any_others(tmp_path: Path) -> None:
    texts = {RECIPE: '{"prompt": "é漢字🙂"}', CELLS: "abc"}
    write_png(PICTURE, tmp_path / "a.png", texts)
    data = (tmp_path / "a.png").read_bytes()
    long = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000)) + chunk(b"pHYs", b"\0")
    (tmp_path / "a.png").write_bytes(data[:33] + long + data[33:])
    assert read_texts(tmp_path / "a.png") == {"Comment": "x" * 3_000_000, **texts}
    write_png(PICTURE, tmp_path / "b.png", read_texts(tmp_path / "a.png"))
    assert read_texts(tmp_path / "b.png") == read_texts(tmp_path / "a.png")
    assert (tmp_path / "b.png").stat().st_size < 10_000
    recompressed = b"".join(
        chunk(b"iTXt", key.encode() + b"\0\1\0\0\0" + zlib.compress(text.encode())) for key, text in texts.items()
    )
    PICTURE.save(tmp_path / "b.png")
    data = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[:33] + recompressed + data[33:])
    assert read_texts(tmp_path / "b.png") == texts


def test_other_files_have_no_texts_of_ours(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "photo.png", "JPEG")  # people rename files
    (tmp_path / "odd.webp").write_bytes(with_exif(PICTURE, "webp", b"II*\0\x08\0\0\0\xff\xff"))
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIH")
    (tmp_path / "empty.png").write_bytes(b"")
    for path in tmp_path.iterdir():
        assert read_texts(path) == {}
    with pytest.raises(ImageError, match=r"missing\.png: cannot be read: No such file"):
        read_texts(tmp_path / "missing.png")
    assert open_picture(tmp_path / "photo.png").size == PICTURE.size
