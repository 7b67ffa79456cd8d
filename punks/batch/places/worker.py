"""A warm studio that paints rows: what runs on a GPU of this machine, and in an actor of Ray."""

import dataclasses
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from PIL import Image

from punks.batch.jobs import Job
from punks.errors import PunkError
from punks.generate import Painted, Studio, notices, restore
from punks.recipe import PER_PICTURE, Recipe
from punks.snap import PixelArt

T = TypeVar("T")
_SHARED = [one.name for one in dataclasses.fields(Recipe) if one.name not in PER_PICTURE]
WINDOW = 256  # rows that are looked at together, to find those that can be painted at once
AHEAD = 16  # paintings that wait for their restoration


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of a job: pixel art (and the RGB painting, if asked for), or an error.

    `warnings` say what of the recipe could not be done.
    """

    job: Job
    art: PixelArt | None = None
    painting: Image.Image | None = None
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    warnings: str = ""
    error: str = ""


class Place(Protocol):
    """Where jobs are painted. What it starts, models that are warm among it, lives until it is closed.

    `paintings`: whether outcomes bring the paintings along.
    """

    paintings: bool

    def paint(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        """What becomes of jobs that have a recipe, in any order. Raises BatchError if it cannot go on."""
        ...

    def close(self) -> None:
        """Ends all that it started, whatever that does."""
        ...


class Artist:
    """Paints on the thread that calls and restores on others, so that a device never waits for either."""

    def __init__(self, emit: Callable[[Outcome], None], *, paintings: bool) -> None:
        self._studio, self._emit, self._paintings = Studio(), emit, paintings
        self._pool = ThreadPoolExecutor(2)
        self._waiting: deque[Future[None]] = deque()

    def paint(self, jobs: Sequence[Job]) -> None:
        """Paints jobs that can be painted in one batch; each is emitted from another thread when it is done.

        One that cannot be painted fails alone.
        """
        left = list(jobs)
        recipes = [recipe_of(job) for job in jobs]
        try:
            for painted in self._studio.paint_all(recipes, image=jobs[0].image):
                self._later(self._restore, left.pop(0), painted)
        except PunkError as error:
            if len(left) == 1:
                self._later(self._emit, Outcome(job=left[0], error=str(error)))
                return
            for job in left:
                self.paint([job])

    def finish(self) -> None:
        """Waits until all is emitted."""
        while self._waiting:
            self._waiting.popleft().result()

    def _later(self, do: Callable[..., None], *what: object) -> None:
        self._waiting.append(self._pool.submit(do, *what))
        while len(self._waiting) > AHEAD or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()

    def _restore(self, job: Job, painted: Painted) -> None:
        start = time.perf_counter()
        try:
            art, warnings = restore(painted.painting, painted.recipe)
        except PunkError as error:
            self._emit(Outcome(job=job, error=str(error)))
            return
        seconds = {**painted.seconds, "snap": time.perf_counter() - start}
        painting = painted.painting if self._paintings else None
        said = "; ".join([*notices(painted.recipe), *warnings])
        self._emit(Outcome(job=job, art=art, painting=painting, seconds=seconds, warnings=said))


def recipe_of(job: Job) -> Recipe:
    """The recipe of a job that has one."""
    if job.recipe is None:
        raise ValueError(job.error)
    return job.recipe


def grouped(jobs: Iterator[Job], size: int) -> Iterator[list[Job]]:
    """Runs of at most `size` jobs that can be painted in one batch, their prompts of similar length."""

    def kind(job: Job) -> str:
        return repr([getattr(job.recipe, name) for name in _SHARED])

    while window := sorted(itertools.islice(jobs, WINDOW), key=lambda job: (kind(job), len(recipe_of(job).prompt))):
        for _, run in itertools.groupby(window, kind):
            yield from batches(run, size)


def batches(jobs: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` jobs, the last one shorter."""
    rest = iter(jobs)
    while batch := list(itertools.islice(rest, size)):
        yield batch
