import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.errors import ImageError
from punks.files.pictures import MAX_SIDE, check_alpha, convert, find_pictures, open_picture, plain, read_picture
from tests.support.malformed import chunk, png


def picture(size: int = 32) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_modes_become_rgb(mode: str) -> None:
    assert plain(picture().convert("RGB" if mode == "LAB" else mode)).mode == "RGB"


def test_transparency_is_kept_only_where_there_is_any() -> None:
    assert plain(picture().convert("RGBA")).mode == "RGB"
    clear = picture().convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    assert plain(clear).mode == "RGBA"
    for index, mode in ((1, "RGBA"), (2, "RGB")):  # of the palette, where no pixel has the last one
        indexed = Image.new("P", (2, 2), 1)
        indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        indexed.info["transparency"] = index
        assert plain(indexed).mode == mode


def test_sixteen_bits_are_scaled() -> None:
    deep = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))
    assert np.asarray(plain(deep))[0, :, 0].tolist() == [0, 1, 255]
    deep.info["transparency"] = 257  # one level of a PNG is transparent
    assert np.asarray(plain(deep))[0, :, 3].tolist() == [255, 0, 255]
    with pytest.raises(ImageError, match="16 bit"):
        plain(Image.fromarray(np.ones((2, 2), np.float32)))


def test_partial_alpha_is_kept(tmp_path: Path) -> None:
    faint = picture().convert("RGBA")
    faint.putalpha(120)
    faint.save(tmp_path / "faint.png")
    read = open_picture(tmp_path / "faint.png")
    assert read.tobytes() == faint.tobytes()


def test_what_is_read_is_not_converted_twice(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(tmp_path / "a.jpg", exif=exif)
    once = open_picture(tmp_path / "a.jpg")
    assert once.info == {}
    assert convert(once).image.tobytes() == once.tobytes()
    with Image.open(tmp_path / "a.jpg") as lazy:
        assert convert(lazy).image.tobytes() == once.tobytes()


def test_truncated(tmp_path: Path) -> None:
    for suffix in ("png", "jpg", "webp", "gif", "bmp", "tif", "avif"):
        path = tmp_path / f"a.{suffix}"
        picture(128).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(ImageError, match=path.name):
            open_picture(path)


def test_not_pictures(tmp_path: Path) -> None:
    for name, text in [("empty.png", b""), ("words.png", b"not a picture"), ("page.jpg", b"<html>")]:
        (tmp_path / name).write_bytes(text)
        with pytest.raises(ImageError, match=rf"{name}: not a picture .*formats: PNG, JPEG, WebP, .*AVIF, and HEIC"):
            open_picture(tmp_path / name)
    with pytest.raises(ImageError, match=r"missing\.png: cannot be read: No such file"):
        open_picture(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        open_picture(tmp_path)


@pytest.mark.parametrize("address", ["http://x.org/a.png", "HTTPS://x.org/a.png", "s3://x/a.png", "file:///a.png"])
def test_addresses_are_to_be_downloaded(address: str) -> None:
    for attempt in (lambda: find_pictures([address]), lambda: open_picture(Path(address))):
        with pytest.raises(ImageError, match="not a file but an address; download it first"):
            attempt()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_animations_are_refused_unless_a_frame_is_chosen(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    second = picture().rotate(90)
    picture().quantize(8).convert("RGB").save(
        path, save_all=True, append_images=[second.quantize(8).convert("RGB")], lossless=True
    )
    with pytest.raises(ImageError, match="animated; save one frame as its own picture, or use punks snap --frame N"):
        open_picture(path)
    assert open_picture(path, frame=0).tobytes() == picture().quantize(8).convert("RGB").tobytes()
    assert open_picture(path, frame=1).convert("RGB").tobytes() == second.quantize(8).convert("RGB").tobytes()
    for frame in (2, -1):
        with pytest.raises(ImageError, match=f"no frame {frame}"):
            open_picture(path, frame=frame)


@pytest.mark.parametrize("side", [MAX_SIDE + 1, 10_000, 60_000])
def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, side: int) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(png(header, chunk(b"IDAT", zlib.compress(b"\0" * 1000))))
    with pytest.raises(ImageError, match="larger than"):
        open_picture(tmp_path / "bomb.png")


def test_alpha_that_becomes_a_hole_is_warned_of_and_nothing_is_never_a_picture() -> None:
    alpha = np.full((24, 24), 255)
    assert check_alpha(alpha) == ()
    alpha[:2] = 0
    assert check_alpha(alpha) == ()
    alpha[5, :7] = 127
    assert check_alpha(alpha) == ("7 cells with alpha under 128 become transparent",)
    for nothing in (0, 120):
        with pytest.raises(ImageError, match="nothing would be left: alpha is under 128 everywhere"):
            check_alpha(np.full((24, 24), nothing))


def test_find_pictures(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.jpg"):
        picture().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no")
    everything = [tmp_path / n for n in ("a.png", "b.png", "c.jpg")]
    assert find_pictures([str(tmp_path)]) == everything
    assert find_pictures([str(tmp_path / "*")]) == everything
    assert find_pictures([str(tmp_path / "c.jpg"), str(tmp_path / "*.jpg")]) == everything[2:]
    for missing in (tmp_path / "none.png", tmp_path / "*.bmp", tmp_path / ("n" * 300), "a\0b"):
        with pytest.raises(ImageError):
            find_pictures([str(missing)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no pictures in this folder"):
        find_pictures([str(tmp_path / "empty")])


def test_dot_files_are_skipped_and_suffixes_are_of_any_case(tmp_path: Path) -> None:
    for name in ("._a.png", ".hidden.png", "A.PNG", "b.Jpeg", "c.HEIC", "d.avif"):
        (tmp_path / name).write_bytes(b"")
    found = [tmp_path / name for name in ("A.PNG", "b.Jpeg", "c.HEIC", "d.avif")]
    assert find_pictures([str(tmp_path)]) == find_pictures([str(tmp_path / "*")]) == found
    assert find_pictures([str(tmp_path / "._a.png")]) == [tmp_path / "._a.png"]  # asked for by name


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    picture().save(tmp_path / "a.png")
    assert find_pictures([f"~{os.sep}*.png", "~"]) == [tmp_path / "a.png"]
    assert read_picture(Path("~/a.png")).image.size == (32, 32)
    with pytest.raises(ImageError, match="~nobody-of-this-name"):
        open_picture(Path("~nobody-of-this-name/a.png"))
