"""A color that is asked for covers all of the background and nothing of the figure."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.pixels_damage import damage
from punks.snap import snap
from training.portraits import Portrait, draw, sample
from training.traits import PATTERNS

ASKED = (255, 0, 255)


def portrait(number: int, **traits: str | None) -> Portrait:
    rng = np.random.default_rng([31, number])
    return draw(dataclasses.replace(sample(rng), **traits), rng)


def repainted(one: Portrait, seed: int) -> tuple[float, float]:
    """Of the background's cells the share that got the color, of the figure's the share that changed."""
    picture = damage("real", one.cells, seed)
    art, kept = snap(picture, background="#ff00ff"), snap(picture)
    ground = one.masks["background"]
    right = (art.cells == ASKED).all(-1)
    changed = (art.cells != kept.cells).any(-1)
    return float(right[ground].mean()), float(changed[~ground].mean())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_and_gradients_become_the_color_too(pattern: str):
    second = "yellow" if pattern in ("gradient", "split") else None
    found = [repainted(portrait(i, pattern=pattern, background="teal", second=second), i) for i in range(8)]
    assert np.mean([right for right, _ in found]) > 0.998
    assert np.mean([changed for _, changed in found]) < 0.005


def enlarged(cells: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST)


def enclosed(hole: tuple[int, int], color: tuple[int, int, int] = (20, 138, 140)) -> Image.Image:
    """A head on teal with one cell of the background's color somewhere inside the figure."""
    cells = np.full((24, 24, 3), (20, 138, 140), np.uint8)
    cells[3:20, 4:20] = (106, 64, 34)  # hair
    cells[7:18, 8:16] = (216, 162, 118)
    cells[20:, 6:18] = (186, 40, 46)
    cells[hole] = color
    return enlarged(cells)


@pytest.mark.parametrize(
    ("cell", "is_background"), [((10, 5), True), ((18, 17), True), ((11, 10), False), ((22, 12), False)]
)
def test_a_hole_in_the_hair_is_background_and_an_eye_is_not(cell: tuple[int, int], is_background: bool):
    art = snap(enclosed(cell), background="#ff00ff")
    assert (tuple(art.cells[cell].tolist()) == ASKED) == is_background
    assert bool(art.background[cell]) == is_background
    clear = snap(enclosed(cell), background="transparent")
    assert (clear.cells[cell][3] == 0) == is_background


def test_a_strand_of_another_color_in_the_background_stays():
    art = snap(enclosed((8, 21), (240, 184, 44)), background="#ff00ff")
    assert art.cells[8, 21].tolist() == [240, 184, 44]


def test_what_is_kept_is_not_touched():
    """The search for holes is for those who ask: with `keep` their cells stay what they are."""
    art = snap(enclosed((10, 5)))
    assert not art.background[10, 5]


def test_a_hat_that_is_cut_by_the_upper_border_stays():
    cells = np.full((24, 24, 3), (240, 140, 30), np.uint8)
    cells[:8, 6:17] = cells[7:21, 7:16] = cells[21:] = 0  # outlines of the hat, the head and the shoulders
    cells[:6, 7:16] = (190, 35, 45)
    cells[8:20, 8:15] = (210, 150, 110)
    cells[22:] = (60, 40, 140)
    given = snap(enlarged(cells), background="#00ff00").cells
    ground = (cells == (240, 140, 30)).all(-1)
    assert (given[ground] == (0, 255, 0)).all()
    assert (given[~ground] == cells[~ground]).all()


def scene() -> NDArray[np.uint8]:
    """A head with outlines under a cap whose brim reaches the right border; another background lies below it."""
    cells = np.full((24, 24, 3), (30, 60, 150), np.uint8)
    cells[9:, 13:] = (20, 160, 160)
    cells[3:17, 6:18] = cells[6:9, 17:] = cells[16:21, 6:14] = cells[20:, 3:17] = 0
    cells[4:8, 7:17] = cells[7, 16:] = (235, 130, 40)
    cells[7, 19:] = (170, 90, 30)
    cells[9:16, 7:17] = cells[15:20, 7:13] = (216, 162, 118)
    cells[21:, 4:16] = (186, 40, 46)
    return cells


def test_a_background_of_its_own_under_a_brim_is_background():
    cells = scene()
    given = snap(enlarged(cells), background="#ff00ff").cells
    ground = (cells == (30, 60, 150)).all(-1) | (cells == (20, 160, 160)).all(-1)
    assert (given[ground] == ASKED).all()
    assert (given[~ground] == cells[~ground]).all()


def test_a_shade_of_the_background_that_an_outline_encloses_is_background():
    cells = scene()
    cells[12:16, 2:6] = 0
    cells[13:15, 3:5] = (52, 84, 176)
    cells[10, 3] = (240, 184, 44)
    given = snap(enlarged(cells), background="#ff00ff").cells
    assert (given[13:15, 3:5] == ASKED).all()
    assert given[10, 3].tolist() == [240, 184, 44]


def test_a_shaded_cell_of_a_plain_background_is_the_background_beside_a_figure_only():
    """A painting shades its background between curls; a shade inside the figure is a detail."""
    cells = np.asarray(enclosed((10, 5)).resize((24, 24), Image.Resampling.NEAREST)).copy()
    cells[8, 19] = cells[10, 5] = (34, 155, 164)
    art = snap(damage("real", cells, 3))
    assert (art.cells[8, 19] == art.cells[0, 0]).all()
    assert (art.cells[10, 5] != art.cells[0, 0]).any()
    given = snap(damage("real", cells, 3), background="#ff00ff")
    assert tuple(given.cells[8, 19].tolist()) == ASKED


def test_a_picture_without_a_figure_is_not_taken_for_one_background():
    cells = np.full((24, 24, 3), (30, 60, 150), np.uint8)
    cells[:, 12:] = (20, 160, 160)
    assert not snap(enlarged(cells), background="#ff00ff").background.all()
