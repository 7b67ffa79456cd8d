"""Drawn portraits in the place of paintings: a batch of them needs neither a model nor torch."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from bench.pixels_damage import damage
from punks.batch.jobs import Job
from punks.batch.manifest import Entry
from punks.batch.places.worker import Outcome, recipe_of
from punks.generate import Painting
from punks.report.sheet import read_pixels
from punks.snap import Cells, restore
from punks.snap.art import Bytes
from training.portraits import draw, sample

Draw = Callable[[int], Image.Image]


def portrait(seed: int) -> Bytes:
    """A portrait of the generator, uint8 (24, 24, 3)."""
    return draw(sample(np.random.default_rng(seed)), np.random.default_rng(seed)).cells


def damaged(seed: int) -> Image.Image:
    """It, as a model would paint it."""
    return damage("real", portrait(seed), seed)


def exact(seed: int) -> Image.Image:
    """It, pixel for pixel."""
    return Image.fromarray(portrait(seed)).resize((512, 512), Image.Resampling.NEAREST)


@functools.cache
def _restored(draw: Draw, seed: int) -> tuple[Image.Image, Cells]:
    return (image := draw(seed)), restore(image)


class Drawn:
    """A Place: `draw(seed)` is the painting of a recipe. `painted` has the names of the jobs that it was given."""

    def __init__(self, draw: Draw = damaged, *, paintings: bool = False) -> None:
        self.paintings, self.painted, self._draw = paintings, list[str](), draw

    def paint(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        for job in jobs:
            self.painted.append(job.name)
            recipe = recipe_of(job)
            image, cells = _restored(self._draw, recipe.seed)
            painting = Painting(
                recipe=recipe,
                image=image,
                restored=cells,
                prompt=recipe.painted_prompt,
                seconds={"paint": 1 + recipe.seed / 8},
            )
            punk = painting.finish(job.finish)
            if not self.paintings:
                punk = dataclasses.replace(punk, painting=dataclasses.replace(painting, image=None))
            yield Outcome(job=job, punk=punk)

    def close(self) -> None:
        pass


def cells_of(folder: Path, entry: Entry) -> Bytes:
    """The 24x24 of a punk in a batch."""
    return np.asarray(read_pixels(folder / entry["files"]["pixels"]))
