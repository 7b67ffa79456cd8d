"""The folder of a batch: one run at a time writes there; each picture at once and whole, and then its line."""

import dataclasses
import functools
import hashlib
import json
import os
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from punks.batch.jobs import Job
from punks.batch.manifest import AGAIN, Entry, Manifest
from punks.batch.places.worker import Outcome, recipe_of
from punks.errors import BatchError, ImageError
from punks.files.png import write_art, write_png
from punks.generate import painted_prompt
from punks.recipe import Recipe
from punks.snap import PixelArt

WRITERS = 4  # threads
Writer = Callable[[Path, Recipe], None]
# where each kind of file lies; `unlocked` is the 24x24 picture from before one palette was held over all
KINDS = {"image": "images", "pixels": "pixels", "painting": "paintings", "unlocked": "unlocked"}
LOCKED = ("palette", "background")  # fields that a palette lock changes
_DEFAULTS = {
    one.name: None if one.default is dataclasses.MISSING else one.default for one in dataclasses.fields(Recipe)
}


@contextmanager
def opened(path: Path) -> Generator["Folder"]:
    """The folder, made if it is not there, for this run alone, without the partial files of killed ones.

    Raises BatchError if another run has it, or it cannot be written.
    """
    with ExitStack() as stack:
        try:
            for kind in ("image", "pixels"):
                (path / KINDS[kind]).mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path / ".lock", timeout=0))
            for kind in KINDS.values():
                for part in (path / kind).glob(".*.part"):
                    part.unlink()
        except Timeout:
            raise BatchError(f"{path}: another run writes there; let it end, or name another folder") from None
        except OSError as error:
            raise BatchError(f"{path}: cannot be written ({error.strerror or error})") from error
        folder = Folder(path)
        stack.callback(folder.manifest.close)
        yield folder


class Folder:
    """An open folder. Its methods may be called from several threads; they raise BatchError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = Manifest(path)
        self._lock = threading.Lock()

    def finished(self, job: Job, kinds: tuple[str, ...], changes: tuple[str, ...]) -> bool:
        """Whether the job is done, by this very recipe, and its files are there in their full size.

        `kinds` are the files that it must have, `changes` the fields that a run may have changed in a row.
        """
        entry = self.manifest.last(job.name)
        if entry is None or entry["status"] != "done" or job.recipe is None:
            return False
        asked = entry.get("asked", {})
        return (
            {**_DEFAULTS, **entry["recipe"], **asked} == as_json(job.recipe)
            and set(asked) <= set(changes)
            and set(kinds) <= set(entry["files"])
            and all(_size(self.path / name) == entry["bytes"][kind] for kind, name in entry["files"].items())
        )

    def keep(self, outcome: Outcome) -> Entry:
        """Writes the files of a job that is done, and its line; of one that failed its line alone."""
        job, art = outcome.job, outcome.art
        entry: Entry = {"name": job.name, "job": job.number, "status": "done" if art else "failed"}
        if job.recipe is not None:
            entry["recipe"] = as_json(job.recipe)
        if job.asked:
            entry["asked"] = job.asked
        files = {kind: f"{folder}/{job.name}.png" for kind, folder in KINDS.items()}
        if art is None:
            for name in files.values():  # of an earlier recipe
                (self.path / name).unlink(missing_ok=True)
            return self._add({**entry, "error": outcome.error})
        recipe = recipe_of(job)
        (self.path / files["unlocked"]).unlink(missing_ok=True)
        writers = _writers(art, recipe)
        if outcome.painting is not None:
            writers["painting"] = functools.partial(write_png, outcome.painting)
        entry["prompt"] = painted_prompt(recipe)
        if outcome.warnings:
            entry["warnings"] = outcome.warnings
        entry |= self._write(job.name, writers, recipe)
        entry |= {"palette": art.hexes, "confidence": round(art.confidence, 4), "cells": _digest(art)}
        return self._add(entry | {"seconds": {stage: round(taken, 4) for stage, taken in outcome.seconds.items()}})

    def lock(self, entry: Entry, art: PixelArt, before: PixelArt, fields: dict[str, str], lost: str) -> Entry:
        """Puts art of one palette in the place of `before`, which is kept for the next time.

        `fields` are those of LOCKED that its recipe has now, `lost` is a warning.
        """
        was = Recipe.from_dict(entry["recipe"])
        recipe = was.replace(**fields)
        asked = {**{name: getattr(was, name) for name in fields}, **entry.get("asked", {})}
        if "unlocked" not in entry["files"]:
            unlocked = self._write(entry["name"], {"unlocked": functools.partial(write_art, before, 24)}, was)
            entry = _merged(entry, unlocked)
        files = self._write(entry["name"], _writers(art, recipe), recipe)
        changed = {"recipe": as_json(recipe), "asked": asked, "palette": art.hexes, "lost": lost}
        return self._add(_changed(_merged(entry, files), changed))

    def unlock(self, entry: Entry, before: PixelArt) -> Entry:
        """Puts what was there before the lock in its place again."""
        asked = {**entry["asked"]}
        own = {name: asked.pop(name) for name in LOCKED if name in asked}
        recipe = Recipe.from_dict({**entry["recipe"], **own})
        files = self._write(entry["name"], _writers(before, recipe), recipe)
        changed = {"recipe": as_json(recipe), "asked": asked, "palette": before.hexes, "lost": ""}
        entry = _changed(_merged(entry, files), changed)
        for key in files:
            del entry[key]["unlocked"]
        self._add(entry)
        (self.path / KINDS["unlocked"] / f"{entry['name']}.png").unlink()
        return entry

    def _write(self, name: str, writers: dict[str, Writer], recipe: Recipe) -> Entry:
        files: dict[str, dict[str, Any]] = {"files": {}, "sha256": {}, "bytes": {}}
        for kind, write in writers.items():
            path = self.path / KINDS[kind] / f"{name}.png"
            try:
                path.parent.mkdir(exist_ok=True)
                write(path, recipe)
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
                    content = file.read()
            except (ImageError, OSError) as error:
                raise BatchError(f"{error}; {AGAIN}") from error
            files["files"][kind] = f"{KINDS[kind]}/{name}.png"
            files["sha256"][kind] = hashlib.sha256(content).hexdigest()
            files["bytes"][kind] = len(content)
        return files

    def _add(self, entry: Entry) -> Entry:
        with self._lock:
            self.manifest.append([entry])
        return entry


def as_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the manifest has it."""
    return json.loads(recipe.to_json())


def _writers(art: PixelArt, recipe: Recipe) -> dict[str, Writer]:
    """What writes the two pictures of every punk."""
    sizes = {"image": recipe.output_size, "pixels": 24}
    return {kind: functools.partial(write_art, art, size) for kind, size in sizes.items()}


def _digest(art: PixelArt) -> str:
    """The same for the same cells as they were painted, and for no others."""
    return hashlib.sha256(np.ascontiguousarray(art.cells).tobytes()).hexdigest()[:32]


def _merged(entry: Entry, files: Entry) -> Entry:
    return {**entry, **{key: {**entry[key], **files[key]} for key in files}}


def _changed(entry: Entry, values: Entry) -> Entry:
    """With other values; those that are empty are left out."""
    return {key: value for key, value in {**entry, **values}.items() if value or key not in values}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
