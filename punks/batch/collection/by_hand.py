"""One-of-ones: punks of a collection that are written by hand."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from punks.batch.collection.checks import listed, table_of
from punks.batch.collection.draw import ONE_OF_ONE, OneOfOne
from punks.batch.jobs import COLUMNS
from punks.batch.tables import Row, named, rows_of
from punks.errors import BatchError, PunkError, RecipeError
from punks.request import check_names, divide

_COLUMNS = tuple(name for name in COLUMNS if name not in ("image", "lora", "loras"))


def one_of_ones(value: object, folder: Path, count: int) -> dict[int, OneOfOne]:
    """The punks written by hand, from tables or from a file of them, by number."""
    rows: list[Any] = list(rows_of(folder / value)) if isinstance(value, str) else listed("one_of_ones", value)
    found: dict[int, OneOfOne] = {}
    for at, row in enumerate(rows, 1):
        where = f"one_of_ones[{at}]"
        if isinstance(row, PunkError):
            raise RecipeError(where, str(row), "correct this row")
        given = dict(table_of(where, row, "give number and prompt"))
        number = _number(given.pop("number", None))
        if number is None or not 1 <= number <= count or number in found:
            raise RecipeError(f"{where}.number", number, f"use a whole number from 1 to {count}, each once")
        name = str(given.pop("name", ""))
        attributes = given.pop("attributes", None) or {ONE_OF_ONE: name or f"#{number}"}
        found[number] = OneOfOne(row=_by_hand(where, given), name=name, attributes=_attributes(where, attributes))
    return found


def _by_hand(where: str, given: Row) -> Row:
    row = {named(name): float(value) if isinstance(value, Decimal) else value for name, value in given.items()}
    try:
        check_names(row, _COLUMNS, "column")
        divide({"seed": 0, **row})
    except RecipeError as error:
        raise BatchError(f"{where}: {error}") from error
    return row


def _number(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,7}\s*", value):
        return int(value)
    return value if type(value) is int else None


def _attributes(where: str, value: object) -> dict[str, str]:
    way = 'use a table of texts, such as { species = "alien" }'
    try:
        table = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise RecipeError(f"{where}.attributes", value, way) from None
    found = table_of(f"{where}.attributes", table, way)
    if any(not isinstance(one, str) for one in found.values()):
        raise RecipeError(f"{where}.attributes", value, way)
    return found
