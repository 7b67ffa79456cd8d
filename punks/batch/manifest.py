"""`manifest.jsonl`: what a folder holds. One JSON object a line, only ever added to; the last line of a name counts."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from punks.errors import BatchError

NAME = "manifest.jsonl"
AGAIN = "the same command goes on from here"
Entry = dict[str, Any]


def entries(folder: Path) -> Iterator[Entry]:
    """The last line of each name, in the order of jobs; what a killed run left of a line is none.

    Raises BatchError if there is no manifest, or a line in it is damaged.
    """
    path = folder / NAME
    try:
        where, _ = _index(path)
        with path.open("rb") as file:
            for _, at in sorted(where.values()):
                file.seek(at)
                yield json.loads(file.readline())
    except OSError as error:
        raise BatchError(f"{path}: cannot be read ({error.strerror or error})") from error


def warnings(entry: Entry) -> str:
    """What of the recipe could not be done, and what a palette lock took."""
    return "; ".join(said for key in ("warnings", "lost") if (said := entry.get(key)))


class Manifest:
    """The manifest of a folder while one run adds to it. Raises BatchError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        try:
            self._path.touch()
            self._where, self._end = _index(self._path)
            self._file = self._path.open("rb+", buffering=0)
            self._file.truncate(self._end)
        except OSError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        self._file.close()

    def last(self, name: str) -> Entry | None:
        """The last line of a name."""
        if name not in self._where:
            return None
        with self._path.open("rb") as file:
            file.seek(self._where[name][1])
            return json.loads(file.readline())

    def append(self, lines: Iterable[Entry]) -> None:
        """Adds lines; all of them are on the disk when this returns, or none."""
        start = self._end
        try:
            for line in lines:
                text = json.dumps(line, ensure_ascii=False).encode() + b"\n"
                self._file.seek(self._end)
                while text:
                    text = text[self._file.write(text) :]
                self._where[line["name"]] = (line["job"], self._end)
                self._end = self._file.tell()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(start)
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> BatchError:
        return BatchError(f"{self._path}: cannot be written ({error.strerror or error}); {AGAIN}")


def _index(path: Path) -> tuple[dict[str, tuple[int, int]], int]:
    """The job and the place of the last line of each name, and where the last whole line ends."""
    where: dict[str, tuple[int, int]] = {}
    at = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                where[entry["name"]] = (entry["job"], at)
            except (ValueError, KeyError, TypeError) as error:
                way = "delete that line, and the run paints its picture again"
                raise BatchError(f"{path}: line {number} is damaged ({error}); {way}") from error
            at += len(line)
    return where, at
