"""Variants of one's own: `variants.toml` in the weights folder, read into the registry beside the built-in rows."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from punks import fast
from punks.errors import PunkError, RecipeError, WeightsError
from punks.fields import check, setting
from punks.files.weights import folder
from punks.request import ALIASES, check_names
from punks.variants import NAME, VARIANTS, Variant

FILE = "variants.toml"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A row as the file has it. `epochs` is the highest number that one of its files has."""

    base: str = setting("", max_length=64)
    epoch: int = setting("", 1, ge=1, le=999)
    epochs: int = setting("", 1, ge=1, le=999)
    num_inference_steps: int = setting("", 30, ge=1, le=100)
    guidance_scale: float = setting("", 7.5, ge=1, le=20)
    lora_scale: float = setting("", 1.0, ge=0, le=2)
    verdict: str = setting("", "added here, not judged yet", max_length=1000)
    failed: bool = setting("", default=False)


def load_variants() -> None:
    """Reads the rows of the weights folder, in place of those read before. Raises WeightsError."""
    for name in [row.name for row in VARIANTS.values() if row.own]:
        del VARIANTS[name]
    path = folder() / FILE
    for name, values in _tables(path).items():
        try:
            VARIANTS[name] = check_variant(name, values)
        except PunkError as error:
            raise WeightsError(f"{path}: [{name}] {error}") from error


def write_variant(name: str, table: Table) -> None:
    """Writes a row, in place of an earlier one of that name, and reads the file. Raises RecipeError, WeightsError."""
    import tomlkit  # which keeps what people wrote beside the values

    check_variant(name, table)
    path = folder() / FILE
    head = "# variants of this weights folder; `punks weights add`\n"
    document = tomlkit.parse(path.read_text("utf-8-sig") if path.is_file() else head)
    row = document.setdefault(name, tomlkit.table())
    row.update(asdict(table))
    part = path.with_name(f"{FILE}.part")
    part.write_text(tomlkit.dumps(document), "utf-8")
    part.replace(path)
    load_variants()


def table_of(name: str) -> Table | None:
    """The row that the file has of that name."""
    values = _tables(folder() / FILE).get(name)
    return None if values is None else _table(values)


def _tables(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); correct it, or move it away") from error


def _table(values: object) -> Table:
    if not isinstance(values, dict):
        raise RecipeError("row", values, 'write it as a table: [NAME], then base = "sd15" and so on')
    given = {ALIASES.get(key, key): value for key, value in cast("Mapping[str, Any]", values).items()}
    names = [field.name for field in fields(Table)]
    check_names(given, names, "key")
    if "base" not in given:
        raise RecipeError("base", None, f"choose one of {', '.join(_bases())}")
    return Table(**{"epochs": given.get("epoch", 1), **given})


def check_variant(name: str, values: object) -> Variant:
    """A row of the file as one of the registry. Raises RecipeError for a name or a value that cannot be."""
    built_in = [row for row in VARIANTS.values() if not row.own]
    taken = {*(row.name for row in built_in), *(row.lora for row in built_in), *(row.lora for row in fast.ROWS)}
    if not NAME.fullmatch(name) or name in taken or name == "add":
        why = "it is taken" if name in taken else "use lower-case letters, digits, dots, - and _"
        raise RecipeError("name", name, why)
    table = values if isinstance(values, Table) else _table(values)
    check(table)
    if table.base not in _bases():
        raise RecipeError("base", table.base, f"choose one of {', '.join(_bases())}")
    if not table.verdict.isprintable():
        raise RecipeError("verdict", table.verdict, "use one line of text")
    if table.epoch > table.epochs:
        raise RecipeError("epoch", table.epoch, f"epochs says that the last one is {table.epochs}")
    base = next(row for row in built_in if row.base.name == table.base)
    own: dict[str, Any] = asdict(table) | {"base": base.base, "embedded": base.embedded}
    return Variant(**own, name=name, lora=name, own=True)


def _bases() -> list[str]:
    return list(dict.fromkeys(row.base.name for row in VARIANTS.values() if not row.own))
