"""What the tables of a collection's file must be, and the messages where they are not."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from punks.errors import BatchError, RecipeError

Table = dict[str, Any]


def text_of(path: Path) -> str:
    """The text of a file in UTF-8. Raises BatchError."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise BatchError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise BatchError(f"{path}: not valid UTF-8 ({error})") from error


def table_of(where: str, value: object, way: str) -> Table:
    if isinstance(value, dict) and value:
        return cast(Table, value)
    raise RecipeError(where, cast(object, value), way)


def listed(where: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        way = f"write each as [[{where}]]" if where in ("rules", "one_of_ones") else "use a list of texts"
        raise RecipeError(where, value, way)
    return cast(list[Any], value)


def check_keys(where: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise RecipeError(f"{where}.{key}".removeprefix("."), given[key], f"{hint}there are {', '.join(known)}")
