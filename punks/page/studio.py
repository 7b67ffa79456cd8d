"""What the page does: a folder of punks, one painter with a queue, and news of both for every open browser."""

import asyncio
import base64
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from punks.batch.folder import KINDS, opened
from punks.batch.jobs import Job
from punks.batch.manifest import Entry, entries
from punks.batch.manifest import warnings as said
from punks.batch.picks import Pick, read_picks, write_picks
from punks.batch.places.worker import Outcome
from punks.errors import BatchError, PunkError, RecipeError
from punks.files.checksums import sha256
from punks.files.pictures import open_picture
from punks.files.png import RECIPE, read_texts, write_png
from punks.finish import Finish
from punks.generate import Painting, Pipeline, Punk
from punks.page.commands import api_call, command
from punks.recipe import Recipe
from punks.request import changed, divide, flat, from_json, upgraded

INPUTS = "inputs"  # pictures that paintings start from, by their SHA-256
WARM = 64  # paintings kept in memory, to finish them at once
log = logging.getLogger(__name__)


class CanceledError(PunkError):
    """Somebody canceled this painting."""


@dataclass(kw_only=True)
class _Task:
    name: str
    recipe: Recipe
    finish: Finish
    canceled: threading.Event = field(default_factory=threading.Event)


class Studio:
    """The folder is open for this program alone until `close`. Methods may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._at = self._stack.enter_context(opened(folder))
        self._lock, self._ready = threading.Lock(), threading.Condition()
        self._tasks: deque[_Task] = deque()
        self._current: _Task | None = None
        self._closing = False
        self._last = max((entry["job"] for entry in entries(folder)), default=0)
        self._picks = read_picks(folder)
        self._warm: OrderedDict[str, Painting] = OrderedDict()
        self._clients: dict[asyncio.Queue[dict[str, Any]], asyncio.AbstractEventLoop] = {}
        self._pipeline = Pipeline()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def end_news(self) -> None:
        """Ends what browsers listen to, so that the server can stop."""
        self._tell({"event": "end"})

    def close(self) -> None:
        """Cancels what is painted and waits for it; the folder stays whole."""
        with self._ready:
            self._closing = True
            self._tasks.clear()
            if self._current:
                self._current.canceled.set()
            self._ready.notify_all()
        self._thread.join(30)
        self._stack.close()

    def paint(self, values: Mapping[str, Any], count: int = 1) -> list[str]:
        """Queues `count` punks of these flat values. -> their names. Raises RecipeError."""
        if type(count) is not int or not 1 <= count <= 16:
            raise RecipeError("count", count, "use a whole number from 1 to 16")
        recipe, finish = divide(values)
        if recipe.image_sha256 is not None and not self._input(recipe.image_sha256).is_file():
            raise RecipeError("image_sha256", recipe.image_sha256, "drop the picture on the page again")
        with self._ready:
            tasks = [_Task(name=self._next(), recipe=one, finish=finish) for one in recipe.outputs(count)]
            self._tasks += tasks
            self._ready.notify_all()
        self._tell_queue()
        return [task.name for task in tasks]

    def cancel(self, name: str | None = None) -> None:
        """Cancels a painting, or all of them."""
        with self._ready:
            gone = [task for task in self._tasks if name in (None, task.name)]
            for task in gone:
                self._tasks.remove(task)
            if self._current and name in (None, self._current.name):
                self._current.canceled.set()
        for task in gone:
            self._tell({"event": "canceled", "name": task.name})
        self._tell_queue()

    def finish(self, name: str, values: Mapping[str, Any], *, save: bool) -> dict[str, Any]:
        """A punk with flat values of its finish changed; `save` keeps it so. Raises PunkError."""
        entry = self._entry(name)
        recipe, finish = divide(upgraded({**entry["recipe"], **entry.get("asked", {})}))
        punk = self._painting(name, entry).finish(changed(recipe, finish, values)[1])
        if save:
            with self._lock:
                job = Job(number=entry["job"], recipe=recipe, finish=punk.finish)
                entry = self._at.keep(Outcome(job=job, punk=punk), entry)
            self._tell({"event": "changed", "punk": self.described(entry)})
        return shown(punk)

    def pick(self, name: str, values: Mapping[str, Any]) -> None:
        """Keeps, rejects or rates a punk. Raises BatchError."""
        self._entry(name)
        unknown = values.keys() - {"choice", "rating"}
        if unknown:
            raise BatchError(f"unknown field {min(unknown)!r}; fields are choice, rating")
        with self._lock:
            self._picks[name] = replace(self._picks.get(name, Pick()), **values)
            write_picks(self.folder, self._picks)
        self._tell({"event": "changed", "punk": self.described(self._entry(name))})

    def take_in(self, upload: Path) -> dict[str, Any]:
        """What a dropped file is: a punk, whose values are loaded, or a picture to start from. Raises PunkError."""
        if upload.suffix.lower() in (".png", ".webp") and RECIPE in (texts := read_texts(upload)):
            recipe, finish = from_json(texts[RECIPE])
            return {"values": flat(recipe, finish)}
        (self.folder / INPUTS).mkdir(exist_ok=True)
        part = upload.with_suffix(".input.png")
        write_png(open_picture(upload), part)
        digest = sha256(part)
        part.replace(self._input(digest))
        return {"image_sha256": digest}

    def listed(self, before: int | None, count: int) -> list[dict[str, Any]]:
        """Punks that are done, the newest first, from below a number."""
        found: list[dict[str, Any]] = []
        for number in range(min(before or self._last + 1, self._last + 1) - 1, 0, -1):
            entry = self._at.manifest.last(Job(number=number).name)
            if entry and entry["status"] == "done":
                found.append(self.described(entry))
                if len(found) == count:
                    break
        return found

    def described(self, entry: Entry) -> dict[str, Any]:
        """A punk for the page."""
        recipe, finish = divide(upgraded(entry["recipe"]))
        pick = self._picks.get(entry["name"], Pick())
        return {
            "name": entry["name"],
            "number": entry["job"],
            "values": flat(recipe, finish),
            "prompt": entry["prompt"],
            "palette": entry["palette"],
            "confidence": entry["confidence"],
            "warnings": said(entry),
            "seconds": round(sum(entry.get("seconds", {}).values()), 2),
            "version": entry["sha256"]["pixels"][:12],
            "painting": "painting" in entry["files"],
            "choice": pick.choice,
            "rating": pick.rating,
            "command": command(recipe, finish),
            "api": api_call(recipe, finish),
        }

    def punk(self, name: str) -> Punk:
        """A punk as it is finished now. Raises BatchError."""
        entry = self._entry(name)
        return self._painting(name, entry).finish(divide(upgraded(entry["recipe"]))[1])

    def file(self, name: str, kind: str) -> Path:
        """A file of a punk, of a kind of the folder's KINDS. Raises BatchError."""
        files = self._entry(name)["files"]
        if kind not in KINDS or kind not in files:
            raise BatchError(f"{name} has no {kind}")
        return self.folder / files[kind]

    def queue(self) -> list[str]:
        """The names that are painted or wait, in order."""
        with self._ready:
            return [task.name for task in ([self._current] if self._current else []) + list(self._tasks)]

    async def news(self) -> AsyncIterator[dict[str, Any]]:
        """What happens from now on."""
        mine: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._clients[mine] = asyncio.get_running_loop()
        try:
            yield {"event": "queue", "names": self.queue()}
            while (news := await mine.get())["event"] != "end":
                yield news
        finally:
            del self._clients[mine]

    def _next(self) -> str:
        self._last += 1
        return Job(number=self._last).name

    def _input(self, digest: str) -> Path:
        return self.folder / INPUTS / f"{digest}.png"

    def _entry(self, name: str) -> Entry:
        entry = self._at.manifest.last(name)
        if entry is None or entry["status"] != "done":
            raise BatchError(f"there is no punk {name!r}")
        return entry

    def _painting(self, name: str, entry: Entry) -> Painting:
        with self._lock:
            if name not in self._warm:
                self._warm[name] = self._at.punk(entry).painting
            self._warm.move_to_end(name)
            while len(self._warm) > WARM:
                self._warm.popitem(last=False)
            return self._warm[name]

    def _work(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._tasks or self._closing)
                if self._closing:
                    return
                task = self._current = self._tasks.popleft()
            try:
                self._tell({"event": "done", "punk": self.described(self._paint(task))})
            except CanceledError:
                self._tell({"event": "canceled", "name": task.name})
            except PunkError as error:
                self._tell({"event": "failed", "name": task.name, "error": str(error)})
            finally:
                self._current = None
            self._tell_queue()

    def _paint(self, task: _Task) -> Entry:
        started = time.perf_counter()

        def on_step(step: int, steps: int) -> None:
            if task.canceled.is_set():
                raise CanceledError("canceled")
            passed = round(time.perf_counter() - started, 1)
            self._tell({"event": "step", "name": task.name, "step": step, "steps": steps, "seconds": passed})

        def on_preview(cells: NDArray[np.uint8]) -> None:
            self._tell({"event": "preview", "name": task.name, "cells": encoded(cells)})

        recipe = task.recipe
        image = None if recipe.image_sha256 is None else self._input(recipe.image_sha256)
        self._tell({"event": "step", "name": task.name, "step": 0, "steps": recipe.painted_steps, "seconds": 0})
        painting = next(self._pipeline.paint([recipe], on_step, image, on_preview))
        if task.canceled.is_set():
            raise CanceledError("canceled")
        punk = painting.finish(task.finish)
        job = Job(number=int(task.name), recipe=recipe, finish=punk.finish, image=image)
        with self._lock:
            self._warm[task.name] = replace(painting, image=None, restored=painting.cells)
            return self._at.keep(Outcome(job=job, punk=punk))

    def _tell_queue(self) -> None:
        self._tell({"event": "queue", "names": self.queue()})

    def _tell(self, news: dict[str, Any]) -> None:
        for client, loop in list(self._clients.items()):
            try:
                loop.call_soon_threadsafe(client.put_nowait, news)
            except RuntimeError:  # its loop has ended
                log.debug("a browser has left")


def encoded(cells: NDArray[np.uint8]) -> str:
    """Cells (24, 24, 3 or 4) as base64 of RGBA."""
    alpha = np.full((*cells.shape[:2], 1), 255, np.uint8)
    rgba = cells if cells.shape[2] == 4 else np.concatenate([cells, alpha], axis=2)
    return base64.b64encode(np.ascontiguousarray(rgba).tobytes()).decode()


def shown(punk: Punk) -> dict[str, Any]:
    """A punk that was just finished, for the page."""
    return {
        "cells": encoded(punk.art.cells),
        "palette": punk.art.hexes,
        "warnings": "; ".join(punk.warnings),
        "finish": {name: str(value) if name == "palette" else value for name, value in vars(punk.finish).items()},
    }
