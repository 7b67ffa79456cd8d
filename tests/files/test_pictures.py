import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.errors import ImageError
from punks.files.pictures import MAX_SIDE, find_pictures, open_picture, plain


def picture(size: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8))


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    picture().save(tmp_path / "a.png", exif=exif)
    turned = picture().transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.png")), np.asarray(turned))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_modes_become_rgb(mode: str) -> None:
    assert plain(picture().convert("RGB" if mode == "LAB" else mode)).mode == "RGB"


def test_transparency_is_kept_only_where_there_is_any() -> None:
    assert plain(picture().convert("RGBA")).mode == "RGB"
    clear = picture().convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    assert plain(clear).mode == "RGBA"
    indexed = picture().convert("P")
    indexed.info["transparency"] = 3
    assert plain(indexed).mode in {"RGB", "RGBA"}


def test_sixteen_bits_are_scaled() -> None:
    deep = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))
    assert np.asarray(plain(deep))[0, :, 0].tolist() == [0, 1, 255]
    with pytest.raises(ImageError, match="16 bit"):
        plain(Image.fromarray(np.ones((2, 2), np.float32)))


def test_truncated(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "webp", "gif"):
        path = tmp_path / f"a.{suffix}"
        picture(128).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ImageError, match=path.name):
            open_picture(path)


def test_not_pictures(tmp_path: Path) -> None:
    for name, text in [("empty.png", b""), ("words.png", b"not a picture"), ("page.jpg", b"<html>")]:
        (tmp_path / name).write_bytes(text)
        with pytest.raises(ImageError, match=name):
            open_picture(tmp_path / name)
    with pytest.raises(ImageError):
        open_picture(tmp_path / "missing.png")
    with pytest.raises(ImageError):
        open_picture(tmp_path)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animated_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture().save(path, save_all=True, append_images=[picture().rotate(90)])
    with pytest.raises(ImageError, match="animated"):
        open_picture(path)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("side", [MAX_SIDE + 1, 10_000, 60_000])
def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    (tmp_path / "bomb.png").write_bytes(bomb + chunk(b"IEND", b""))
    with pytest.raises(ImageError, match="larger than"):
        open_picture(tmp_path / "bomb.png")


def test_find_pictures(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.jpg"):
        picture().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no")
    everything = [tmp_path / n for n in ("a.png", "b.png", "c.jpg")]
    assert find_pictures([str(tmp_path)]) == everything
    assert find_pictures([str(tmp_path / "*")]) == everything
    assert find_pictures([str(tmp_path / "c.jpg"), str(tmp_path / "*.jpg")]) == everything[2:]
    for missing in (tmp_path / "none.png", tmp_path / "*.bmp"):
        with pytest.raises(ImageError):
            find_pictures([str(missing)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no pictures"):
        find_pictures([str(tmp_path / "empty")])
