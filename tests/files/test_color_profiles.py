"""Colors go through the profile of a picture to sRGB; the expected ones come from the formulas of the standards."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from punks.files.pictures import Picture, convert, read_picture
from tests.support import icc

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
P3 = icc.matrix_profile(icc.DISPLAY_P3)


def distance(picture: Picture, expected: np.ndarray) -> int:
    assert picture.warnings == ()
    return int(abs(np.asarray(picture.image, int) - expected).max())


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_display_p3(tmp_path: Path, suffix: str) -> None:
    expected = icc.to_srgb(PIXELS, icc.DISPLAY_P3)
    assert (abs(expected.astype(int) - PIXELS) > 2).any(-1).mean() > 0.9
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", icc_profile=P3, lossless=True)
    assert distance(read_picture(tmp_path / f"a.{suffix}"), expected) <= 1


@pytest.mark.parametrize(("suffix", "slack"), [("jpg", 12), ("avif", 12)])
def test_lossy_files_with_a_profile(tmp_path: Path, suffix: str, slack: int) -> None:
    smooth = np.asarray(Image.linear_gradient("L").convert("RGB")) // 2 + np.array([90, 20, 0], np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(smooth.astype(np.uint8)).save(path, quality=100, icc_profile=P3)
    assert distance(read_picture(path), icc.to_srgb(smooth, icc.DISPLAY_P3)) <= slack


def test_adobe_rgb_and_alpha() -> None:
    image = Image.fromarray(np.dstack([PIXELS, np.arange(576, dtype=np.uint8).reshape(24, 24)]))
    image.info["icc_profile"] = icc.matrix_profile(icc.ADOBE_RGB, icc.gamma(2.2))
    found = convert(image)
    expected = icc.to_srgb(PIXELS, icc.ADOBE_RGB, 563 / 256)
    assert distance(Picture(found.image.convert("RGB"), found.warnings), expected) <= 1
    assert found.image.getchannel("A").tobytes() == image.getchannel("A").tobytes()


def test_indexed_pictures_have_profiles_too(tmp_path: Path) -> None:
    few = Image.fromarray(PIXELS).quantize(16)
    few.save(tmp_path / "a.png", icc_profile=P3)
    expected = icc.to_srgb(np.asarray(few.convert("RGB")), icc.DISPLAY_P3)
    assert distance(read_picture(tmp_path / "a.png"), expected) <= 1


def test_gray() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    image = Image.fromarray(levels)
    image.info["icc_profile"] = icc.gray_profile(icc.gamma(1.8))
    expected = icc.encode((levels[..., None] / 255) ** (461 / 256) * np.array(icc.D50))
    assert distance(convert(image), expected) <= 1
    image.info["icc_profile"] = P3  # gray under an RGB profile stays gray
    assert distance(convert(image), np.repeat(levels[..., None], 3, -1)) <= 1


def test_cmyk(tmp_path: Path) -> None:
    corners = np.random.default_rng(1).integers(60, 200, (2, 2, 2, 2, 3), np.uint8)
    for ink in ((1, 0, 0, 0), (0, 1, 1, 0), (0, 0, 0, 1), (1, 1, 0, 1)):
        image = Image.new("CMYK", (16, 16), tuple(255 * v for v in ink))
        image.save(tmp_path / "a.jpg", quality=100, icc_profile=icc.cmyk_profile(corners))
        lightness, a, b = corners[ink].astype(float)
        expected = icc.lab_to_srgb(np.array([lightness / 2.55, a - 128, b - 128]))
        naive = np.asarray(image.convert("RGB"), int)
        assert abs(naive - expected).max() > 20
        assert distance(read_picture(tmp_path / "a.jpg"), expected) <= 6


def test_an_srgb_profile_changes_no_color() -> None:
    every = Image.fromarray(PIXELS)
    for profile in (icc.matrix_profile(icc.SRGB), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        every.info["icc_profile"] = profile
        assert distance(convert(every), PIXELS) == 0


def test_profiles_of_any_size(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=P3 + bytes(3_000_000))
    assert distance(read_picture(tmp_path / "a.png"), icc.to_srgb(PIXELS, icc.DISPLAY_P3)) <= 1


BROKEN = {
    "no profile": b"not a profile",
    "cut": P3[:200],
    "of CMYK": icc.cmyk_profile(np.zeros((2, 2, 2, 2, 3), np.uint8)),
    "of gray": icc.gray_profile(icc.gamma(2.2)),
    "of XYZ": P3[:16] + b"XYZ " + P3[20:],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_profiles_are_warned_of(tmp_path: Path, name: str) -> None:
    for suffix in ("png", "jpg", "webp", "tif"):
        image, path = Image.fromarray(PIXELS), tmp_path / f"a.{suffix}"
        image.save(path, quality=100, lossless=True)
        without = read_picture(path)
        assert without.warnings == ()
        image.save(path, quality=100, lossless=True, icc_profile=BROKEN[name])
        found = read_picture(path)
        assert found.image.tobytes() == without.image.tobytes()
        assert found.warnings == ("its color profile is broken or does not fit, so the colors are taken as sRGB",)


def test_parts_of_a_profile_that_do_not_fit_are_warned_of(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "JPEG", icc_profile=P3)
    data = file.getvalue()
    start, scan = data.index(b"\xff\xe2"), data.index(b"\xff\xda")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    one_of_two = data[: start + 17] + b"\2" + data[start + 18 :]
    behind_the_frame = data[:start] + data[end:scan] + data[start:end] + data[scan:]
    for wrong in (one_of_two, behind_the_frame):
        (tmp_path / "a.jpg").write_bytes(wrong)
        assert len(read_picture(tmp_path / "a.jpg").warnings) == 1
