"""A worker on a GPU launches a batch while the one before is decoded, restored and finished."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from punks import Recipe, variants
from punks.batch.jobs import Job, jobs_of
from punks.batch.places.worker import Outcome, Worker

SOON = 30  # seconds


def jobs_for(variant: str, *prompts: str, first: int = 0) -> list[Job]:
    fixed: dict[str, Any] = {"variant": variant, "num_inference_steps": 1, "guidance_scale": 1.0, "template": False}
    made = jobs_of(Recipe(prompt=prompt, seed=first + i, **fixed) for i, prompt in enumerate(prompts))
    return [Job(number=first + i, recipe=job.recipe, finish=job.finish) for i, job in enumerate(made)]


class Watched(Worker):
    """A worker that takes its CPU for a GPU, and lists what is launched and painted."""

    def __init__(self, *names: str) -> None:
        self.outcomes: list[Outcome] = []
        super().__init__(self.outcomes.append, paintings=False)
        bases = self._pipeline.bases
        self.said: list[str] = []
        self.slow = False  # whether the first batch lands only when the second one is launched
        self.second = threading.Event()
        for name in names:
            painter = bases.painter(variants.variant(name))
            painter.batch_size = 8
            self._watch(painter, name)
        bases.device = torch.device("cuda")

    def _watch(self, painter: Any, name: str) -> None:
        own = painter.paint

        def paint(recipes: Sequence[Recipe], *args: Any) -> Iterator[Any]:
            found = own(recipes, *args)
            first = not self.said
            self.said.append(f"{name} launched")
            if not first:
                self.second.set()
            return self._landed(found, name, first=first)

        painter.paint = paint

    def _landed(self, found: Iterator[Any], name: str, *, first: bool) -> Iterator[Any]:
        if first and self.slow and not self.second.wait(SOON):
            self.said.append("too late")
        for one in found:
            self.said.append(f"{name} painted")
            yield one


def test_the_next_batch_is_launched_before_the_paintings_of_one_are_there():
    worker = Watched("tiny")
    worker.slow = True
    batches = [jobs_for("tiny", "lady", "lad", first=first) for first in (0, 2, 4)]
    for batch in batches:
        worker.paint(batch)
    worker.finish()
    assert "too late" not in worker.said
    assert sorted(one.job.number for one in worker.outcomes) == [*range(6)]
    assert all(one.punk for one in worker.outcomes)


def test_another_base_is_not_loaded_beside_one_that_paints():
    worker = Watched("tiny", "tiny-xl")
    for first, name in enumerate(("tiny", "tiny-xl")):
        worker.paint(jobs_for(name, "lady", "lad", first=2 * first))
    worker.finish()
    parts = [[f"{name} launched", f"{name} painted", f"{name} painted"] for name in ("tiny", "tiny-xl")]
    assert worker.said == [*parts[0], *parts[1]]


def test_a_job_alone_is_painted_beside_no_other():
    worker = Watched("tiny")
    worker.paint(jobs_for("tiny", "lady", "lad"))
    worker.paint(jobs_for("tiny", "lady", first=2))
    worker.finish()
    assert worker.said == ["tiny launched", *["tiny painted"] * 2, "tiny launched", "tiny painted"]


def test_a_job_that_cannot_be_painted_fails_alone():
    worker = Watched("tiny")
    worker.paint(jobs_for("tiny", "lady", "abcd, " * 300, "lad"))
    worker.finish()
    found = {one.job.number: one for one in worker.outcomes}
    assert [found[number].punk is not None for number in range(3)] == [True, False, True]
    assert "tokens" in found[1].error


def test_what_goes_wrong_on_a_thread_ends_the_worker():
    worker = Watched("tiny")
    worker._emit = broken
    worker.paint(jobs_for("tiny", "lady", "lad"))
    with pytest.raises(BrokenPipeError):
        worker.finish()


def broken(_: Outcome) -> None:
    raise BrokenPipeError
