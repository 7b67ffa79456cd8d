"""`picks.json` of a folder: which punks to keep or reject, and ratings from 0 to 10, by name."""

import json
import math
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from punks.batch.folder import opened
from punks.batch.manifest import entries
from punks.errors import BatchError
from punks.files.png import write_bytes

NAME = "picks.json"
LOW, HIGH = 0, 10
Choice = Literal["keep", "reject"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """What somebody thinks of a punk: keep, reject or undecided, and a rating. Raises BatchError on other values."""

    choice: Choice | None = None
    rating: float | None = None

    def __post_init__(self) -> None:
        if self.choice not in (None, "keep", "reject"):
            raise BatchError(f"choice: {self.choice!r} is not allowed; use keep or reject")
        rating = self.rating
        if rating is not None and (type(rating) not in (int, float) or not LOW <= rating <= HIGH or math.isnan(rating)):
            raise BatchError(f"rating: {rating!r} is not allowed; use a number from {LOW} to {HIGH}")


def read_picks(folder: Path) -> dict[str, Pick]:
    """The picks of a folder; none where there is no file. Raises BatchError."""
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        values: Any = json.loads(path.read_text("utf-8"))
        return {str(name): Pick(**cast("dict[str, Any]", one)) for name, one in values.items()}
    except (OSError, ValueError, RecursionError, AttributeError, TypeError, BatchError) as error:
        raise BatchError(f"{path}: cannot be read ({error}); delete it, or restore a copy of it") from error


def write_picks(folder: Path, picks: Mapping[str, Pick]) -> None:
    """Writes the picks of a folder, whole or not at all. Raises ImageError."""
    rows = {name: {"choice": one.choice, "rating": one.rating} for name, one in sorted(picks.items())}
    write_bytes(folder / NAME, (json.dumps(rows, indent=1) + "\n").encode())


class Rejected:
    """The names that a folder's picks reject; those that were painted again are undecided anew."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self.names = {name for name, pick in read_picks(folder).items() if pick.choice == "reject"}

    def repainted(self, name: str) -> None:
        """Forgets what was thought of a punk that is another one now. Any thread may call it."""
        with self._lock:
            if name in self.names:
                self.names.remove(name)
                write_picks(self._folder, {one: pick for one, pick in read_picks(self._folder).items() if one != name})


def export_kept(folder: Path, target: Path) -> int:
    """Copies the kept punks of a folder, with their files, to a new folder of a batch. -> how many.

    Raises BatchError where none is kept, the target is not empty, or the disk refuses.
    """
    picks = read_picks(folder)
    kept = [entry for entry in entries(folder) if entry["name"] in picks and entry["status"] == "done"]
    kept = [entry for entry in kept if picks[entry["name"]].choice == "keep"]
    if not kept:
        raise BatchError(f"{folder}: no punk is kept; `punks studio {folder}` keeps them, by the key p")
    try:
        if target.exists() and any(target.iterdir()):
            raise BatchError(f"{target}: it is not empty; use another folder for the kept punks")
        with opened(target) as out:
            for entry in kept:
                for name in entry["files"].values():
                    (target / name).parent.mkdir(exist_ok=True)
                    shutil.copyfile(folder / name, target / name)
                out.manifest.append(entry)
    except OSError as error:
        raise BatchError(f"{target}: cannot be written ({error.strerror or error})") from error
    write_picks(target, {entry["name"]: picks[entry["name"]] for entry in kept})
    return len(kept)
