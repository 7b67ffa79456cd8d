"""`manifest.jsonl`: what a folder holds. One JSON object a line, only ever added to; the last line of a name counts."""

import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from punks.errors import BatchError

NAME = "manifest.jsonl"
DAMAGED = "manifest.damaged"  # lines that could not be read, set aside
AGAIN = "run the same command again to go on"
Entry = dict[str, Any]
log = logging.getLogger(__name__)


def entries(folder: Path) -> Iterator[Entry]:
    """The last line of each name, in the order of jobs; lines that cannot be read are left out.

    Raises BatchError if there is no manifest.
    """
    yield from entries_from(folder, 0)[0]


def entries_from(folder: Path, start: int) -> tuple[Iterator[Entry], int]:
    """The last line of each name from this byte on, as `entries` does, and the byte where the last whole line ends."""
    path = folder / NAME

    def read() -> Iterator[Entry]:
        try:
            with path.open("rb") as file:
                for _, at in sorted(where.values()):
                    file.seek(at)
                    yield json.loads(file.readline())
        except OSError as error:
            raise BatchError(f"{path}: cannot be read ({error.strerror or error})") from error

    try:
        where, end, _ = _index(path, start)
    except OSError as error:
        raise BatchError(f"{path}: cannot be read ({error.strerror or error})") from error
    return read(), end


def entries_so_far(folder: Path) -> Iterator[Entry]:
    """As `entries`; none where there is no manifest yet."""
    return entries(folder) if (folder / NAME).exists() else iter(())


def warnings(entry: Entry) -> str:
    """What of the request could not be done; version 0.1 wrote apart what a palette lock took."""
    return "; ".join(said for key in ("warnings", "lost") if (said := entry.get(key)))


class Manifest:
    """The manifest of a folder while one run adds to it. Raises BatchError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        try:
            self._path.touch()
            self._where, self._end, damaged = _index(self._path)
            if damaged:
                self._set_aside(folder / DAMAGED, damaged)
            self._file = self._path.open("rb+", buffering=0)
            self._file.truncate(self._end)
        except OSError as error:
            raise self._refused(error) from error
        self._failed: BatchError | None = None

    def close(self) -> None:
        self._file.close()

    def last(self, name: str) -> Entry | None:
        """The last line of a name."""
        if name not in self._where:
            return None
        with self._path.open("rb") as file:
            file.seek(self._where[name][1])
            return json.loads(file.readline())

    def append(self, entry: Entry) -> None:
        """Adds a line, which is on the disk when this returns. After one that failed nothing more is added."""
        if self._failed:
            raise self._failed
        text = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        try:
            self._file.seek(self._end)
            left = text
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._failed = self._refused(error)
            try:
                self._file.truncate(self._end)
            except OSError:
                log.warning("%s: its last line may be cut off", self._path)
            raise self._failed from error
        self._where[entry["name"]] = (entry["job"], self._end)
        self._end += len(text)

    def _set_aside(self, place: Path, damaged: list[bytes]) -> None:
        """Moves lines that cannot be read into a file of their own; their punks are painted again."""
        kept = [line for line in self._path.read_bytes().splitlines(keepends=True) if _entry(line) is not None]
        with place.open("ab") as file:
            file.writelines(line.rstrip(b"\n") + b"\n" for line in damaged)
        part = self._path.with_suffix(".part")
        part.write_bytes(b"".join(kept))
        part.replace(self._path)
        self._where, self._end, _ = _index(self._path)
        log.warning(
            "%s: %d damaged lines are now in %s; their punks are painted again", self._path, len(damaged), place
        )

    def _refused(self, error: OSError) -> BatchError:
        return BatchError(f"{self._path}: cannot be written ({error.strerror or error}); {AGAIN}")


def _index(path: Path, start: int = 0) -> tuple[dict[str, tuple[int, int]], int, list[bytes]]:
    """The job and the place of the last line of each name, where the last whole line ends, and the damaged lines."""
    where: dict[str, tuple[int, int]] = {}
    at, damaged = start, list[bytes]()
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):  # a run was killed while it wrote
                break
            if entry := _entry(line):
                where[entry["name"]] = (entry["job"], at)
            else:
                damaged.append(line)
            at += len(line)
    return where, at, damaged


def _entry(line: bytes) -> Entry | None:
    """The entry of a line; None where it is not one that a run writes."""
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    entry = cast("Entry", value)
    optional = {key: rule for key, rule in _OPTIONAL.items() if entry.get(key) is not None}
    rules = {**optional, **_COMMON, **(_DONE if entry.get("status") == "done" else _FAILED)}
    fits = all(rule(entry.get(key)) for key, rule in rules.items())
    if not fits or (entry["status"] == "done" and not _has_files(entry)):
        return None
    return entry


def _has_files(entry: Entry) -> bool:
    """Whether the files are those of this punk, with the hash and the size of each."""
    files: Mapping[str, Any] = entry["files"]
    places = {"image": "images", "pixels": "pixels", "painting": "paintings", "unlocked": "unlocked"}
    named = all(files[kind] == f"{places.get(kind)}/{entry['name']}.png" for kind in files)
    same = entry["sha256"].keys() == entry["bytes"].keys() == files.keys() >= {"image", "pixels"}
    return named and same and all(map(_text, entry["sha256"].values())) and all(map(_count, entry["bytes"].values()))


def _text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> bool:
    return type(value) is int and value >= 0


def _number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(cast("float", value))


def _table(value: object) -> bool:
    return isinstance(value, dict)


def _seeded(value: object) -> bool:
    return isinstance(value, dict) and _count(cast("Entry", value).get("seed"))


def _seeds(value: object) -> bool:
    return isinstance(value, list) and all(map(_count, cast("list[object]", value)))


def _colors(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, str) and re.fullmatch("#[0-9a-f]{6}", one) for one in cast("list[object]", value)
    )


def _seconds(value: object) -> bool:
    return isinstance(value, dict) and all(map(_number, cast("Entry", value).values()))


Rules = Mapping[str, Callable[[object], object]]
_COMMON: Rules = {
    "name": lambda value: isinstance(value, str) and re.fullmatch(r"\d{6,}", value, re.ASCII),
    "job": lambda value: _count(value) and value,
    "status": lambda value: value in ("done", "failed"),
}
_DONE: Rules = {
    "recipe": _seeded,
    "prompt": _text,
    "files": _table,
    "sha256": _table,
    "bytes": _table,
    "palette": _colors,
    "confidence": _number,
    "cells": _text,
}
_FAILED: Rules = {"error": _text}
_OPTIONAL: Rules = {
    "asked": _table,
    "kept": lambda value: value is True,
    "rejected": _seeds,
    "warnings": _text,
    "lost": _text,
    "seconds": _seconds,
    "recipe": _table,
}
