"""Punks without a painter: batches of any size in seconds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from punks import Finish, Recipe
from punks.batch.jobs import Job, jobs_of
from punks.batch.places.worker import Outcome
from punks.cli import main
from punks.generate import Painting
from punks.snap import Cells, restore
from tests.support.databases import Store

SIDE = 24


class Stand:
    """A place where every punk is at hand: the same cells, on the background that its row asks for."""

    def __init__(self, meanwhile: Callable[[int], object] = int, *, paintings: bool = False) -> None:
        self._image = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
        self._cells: Cells = restore(self._image)
        self._meanwhile, self.paintings = meanwhile, paintings

    def paint(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        for job in jobs:
            assert job.recipe
            self._meanwhile(job.number)
            painting = Painting(
                recipe=job.recipe,
                image=self._image if self.paintings else None,
                restored=self._cells,
                prompt=job.recipe.painted_prompt,
                seconds={"paint": 0.25},
            )
            yield Outcome(job=job, punk=painting.finish(job.finish))

    def close(self) -> None: ...


def jobs(count: int, **fields: Any) -> list[Job]:
    recipes = [Recipe(prompt="lady, red hair", variant="demo", seed=seed, **fields) for seed in range(count)]
    return jobs_of(recipes, Finish(output_size=SIDE, background="teal"))


def bring(store: Store, *folders: Path) -> int:
    return main(["store", "import", *map(str, folders), "--store", store.url])
