"""The scores of a comparison, as rows of its pictures and of the epochs that it compares."""

import json
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, select

from punks.errors import BatchError
from punks.store.database import Row, put
from punks.store.rows import clean
from punks.store.tables import EPOCHS, PICTURES, SCORES

SCORED = "scores.json"  # as punks.report.compare writes it
_ABOUT = {"name", "points", "read", "asked"}  # of a picture, beside its measures
_TRAININGS = ("epoch", "variant")  # axes whose columns are epochs


def put_scores(connection: Connection, folder: Path, name: str) -> None:
    """Puts what the folder's scores.json says of pictures that are in the store, by its name there. Raises BatchError.

    An epoch has the scores of the last comparison that was put.
    """
    path = folder / SCORED
    columns = (PICTURES.c.key, PICTURES.c.name, PICTURES.c.run, PICTURES.c.epoch)
    found = {row.name: row for row in connection.execute(select(*columns).where(PICTURES.c.folder == name))}
    try:
        said = clean(json.loads(path.read_text("utf-8"), parse_constant=_refuse))
        against = {one["column"]: one for one in said["comparisons"]}
        scores: list[Row] = []
        epochs: list[Row] = []
        for column in said["columns"]:
            pictures = [one for one in column["pictures"] if one["name"] in found]
            scores += [_score(one, found[one["name"]].key) for one in pictures]
            owners = {(found[one["name"]].run, found[one["name"]].epoch) for one in pictures}
            if said["axis"] in _TRAININGS and len(owners) == 1 and None not in (owner := owners.pop()):
                epochs.append(_epoch(owner, column, said, against.get(column["title"], {}), name))
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise BatchError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); `punks compare` writes it anew"
        ) from error
    put(connection, SCORES, scores)
    put(connection, EPOCHS, epochs)


def _score(one: dict[str, Any], key: str) -> Row:
    return {
        "picture": key,
        "points": float(one["points"]),
        "measures": {name: value for name, value in one.items() if name not in _ABOUT},
        "read": one["read"],
        "asked": one["asked"],
    }


def _epoch(
    owner: tuple[str, int], column: dict[str, Any], said: dict[str, Any], against: dict[str, Any], folder: str
) -> Row:
    measures = {name: value for name, value in column.items() if name not in ("title", "points", "pictures")}
    return {
        "run": owner[0],
        "epoch": owner[1],
        "comparison": folder,
        "pictures": len(column["pictures"]),
        "points": _number(column["points"]),
        "measures": measures,
        "recommended": said["recommended"] == column["title"],
        "difference": _number(against.get("difference")),
        "luck": _number(against.get("luck")),
        "rating": _number(said["ratings"].get(column["title"])),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no score")
