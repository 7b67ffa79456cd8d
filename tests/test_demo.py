"""The embedded model through the product's own path: words steer, the LoRA matters, seeds decide."""

import numpy as np
import pytest

from bench.demo import spread
from punks import Punk, Recipe, generate
from punks.request import divide
from punks.snap.color import ciede2000, lab
from tests.support import ROOT
from training.traits import BACKGROUNDS

STEPS = 8  # fewer than the default: the properties hold, and the whole file takes half a minute
PROMPT = "lady, red curly hair, green eyes, light skin, {} background"


def paint(color: str = "teal", **fields: float) -> Punk:
    settings = {"seed": 1, "num_inference_steps": STEPS} | fields
    return generate(Recipe(prompt=PROMPT.format(color), variant="demo", **settings))


def background_gap(punk: Punk, color: str) -> float:
    corner = np.asarray(punk.art.cells)[1:6, 1:4].reshape(-1, 3)
    found = np.median(corner, axis=0).astype(np.float32)
    return float(ciede2000(lab(found), lab(np.array(BACKGROUNDS[color], np.float32))))


@pytest.fixture(scope="module")
def teal() -> Punk:
    return paint()


@pytest.mark.parametrize("color", ["yellow", "purple"])
def test_the_background_named_is_the_background_painted(teal: Punk, color: str) -> None:
    assert background_gap(teal, "teal") < 15
    punk = paint(color)
    assert background_gap(punk, color) < 15
    assert background_gap(punk, "teal") > 15


def test_the_same_seed_paints_the_same_punk_and_another_one_another(teal: Punk) -> None:
    assert np.array_equal(paint().painting.image, teal.painting.image)
    assert not np.array_equal(paint(seed=2).art.cells, teal.art.cells)


def test_the_lora_turns_soft_portraits_into_flat_cells(teal: Punk) -> None:
    soft = paint(lora_scale=0)
    between = paint(lora_scale=0.5)
    assert spread(teal.painting.image) < 2 < spread(soft.painting.image)
    assert spread(teal.painting.image) < spread(between.painting.image)
    assert teal.art.has_grid
    assert not soft.art.has_grid
    assert background_gap(soft, "teal") < 20


@pytest.mark.parametrize("color", ["teal", "yellow"])
def test_fast_obeys_in_two_steps(color: str) -> None:
    quick = generate(*divide({"prompt": PROMPT.format(color), "variant": "demo", "seed": 1, "fast": "on"}))
    assert (quick.recipe.num_inference_steps, quick.recipe.guidance_scale) == (2, 1)
    assert quick.art.has_grid
    assert spread(quick.painting.image) < 2
    assert background_gap(quick, color) < 15


def test_the_folder_stays_small() -> None:
    assert sum(file.stat().st_size for file in (ROOT / "weights" / "demo").rglob("*") if file.is_file()) <= 30 * 2**20


def test_epochs_rise(teal: Punk) -> None:
    first = paint(epoch=1)
    assert not first.art.has_grid
    assert spread(first.painting.image) > spread(teal.painting.image)
