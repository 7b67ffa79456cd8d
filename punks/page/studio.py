"""What the page does: a folder of punks, finished anew as often as one likes, and a queue that paints more."""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from punks.batch.folder import KINDS, opened
from punks.batch.jobs import Job
from punks.batch.manifest import Entry, entries
from punks.batch.manifest import warnings as said
from punks.batch.picks import Pick, read_picks, write_picks
from punks.batch.places.worker import Outcome
from punks.errors import BatchError, ImageError, LoraError, RecipeError
from punks.files.checksums import sha256
from punks.files.palettes import SUFFIXES as PALETTES
from punks.files.palettes import read_palette
from punks.files.pictures import open_picture
from punks.files.png import RECIPE as TEXT
from punks.files.png import read_texts, write_png
from punks.finish import Finish
from punks.generate import Painting, Punk
from punks.lora.file import read_header
from punks.lora.modules import base_of
from punks.lora.store import kept
from punks.page.cells import encoded
from punks.page.commands import api_call, command
from punks.page.news import News
from punks.page.queue import Queue, Task
from punks.palette import Palette
from punks.recipe import Recipe
from punks.request import FINISH, asked, changed, divide, from_json, recorded

INPUTS = "inputs"  # pictures that paintings start from, by their SHA-256
WARM = 64  # paintings kept in memory, to finish them at once
LORA = ".safetensors"
MOST = 16  # punks of one request
PICTURES = (".png", ".webp", ".gif")  # which may hold a palette, but are more


class Studio:
    """The folder is open for this program alone until `close`. Methods may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.news = folder, News()
        self.changed = False  # whether the folder's gallery is out of date
        self._stack = ExitStack()
        self._at = self._stack.enter_context(opened(folder))
        self._lock = threading.RLock()
        self._last = max((entry["job"] for entry in entries(folder)), default=0)
        self._picks = read_picks(folder)
        self._warm: OrderedDict[str, Painting] = OrderedDict()
        self.queue = Queue(self._keep, self.news)

    def close(self, seconds: float = 2) -> bool:
        """Cancels what is painted; the folder stays whole. -> whether the painter has stopped in that time."""
        stopped = self.queue.close(seconds)
        with self._lock:
            self._stack.close()
        return stopped

    def paint(self, values: Mapping[str, Any], count: object = 1, of: str | None = None) -> list[str]:
        """Queues `count` punks of these flat values, or of a punk with these values changed. -> their names."""
        if type(count) is not int or not 1 <= count <= MOST:
            raise RecipeError("count", count, f"use a whole number from 1 to {MOST}")
        recipe, finish = divide(values) if of is None else self._changed(of, values)
        image = None
        if recipe.image_sha256 is not None and not (image := self.input(recipe.image_sha256)).is_file():
            raise RecipeError("image_sha256", recipe.image_sha256, "drop the picture on the page again")
        with self._lock:
            first = self._last + 1
            self._last += count
        names = [Job(number=number).name for number in range(first, first + count)]
        recipes = recipe.outputs(count, draw="prompt" in values)
        self.queue.add(
            [Task(name=name, recipe=one, finish=finish, image=image) for name, one in zip(names, recipes, strict=True)]
        )
        return names

    def finish(self, name: str, values: Mapping[str, Any], *, save: bool) -> dict[str, Any]:
        """A punk with flat values of its finish changed, for the page; `save` keeps it so. Raises PunkError."""
        entry = self._entry(name)
        recipe, finish = _divided(entry)
        punk = self._painting(entry).finish(changed(recipe, finish, values)[1])
        if save:
            asked = entry.get("asked", {})
            row = {field: value for field, value in asked.items() if field in FINISH}
            own = punk.painting.finish(replace(punk.finish, **row)).art if row else None
            job = Job(number=entry["job"], recipe=recipe, finish=punk.finish, asked=asked)
            with self._lock:
                self.changed = True
                entry = self._at.keep(Outcome(job=job, punk=punk), entry, own)
            self.news.tell("changed", punk=self.described(entry))
        finished = vars(punk.finish) | {"palette": str(punk.finish.palette)}
        warned = "; ".join(punk.warnings)
        return {"cells": encoded(punk.art.cells), "palette": punk.art.hexes, "warnings": warned, "finish": finished}

    def pick(self, name: str, values: Mapping[str, Any]) -> None:
        """Keeps, rejects or rates a punk. Raises BatchError."""
        entry = self._entry(name)
        if unknown := values.keys() - {"choice", "rating"}:
            raise BatchError(f"unknown field {min(unknown)!r}; fields are choice, rating")
        with self._lock:
            self._picks[name] = replace(self._picks.get(name, Pick()), **values)
            write_picks(self.folder, self._picks)
            self.changed = True
        self.news.tell("changed", punk=self.described(entry))

    def take_in(self, upload: Path, name: str) -> dict[str, Any]:
        """What a dropped file is: a punk's values, a palette, a LoRA, or a picture to start from. Raises PunkError."""
        suffix = upload.suffix.lower()
        if suffix == LORA:
            return _lora(upload, name)
        if suffix in PALETTES and suffix not in PICTURES:
            return self.palette(upload)
        if suffix in PICTURES and TEXT in (texts := read_texts(upload)):
            return {"values": asked(*from_json(texts[TEXT]))}
        (self.folder / INPUTS).mkdir(exist_ok=True)
        part = upload.with_suffix(".input.png")
        write_png(open_picture(upload), part)
        digest = sha256(part)
        part.replace(self.input(digest))
        return {"image_sha256": digest}

    def palette(self, upload: Path, _name: str = "") -> dict[str, Any]:
        """The palette in a file, or in a picture. Raises ImageError."""
        return {"palette": str(Palette(tuple(read_palette(upload))))}

    def listed(self, before: int | None, count: int, show: str) -> dict[str, Any]:
        """Punks that are done, the newest first, from below a number: all, or those that `show` names."""
        found: list[dict[str, Any]] = []
        for entry in self._newest(before or self._last + 1):
            choice = self._picks.get(entry["name"], Pick()).choice or "none"
            if show in ("", choice):
                found.append(self.described(entry))
                if len(found) == count:
                    break
        return {"punks": found, "kept": len(self.kept())}

    def kept(self) -> list[str]:
        """The names of the punks to keep."""
        with self._lock:
            return sorted(name for name, pick in self._picks.items() if pick.choice == "keep" and self._done(name))

    def described(self, entry: Entry) -> dict[str, Any]:
        """A punk for the page."""
        recipe, finish = _divided(entry)
        pick = self._picks.get(entry["name"], Pick())
        return {
            "name": entry["name"],
            "number": entry["job"],
            "values": asked(recipe, finish),
            "prompt": recipe.prompt,
            "palette": entry["palette"],
            "confidence": entry["confidence"],
            "warnings": said(entry),
            "seconds": round(sum(entry.get("seconds", {}).values()), 2),
            "version": entry["sha256"]["pixels"][:12],
            "painting": "painting" in entry["files"],
            "choice": pick.choice,
            "rating": pick.rating,
        }

    def calls(self, name: str) -> dict[str, str]:
        """The command and the API call that make a punk again. Raises BatchError."""
        recipe, finish = _divided(self._entry(name))
        return {"command": command(recipe, finish), "api": api_call(recipe, finish)}

    def punk(self, name: str) -> Punk:
        """A punk as it is finished now. Raises BatchError."""
        entry = self._entry(name)
        return self._painting(entry).finish(_divided(entry)[1])

    def file(self, name: str, kind: str) -> Path:
        """A file of a punk, of a kind of the folder's KINDS. Raises BatchError."""
        files = self._entry(name)["files"]
        if kind not in KINDS or kind not in files:
            raise BatchError(f"punk {int(name)} has no {kind}")
        return self.folder / files[kind]

    def input(self, digest: str) -> Path:
        """Where the picture with this SHA-256 lies, if paintings started from it. Raises ImageError."""
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ImageError("use the SHA-256 of a picture")
        return self.folder / INPUTS / f"{digest}.png"

    def _changed(self, name: str, values: Mapping[str, Any]) -> tuple[Recipe, Finish]:
        """The recipe and finish of a punk with some values changed; another prompt takes the place of its traits."""
        recipe, finish = _divided(self._entry(name))
        if "prompt" in values and recipe.traits is not None:
            own = Finish().of(recipe)
            same = [field for field in ("background", "eyes") if getattr(finish, field) == getattr(own, field)]
            finish = replace(finish, **dict.fromkeys(same))
            values = {"traits": None, **values}
        return changed(recipe, finish, values)

    def _newest(self, before: int) -> Iterator[Entry]:
        for number in range(min(before, self._last + 1) - 1, 0, -1):
            if entry := self._done(Job(number=number).name):
                yield entry

    def _done(self, name: str) -> Entry | None:
        entry = self._at.manifest.last(name)
        return entry if entry and entry["status"] == "done" else None

    def _entry(self, name: str) -> Entry:
        if (entry := self._done(name)) is None:
            raise BatchError(f"there is no punk {int(name)}")
        return entry

    def _painting(self, entry: Entry) -> Painting:
        name = entry["name"]
        with self._lock:
            if name not in self._warm:
                self._warm[name] = self._at.punk(entry).painting
            self._warm.move_to_end(name)
            while len(self._warm) > WARM:
                self._warm.popitem(last=False)
            return self._warm[name]

    def _keep(self, task: Task, painting: Painting) -> dict[str, Any]:
        punk = painting.finish(task.finish)
        job = Job(number=int(task.name), recipe=task.recipe, finish=punk.finish, image=task.image)
        with self._lock:
            task.check()
            self._warm[task.name] = replace(painting, image=None, restored=painting.cells)
            self.changed = True
            return self.described(self._at.keep(Outcome(job=job, punk=punk)))


def _lora(upload: Path, name: str) -> dict[str, Any]:
    """A LoRA, which stays in the weights folder, and the base that takes it. Raises LoraError, WeightsError."""
    base, reason = base_of(read_header(upload))
    if base is None:
        raise LoraError(str(reason))
    lora = kept(upload, name=name, source=f"{name}{LORA}", say=lambda _: None)
    return {"lora": asdict(lora), "base": base}


def _divided(entry: Entry) -> tuple[Recipe, Finish]:
    return recorded(entry["recipe"])
