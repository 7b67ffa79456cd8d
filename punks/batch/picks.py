"""`picks.json` of a folder: which punks to keep or reject, and ratings from 0 to 10, by name."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

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
