"""One painter and the paintings that wait for it."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punks.errors import PunkError
from punks.finish import Finish
from punks.generate import Painting, Pipeline
from punks.page.cells import encoded
from punks.page.news import News
from punks.recipe import Recipe


class CanceledError(PunkError):
    """Somebody canceled this painting."""


@dataclass(kw_only=True, eq=False)
class Task:
    """A painting that was asked for. `image` is the file that it starts from."""

    name: str
    recipe: Recipe
    finish: Finish
    image: Path | None = None
    canceled: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raises CanceledError."""
        if self.canceled.is_set():
            raise CanceledError("canceled")


class Queue:
    """Paints tasks one after the other on a thread of its own. `keep(task, painting)` says what became of each."""

    def __init__(self, keep: Callable[[Task, Painting], dict[str, Any]], news: News) -> None:
        self._keep, self._news = keep, news
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._current: Task | None = None
        self._closing = False
        self._pipeline = Pipeline()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, tasks: list[Task]) -> None:
        """Paints them after those that wait already."""
        with self._changed:
            self._tasks += tasks
            self._changed.notify_all()
        self._tell()

    def names(self) -> list[str]:
        """What is painted, and then what waits, in order; a canceled task is gone at once."""
        with self._changed:
            tasks = [*([self._current] if self._current else []), *self._tasks]
            return [task.name for task in tasks if not task.canceled.is_set()]

    def cancel(self, name: str | None = None) -> None:
        """Cancels a painting, or all of them. One that runs ends with its step, or when its model is loaded."""
        with self._changed:
            tasks = [*([self._current] if self._current else []), *self._tasks]
            gone = [task for task in tasks if name in (None, task.name) and not task.canceled.is_set()]
            for task in gone:
                task.canceled.set()
            self._tasks = deque(task for task in self._tasks if not task.canceled.is_set())
        for task in gone:
            self._news.tell("canceled", name=task.name)
        self._tell()

    def close(self, seconds: float) -> bool:
        """Cancels everything. -> whether the painter has stopped in that time: a step of a large model takes longer."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self.cancel()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                punk = self._keep(task, self._paint(task))
                self._news.tell("done", punk=punk)
            except CanceledError:
                pass  # was said when it was canceled
            except PunkError as error:
                self._news.tell("failed", name=task.name, error=str(error))
            except BaseException:
                self._news.tell("failed", name=task.name, error="the painter has crashed; restart `punks studio`")
                raise
            finally:
                self._current = None
            self._tell()

    def _next(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or self._closing)
            if self._closing:
                return None
            self._current = self._tasks.popleft()
            return self._current

    def _paint(self, task: Task) -> Painting:
        started, steps = time.perf_counter(), task.recipe.painted_steps

        def on_step(step: int, steps: int) -> None:
            task.check()
            seconds = round(time.perf_counter() - started, 2)
            self._news.tell("step", name=task.name, step=step, steps=steps, seconds=seconds)

        def on_preview(cells: NDArray[np.uint8]) -> None:
            self._news.tell("preview", name=task.name, cells=encoded(cells))

        self._news.tell("step", name=task.name, step=0, steps=steps, seconds=0)
        painting = next(self._pipeline.paint([task.recipe], on_step, task.image, on_preview))
        task.check()
        return painting

    def _tell(self) -> None:
        self._news.tell("queue", names=self.names())
