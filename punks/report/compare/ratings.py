"""`ratings.json`: what the owner thinks of pictures and columns, 0 to 10. The page writes it, this reads it back."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from punks.errors import BatchError

NAME = "ratings.json"
LOW, HIGH = 0, 10
_FORM = (
    'give a file that "Save ratings" on the page of `punks compare` wrote: {"pictures": {...}, "columns": {...}}, '
    f"each with numbers from {LOW} to {HIGH}"
)


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """`pictures` by the hash of their cells, so that another picture of the same name has none; `columns` by title."""

    pictures: Mapping[str, float] = field(default_factory=dict[str, float])
    columns: Mapping[str, float] = field(default_factory=dict[str, float])

    def of_columns(self, titles: Sequence[str], cells: Sequence[Sequence[str | None]]) -> dict[str, float]:
        """The rating of each column that has one: its own, or the mean of its pictures'."""
        found: dict[str, float] = {}
        for title, column in zip(titles, cells, strict=True):
            own = [self.pictures[one] for one in column if one is not None and one in self.pictures]
            if title in self.columns:
                found[title] = self.columns[title]
            elif own:
                found[title] = math.fsum(own) / len(own)
        return found

    def to_json(self) -> str:
        """As the page writes it."""
        return json.dumps({"pictures": dict(self.pictures), "columns": dict(self.columns)}, indent=2) + "\n"


def read_ratings(path: Path) -> Ratings:
    """The ratings in a file; none if it is not there. Raises BatchError on what no page has written."""
    if not path.is_file():
        return Ratings()
    try:
        values: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BatchError(f"{path}: no ratings can be read ({error}); {_FORM}") from error
    return Ratings(**{name: _numbers(path, name, values) for name in ("pictures", "columns")})


def take_in(path: Path, folder: Path) -> Ratings:
    """The folder's ratings with those of a downloaded file on top, written back. Raises BatchError."""
    if not path.is_file():
        raise BatchError(f"{path}: there is no such file")
    old, new = read_ratings(folder / NAME), read_ratings(path)
    both = Ratings(pictures={**old.pictures, **new.pictures}, columns={**old.columns, **new.columns})
    try:
        (folder / NAME).write_text(both.to_json(), "utf-8")
    except OSError as error:
        raise BatchError(f"{folder / NAME}: cannot be written ({error.strerror or error})") from error
    return both


def _numbers(path: Path, name: str, values: Any) -> dict[str, float]:
    part = cast("dict[str, Any]", values).get(name) if isinstance(values, dict) else None
    if not isinstance(part, dict):
        raise BatchError(f"{path}: no ratings can be read (it has no object {name!r}); {_FORM}")
    found: dict[str, float] = {}
    for key, value in cast("dict[str, Any]", part).items():
        if type(value) not in (int, float) or not LOW <= value <= HIGH:
            raise BatchError(f"{path}: {key}: {value!r} is no rating; use a number from {LOW} to {HIGH}")
        found[key] = float(value)
    return found
