"""The embedded model through the product's own path: words steer, the LoRA matters, seeds decide."""

import numpy as np
import pytest

from bench.demo import painted, spread
from punks import Pipeline, Punk, Recipe
from punks.snap.color import ciede2000, lab
from training.traits import BACKGROUNDS

STEPS = 8  # fewer than the default: the properties hold, and the whole file takes half a minute
PROMPT = "lady, red curly hair, green eyes, light skin, {} background"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline()


def paint(pipeline: Pipeline, color: str = "teal", **fields: float) -> Punk:
    settings = {"seed": 1, "num_inference_steps": STEPS} | fields
    (painting,) = pipeline.paint([Recipe(prompt=PROMPT.format(color), variant="demo", **settings)])
    return painting.finish()


def background_gap(punk: Punk, color: str) -> float:
    corner = np.asarray(punk.art.cells)[1:6, 1:4].reshape(-1, 3)
    found = np.median(corner, axis=0).astype(np.float32)
    return float(ciede2000(lab(found), lab(np.array(BACKGROUNDS[color], np.float32))))


@pytest.fixture(scope="module")
def teal(pipeline: Pipeline) -> Punk:
    return paint(pipeline)


@pytest.mark.parametrize("color", ["yellow", "purple"])
def test_the_background_named_is_the_background_painted(pipeline: Pipeline, teal: Punk, color: str) -> None:
    assert background_gap(teal, "teal") < 15
    punk = paint(pipeline, color)
    assert background_gap(punk, color) < 15
    assert background_gap(punk, "teal") > 15


def test_the_same_seed_paints_the_same_punk_and_another_one_another(pipeline: Pipeline, teal: Punk) -> None:
    assert np.array_equal(painted(paint(pipeline)), painted(teal))
    assert not np.array_equal(paint(pipeline, seed=2).art.cells, teal.art.cells)


def test_the_lora_turns_soft_portraits_into_flat_cells(pipeline: Pipeline, teal: Punk) -> None:
    soft = paint(pipeline, lora_scale=0)
    between = paint(pipeline, lora_scale=0.5)
    assert spread(painted(teal)) < 2 < spread(painted(soft))
    assert spread(painted(teal)) < spread(painted(between))
    assert teal.art.has_grid
    assert not soft.art.has_grid
    assert background_gap(soft, "teal") < 20


def test_epochs_rise(pipeline: Pipeline, teal: Punk) -> None:
    first = paint(pipeline, epoch=1)
    assert not first.art.has_grid
    assert spread(painted(first)) > spread(painted(teal))
