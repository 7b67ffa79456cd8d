"""What the trained merging must keep, whatever its weights."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
from PIL import Image

from punks.snap import restore
from punks.snap.color import ciede2000, lab
from punks.snap.model import weights
from training.merging.damage import damage
from training.merging.truth import make

# CIEDE2000 3 to 4 apart, as hand-made art has them, and two others
NEAR = np.array([[96, 60, 42], [101, 64, 50], [40, 36, 34], [45, 43, 42], [200, 160, 120]], np.uint8)


def paintings(count: int, kind: str = "painted") -> list[Image.Image]:
    streams = [np.random.default_rng([99, number]) for number in range(count)]
    return [Image.fromarray(damage(make(rng), kind, rng)) for rng in streams]


def cells_of(picture: Image.Image) -> np.ndarray:
    return restore(picture).painted.cells


def enlarged(cells: np.ndarray) -> Image.Image:
    return Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST)


def count(cells: np.ndarray) -> int:
    return len(np.unique(cells.reshape(-1, 3), axis=0))


def test_what_is_restored_stays() -> None:
    for painting in paintings(4):
        cells = cells_of(painting)
        assert np.array_equal(cells_of(enlarged(cells)), cells)


def test_exact_art_of_near_colors_stays() -> None:
    cells = NEAR[np.random.default_rng(4).integers(0, 5, (24, 24))]
    assert np.array_equal(cells_of(enlarged(cells)), cells)


def test_jpeg_of_near_colors_keeps_them() -> None:
    rng = np.random.default_rng(4)
    cells = NEAR[np.kron(rng.integers(0, 5, (8, 8)), np.ones((3, 3), int))]
    packed = BytesIO()
    enlarged(cells).save(packed, "JPEG", quality=75)
    found = cells_of(Image.open(packed))
    assert count(found) == len(NEAR)
    assert (ciede2000(lab(found), lab(cells)) < 3).all()


def test_a_background_of_two_near_tones_keeps_both() -> None:
    cells = np.full((24, 24, 3), (227, 239, 252), np.uint8)
    cells[:, 12:] = (215, 215, 215)
    cells[6:, 8:17] = (90, 60, 50)
    cells[10:20, 10:15] = (240, 200, 170)
    noise = np.random.default_rng(3).normal(0, 0.5, (512, 512, 3))
    found = cells_of(Image.fromarray(np.clip(np.rint(enlarged(cells) + noise), 0, 255).astype(np.uint8)))
    assert count(found) == 4
    assert (ciede2000(lab(found), lab(cells)) < 3).all()


def test_threads_do_not_matter() -> None:
    pictures = paintings(6) * 2
    alone = [cells_of(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(cells_of, pictures))
    assert all(np.array_equal(one, two) for one, two in zip(alone, together, strict=True))


def test_no_painting_gains_colors_from_noise() -> None:
    rng = np.random.default_rng(5)
    flat = np.full((24, 24, 3), (60, 110, 150), np.uint8)
    flat[8:20, 8:16] = (220, 170, 130)
    pixels = np.repeat(np.repeat(flat + rng.normal(0, 1.5, flat.shape), 16, 0), 16, 1) + rng.normal(0, 1, (384, 384, 3))
    assert count(cells_of(Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)))) == 2


def test_the_weights_are_small_and_finite() -> None:
    assert sum(value.size for value in weights().values()) * 2 <= 200_000
    assert all(np.isfinite(value).all() for value in weights().values())
