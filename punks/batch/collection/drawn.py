"""`collection.json` of a folder: what was drawn for its punks, so that a larger count only adds to it."""

import json
from collections.abc import Collection as Some
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from punks.batch.collection.draw import NONE, Collection, CollectionJobs
from punks.batch.collection.settle import Columns
from punks.batch.manifest import entries_so_far
from punks.errors import BatchError
from punks.files.png import write_bytes
from punks.request import TRAITS

NAME = "collection.json"


def jobs_into(
    folder: Path, collection: Collection, fields: Mapping[str, Any], keep: Some[int] = (), *, overwrite: bool = False
) -> CollectionJobs:
    """The jobs of a collection, with these fields, for a folder that may hold it already; see `read_drawn`.

    `keep` are punks that are kept for good from now on, beside those that are. Raises PunkError.
    """
    kept = {*keep, *(one["job"] for one in entries_so_far(folder) if one.get("kept"))}
    return collection.jobs(fields, read_drawn(folder, collection, kept, overwrite=overwrite))


def read_drawn(folder: Path, collection: Collection, kept: Some[int] = (), *, overwrite: bool = False) -> Columns:
    """The values of a folder that stay where this collection is drawn into it, by type and row; the rest is empty.

    All stay if the collection has only grown, or its labels and one-of-ones have changed. If its traits, rules or seed
    have, the `kept` ones stay: where others would change, that takes `overwrite`, as does a smaller count. Raises
    BatchError.
    """
    found = _read(folder) or _recovered(folder, collection)
    if found is None:
        return {}
    before, columns = found
    size = max(map(len, columns.values()), default=0)
    changed = [key for key, value in _decisive(collection).items() if before.get(key) != value]
    if beyond := [number for number in kept if number > collection.count]:
        raise BatchError(f"{folder}: punk {beyond[0]} is kept; use --count {max(beyond)} or more")
    if not before and (kept or not overwrite):
        way = "use another folder" + ("" if kept else ", or --overwrite to paint over its punks")
        raise BatchError(f"{folder}: it holds another batch; {way}")
    if not overwrite and collection.count < size:
        raise BatchError(
            f"{folder}: it holds {size} punks of a collection, which can grow but not shrink; "
            f"use --count {size} or more, or --overwrite to draw {collection.count} anew"
        )
    if not overwrite and changed and (others := {*range(1, size + 1)} - {*kept}):
        raise BatchError(
            f"{folder}: {', '.join(changed)} of the collection changed, so {len(others)} of its {size} punks would be "
            f"drawn anew; use --keep 1-{size} to draw only new ones, --overwrite to replace them, or another folder"
        )
    _check_others(folder, collection, before, kept, () if overwrite else range(size + 1, collection.count + 1))
    if not changed and collection.count >= size:
        return columns
    return {
        name: [value if row in kept else "" for row, value in enumerate(column, 1)][: collection.count]
        for name, column in columns.items()
    }


def _check_others(
    folder: Path, collection: Collection, before: Mapping[str, Any], kept: Some[int], fresh: Some[int]
) -> None:
    """Raises BatchError where a kept punk would become another one-of-one, or a new one would replace a painted one."""
    ones, were = _by_hand(collection), before.get("one_of_ones", {})
    if wrong := [number for number in kept if ones.get(str(number)) != were.get(str(number))]:
        raise BatchError(
            f"{folder}: punk {min(wrong)} is kept, so its one_of_ones cannot change; put it back as it was"
        )
    done = (one["job"] for one in entries_so_far(folder) if one["status"] == "done")
    if there := [number for number in done if number in fresh]:
        way = "use --overwrite to paint over it, or another folder"
        raise BatchError(f"{folder}: punk {there[0]} there is not of this collection; {way}")


def write_drawn(folder: Path, collection: Collection, columns: Columns) -> None:
    """Records the drawn values and what decided them. Raises ImageError."""
    text = json.dumps(
        {**_decisive(collection), "one_of_ones": _by_hand(collection), "drawn": columns}, ensure_ascii=False
    )
    write_bytes(folder / NAME, text.encode() + b"\n")


def _decisive(collection: Collection) -> dict[str, Any]:
    """What decides the draw of a punk, as JSON has it."""
    traits: dict[str, Any] = {}
    for one in collection.types:
        total = sum(one.weights.values())
        traits[one.name] = [one.field, {value: str(weight / total) for value, weight in one.weights.items()}]
    rules = [str(rule) for rule in collection.rules]
    unique = collection.shown if collection.unique_traits else []
    return {"traits": traits, "rules": rules, "seed": collection.seed, "unique_traits": unique}


def _by_hand(collection: Collection) -> dict[str, Any]:
    """The one-of-ones by number, as JSON has them."""
    ones = {str(number): [one.row, one.attributes, one.name] for number, one in collection.ones.items()}
    return json.loads(json.dumps(ones))


def _read(folder: Path) -> tuple[Mapping[str, Any], Columns] | None:
    path = folder / NAME
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text("utf-8"))
        columns = {str(name): [str(value) for value in column] for name, column in values["drawn"].items()}
        if len({len(column) for column in columns.values()}) > 1:
            raise ValueError("columns of several lengths")  # noqa: TRY301 - one message for all faults
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise BatchError(f"{path}: cannot be read ({error}); restore a copy, or delete it: it is made again") from error
    return values, columns


def _recovered(folder: Path, collection: Collection) -> tuple[Mapping[str, Any], Columns] | None:
    """What the manifest tells of a folder without that file, as version 0.2 left it."""
    done = (one for one in entries_so_far(folder) if one["status"] == "done")
    values = {one["job"]: _values(collection, one["recipe"]) for one in done}
    if not values:
        return None
    rows = [values.get(number, {}) for number in range(1, max(values) + 1)]
    same = None not in values.values()
    columns = {one.name: [(row or {}).get(one.name, "") for row in rows] for one in collection.types}
    return _decisive(collection) if same else {}, columns


def _values(collection: Collection, recipe: Mapping[str, Any]) -> dict[str, str] | None:
    """The values by type that become these traits; None where no draw of this collection gives them."""
    found: dict[str, str] = {}
    traits: dict[str, Any] = recipe.get("traits") or {}
    for field in TRAITS:
        said: str | list[str] = traits.get(field) or []
        words = said.split(", ") if isinstance(said, str) else list(said)
        for one in (one for one in collection.types if one.field == field):
            found[one.name] = words.pop(0) if words and words[0] in one.weights else NONE
            if found[one.name] not in one.weights:
                return None
        if words:
            return None
    return found
