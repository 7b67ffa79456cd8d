"""Which pictures have a grid, and what the bench's damages leave of it."""

import numpy as np
import pytest
import torch
from PIL import Image

from bench import pixels_damage
from punks.errors import ImageError
from punks.snap import restore, snap
from punks.snap.color import ciede2000, lab
from punks.snap.grid import find_grid
from punks.snap.level import level
from training.dataset import make, render


@pytest.fixture(scope="module")
def portraits() -> list[np.ndarray]:
    return [make(5, 1, number).cells for number in range(6)]


@pytest.mark.parametrize("name", list(pixels_damage.DAMAGES))
def test_every_damage_leaves_the_grid(portraits: list[np.ndarray], name: str) -> None:
    for number, art in enumerate(portraits[:3]):
        found = snap(pixels_damage.damage(name, art, number))
        assert found.has_grid
        assert found.confidence > 0.7
        assert (ciede2000(lab(found.cells), lab(art)) <= 3).mean() > 0.95


def test_paintings_as_they_come_are_restored() -> None:
    exact = 0
    for number, art in enumerate(make(5, 1, n).cells for n in range(24)):
        cells = restore(pixels_damage.damage("real", art, number)).painted.cells
        near = bool((ciede2000(lab(cells), lab(art)) <= 3).all())
        exact += near and len(np.unique(cells.reshape(-1, 3), axis=0)) <= len(np.unique(art.reshape(-1, 3), axis=0))
    assert exact >= 20  # 21 by this model, 22 by the rules of 0.1


def test_soft_portraits_have_no_grid() -> None:
    drawn = [make(6, 1, n) for n in range(24)]
    pictures = render(drawn, "soft", torch.Generator().manual_seed(0), torch.device("cpu"))
    pixels = ((pictures + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert sum(snap(Image.fromarray(picture)).has_grid for picture in pixels) <= 1


@pytest.mark.parametrize("knots", [3, 9, 24, 40])
def test_smooth_pictures_have_no_grid(knots: int) -> None:
    rng = np.random.default_rng(knots)
    field = Image.fromarray(rng.integers(0, 256, (knots, knots, 3), np.uint8))
    for filtered in (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
        assert not snap(field.resize((512, 512), filtered)).has_grid


def test_gradients_have_no_grid() -> None:
    ramp = np.linspace(0, 255, 512)
    for down, along in ((1, 0), (0, 1), (0.6, 0.4)):
        light = (down * ramp[:, None] + along * ramp).round().astype(np.uint8)
        assert not snap(Image.fromarray(light)).has_grid


def test_smooth_drift_is_levelled() -> None:
    """Drift that is seen inside the cells goes, steps of the art stay, and the art without drift is left alone."""
    art = np.full((24, 24, 3), 100, np.uint8)
    art[8:16, 8:16] = (104, 100, 100)  # a step smaller than the drift
    wave = 6 * np.sin(np.linspace(0, 14, 512))
    drift = wave[:, None, None] + wave[None, :, None]
    clean = np.asarray(Image.fromarray(art).resize((512, 512), Image.Resampling.NEAREST), np.float64)
    rough, flat = (_levelled(clean + part) for part in (drift, 0 * drift))
    np.testing.assert_allclose(flat, art, atol=0.01)
    assert np.abs(rough - art - (rough - art).mean()).mean() < 1.2  # of 5.4 before
    inside, outside = rough[9:15, 9:15, 0] - rough[9:15, 9:15, 1], rough[:7, :7, 0] - rough[:7, :7, 1]
    assert abs(inside.mean() - outside.mean() - 4) < 0.3


def _levelled(picture: np.ndarray) -> np.ndarray:
    from punks.snap.cells import sample, settle

    pixels = picture.round().astype(np.uint8)
    grid = find_grid(Image.fromarray(pixels), 24)
    blocks = sample(pixels, grid)
    return level(settle(pixels, grid, blocks)[0], blocks)


def test_levelling_does_not_care_which_way_is_up(portraits: list[np.ndarray]) -> None:
    picture = pixels_damage.damage("real", portraits[0], 9)
    for turn in (Image.Transpose.TRANSPOSE, Image.Transpose.FLIP_LEFT_RIGHT):
        one, two = snap(picture), snap(picture.transpose(turn))
        turned = np.asarray(Image.fromarray(one.cells).transpose(turn))
        assert (ciede2000(lab(turned), lab(two.cells)) <= 3).mean() > 0.99


def test_opened_pictures_are_turned_and_checked(tmp_path, portraits: list[np.ndarray]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    upright = Image.fromarray(portraits[0])
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        assert np.array_equal(snap(turned).cells, portraits[0])
    frames = [Image.new("RGB", (96, 96), tone) for tone in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "moving.gif") as moving, pytest.raises(ImageError, match="animated"):
        snap(moving)
    upright.resize((512, 512)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    with Image.open(tmp_path / "cut.png") as cut, pytest.raises(ImageError, match="cannot be read"):
        snap(cut)
