"""A warm pipeline that paints jobs: what runs on a GPU of this machine, and in an actor of Ray."""

import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from punks.batch.jobs import Job
from punks.errors import DeviceError, PunkError
from punks.files.own_variants import load_variants
from punks.generate import Painting, Pipeline, Punk
from punks.recipe import SHARED, Recipe

T = TypeVar("T")
WINDOW = 256  # rows that are looked at together, to find those that can be painted at once
AHEAD = 16  # paintings that wait to be finished


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of a job: a punk (with the RGB painting, if asked for), or an error."""

    job: Job
    punk: Punk | None = None
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


class Worker:
    """Paints and finishes on threads of its own, so that the device waits for neither.

    With a GPU two of them paint by turns: one launches a batch while the other has the batch before decoded, restored
    and finished.
    """

    def __init__(self, emit: Callable[[Outcome], None], *, paintings: bool) -> None:
        load_variants()
        self._pipeline, self._emit, self._paintings = Pipeline(), emit, paintings
        self._painters, self._pool = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
        self._batches: deque[Future[None]] = deque()
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        self._variant = ""

    def paint(self, jobs: Sequence[Job]) -> None:
        """Paints jobs that can be painted in one batch; each is emitted from another thread when it is done.

        One that cannot be painted fails alone. With a GPU this returns when the batch before is done.
        """
        variant, many = recipe_of(jobs[0]).variant, len(jobs) > 1 and self._on_gpu()
        # a job alone may be what ended a process, and another base needs the memory of this one
        beside = many and variant == self._variant
        self._variant = variant
        while len(self._batches) > beside:
            self._batches.popleft().result()
        if many:
            self._batches.append(self._painters.submit(self._paint, jobs))
        else:
            self._paint(jobs)

    def _on_gpu(self) -> bool:
        try:
            # both are made here, before two threads ask for them
            return self._pipeline.restorers is not None or self._pipeline.bases.device.type == "cuda"
        except DeviceError:  # which painting says of each job
            return False

    def _paint(self, jobs: Sequence[Job]) -> None:
        left = list(jobs)
        recipes = [recipe_of(job) for job in jobs]
        try:
            for painting in self._pipeline.paint(recipes, image=jobs[0].image):
                self._later(self._finish, left.pop(0), painting)
        except PunkError as error:
            if len(left) == 1:
                self._later(self._emit, Outcome(job=left[0], error=str(error)))
                return
            for job in left:
                self._paint([job])

    def settle(self) -> bool:
        """Waits for the oldest work in hand and raises its error; False if there is none."""
        begun = self._batches or self._waiting
        if begun:
            begun.popleft().result()
            return True
        return False

    def finish(self) -> None:
        """Waits until all is emitted."""
        while self.settle():
            pass

    def _later(self, do: Callable[..., None], *what: object) -> None:
        with self._lock:
            self._waiting.append(self._pool.submit(do, *what))
            while len(self._waiting) > AHEAD or (self._waiting and self._waiting[0].done()):
                self._waiting.popleft().result()

    def _finish(self, job: Job, painting: Painting) -> None:
        try:
            punk = painting.finish(job.finish)
        except PunkError as error:
            self._emit(Outcome(job=job, error=str(error)))
            return
        if not self._paintings:  # the picture itself is large, and stays here
            kept = dataclasses.replace(painting, image=None, restored=painting.cells)
            punk = dataclasses.replace(punk, painting=kept)
        self._emit(Outcome(job=job, punk=punk))


def recipe_of(job: Job) -> Recipe:
    """The recipe of a job that has one."""
    if job.recipe is None:
        raise ValueError(job.error)
    return job.recipe


def grouped(jobs: Iterator[Job], size: int) -> Iterator[list[Job]]:
    """Runs of at most `size` jobs that can be painted in one batch, their prompts of similar length."""

    def kind(job: Job) -> str:
        return repr([getattr(job.recipe, name) for name in SHARED])

    while window := sorted(itertools.islice(jobs, WINDOW), key=lambda job: (kind(job), len(recipe_of(job).prompt))):
        for _, run in itertools.groupby(window, kind):
            yield from batches(run, size)


def batches(jobs: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` jobs, the last one shorter."""
    rest = iter(jobs)
    while batch := list(itertools.islice(rest, size)):
        yield batch
