"""What the trained merging must keep, whatever its weights."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from punks.snap import snap
from punks.snap.color import ciede2000, lab
from punks.snap.model import weights
from training.merging.damage import damage
from training.merging.truth import make


def paintings(count: int, kind: str = "painted") -> list[Image.Image]:
    streams = [np.random.default_rng([99, number]) for number in range(count)]
    return [Image.fromarray(damage(make(rng), kind, rng)) for rng in streams]


def test_snap_of_snap_is_snap() -> None:
    for painting in paintings(4):
        art = snap(painting)
        assert np.array_equal(snap(art.enlarge(512)).cells, art.cells)


def test_exact_art_of_near_colors_stays() -> None:
    rng = np.random.default_rng(4)
    base = np.array([[96, 60, 42], [101, 64, 50], [40, 36, 34], [45, 43, 42], [200, 160, 120]], np.uint8)
    gaps = ciede2000(lab(base)[:, None], lab(base)[None])
    assert gaps[gaps > 0].min() < 4
    cells = base[rng.integers(0, 5, (24, 24))]
    picture = Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST)
    assert np.array_equal(snap(picture).cells, cells)


def test_threads_do_not_matter() -> None:
    pictures = paintings(6) * 2
    alone = [snap(picture).cells for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = [art.cells for art in pool.map(snap, pictures)]
    assert all(np.array_equal(one, two) for one, two in zip(alone, together, strict=True))


def test_no_painting_gains_colors_from_noise() -> None:
    rng = np.random.default_rng(5)
    flat = np.full((24, 24, 3), (60, 110, 150), np.uint8)
    flat[8:20, 8:16] = (220, 170, 130)
    pixels = np.repeat(np.repeat(flat + rng.normal(0, 1.5, flat.shape), 16, 0), 16, 1) + rng.normal(0, 1, (384, 384, 3))
    assert len(snap(Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))).palette) == 2


def test_the_weights_are_small_and_finite() -> None:
    assert sum(value.size for value in weights().values()) * 2 <= 200_000
    assert all(np.isfinite(value).all() for value in weights().values())
