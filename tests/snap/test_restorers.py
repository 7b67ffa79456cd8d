"""Paintings restored in processes of their own are the same, in order, whatever becomes of a process."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from PIL import Image

from punks import Pipeline, PunkError, Recipe
from punks.errors import ImageError
from punks.snap import restore
from punks.snap.restorers import Painted, Restorers
from tests.support import ROOT
from tests.support.drawn import damaged

SEEDS = range(5)


@pytest.fixture(scope="module")
def restorers() -> Iterator[Restorers]:
    restorers = Restorers(2)
    yield restorers
    restorers.close()


def paintings(seeds: range = SEEDS) -> Iterator[Painted]:
    yield from ((damaged(seed), {"decode": float(seed)}) for seed in seeds)


def test_the_same_cells_in_their_order(restorers: Restorers):
    found = list(restorers.beside(paintings(), rules=False))
    assert [seconds["decode"] for _, seconds, _ in found] == [*SEEDS]
    assert all(seconds["snap"] > 0 for _, seconds, _ in found)
    assert [cells.to_text() for _, _, cells in found] == [restore(damaged(seed)).to_text() for seed in SEEDS]
    ((_, _, by_rules),) = restorers.beside(paintings(range(1)), rules=True)
    assert by_rules.to_text() == restore(damaged(0), rules=True).to_text()


def test_what_was_painted_before_an_error_comes_first(restorers: Restorers):
    def failing() -> Iterator[Painted]:
        yield from paintings()
        raise PunkError("no more")

    found: list[float] = []
    with pytest.raises(PunkError, match="no more"):
        found.extend(seconds["decode"] for _, seconds, _ in restorers.beside(failing(), rules=False))
    assert found == [*SEEDS]


def test_what_cannot_be_restored_says_why_and_the_rest_goes_on(restorers: Restorers, caplog: pytest.LogCaptureFixture):
    wide = iter([(Image.new("RGB", (48, 24)), dict[str, float]())])
    with caplog.at_level(logging.CRITICAL), pytest.raises(ImageError, match="48x24 px is not square"):
        list(restorers.beside(wide, rules=False))
    assert len(list(restorers.beside(paintings(), rules=False))) == len(SEEDS)


def test_a_process_that_is_killed_costs_nothing_but_time(caplog: pytest.LogCaptureFixture):
    restorers = Restorers(1)
    process = restorers._idle.get()
    process.kill()
    restorers._idle.put(process)
    found = [cells.to_text() for _, _, cells in restorers.beside(paintings(), rules=False)]
    assert found == [restore(damaged(seed)).to_text() for seed in SEEDS]
    assert caplog.messages == ["a process that restores paintings ended (exit code -9)"]
    restorers.close()


@pytest.mark.parametrize("with_", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_they_end_with_their_program_without_a_word(with_: signal.Signals):
    program = """
import sys, time
from tests.support.drawn import damaged
from punks.snap.restorers import Restorers
restorers = Restorers(2)
paintings = ((damaged(seed), {}) for seed in range(10**6))
for number, _ in enumerate(restorers.beside(paintings, rules=False)):
    if number == 2:
        print("here", flush=True)
"""
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "here\n"
    os.killpg(running.pid, with_)
    _, said = running.communicate(timeout=60)  # which returns once nobody has its output open any more
    assert said.count("Traceback") == (with_ == signal.SIGINT)


def test_a_gpu_paints_without_them_where_none_can_be_started(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(sys, "executable", "nowhere")
    pipeline = Pipeline()
    pipeline.bases.device = torch.device("cuda")
    assert pipeline.restorers is None
    assert "no process can be started to restore paintings" in caplog.text
    monkeypatch.undo()
    pipeline = Pipeline()
    pipeline.bases.device = torch.device("cuda")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert pipeline.restorers is not None
    pipeline.restorers.close()


def test_a_pipeline_gives_the_same_paintings(restorers: Restorers):
    recipe = Recipe(prompt="lady", variant="tiny", seed=1, num_inference_steps=1, guidance_scale=1.0)
    pipeline = Pipeline()
    alone = list(pipeline.paint(recipe.outputs(3)))
    assert pipeline.restorers is None, "on a CPU, painting needs the cores"
    pipeline.restorers = restorers
    beside = list(pipeline.paint(recipe.outputs(3)))
    assert [one.restored for one in alone] == [None] * 3
    assert all(one.restored for one in beside)
    assert [one.finish().texts for one in beside] == [one.finish().texts for one in alone]
    assert [one.recipe for one in beside] == [*recipe.outputs(3)]
    assert set(beside[0].seconds) == set(alone[0].seconds)
