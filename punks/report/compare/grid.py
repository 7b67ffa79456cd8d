"""Which pictures are compared: columns that differ in one field of the recipe, rows of prompts and seeds."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from punks import variants
from punks.batch.jobs import Job
from punks.errors import RecipeError, WeightsError
from punks.fields import parse_value
from punks.files import weights
from punks.lora.store import with_loras
from punks.recipe import seed_after
from punks.request import ALIASES, FIELDS, divide

log = logging.getLogger(__name__)
# what a column or a row may vary
AXES = ("epoch", "variant", "lora", "lora_scale", "seed", "guidance", "scheduler", "steps", "fast")

# the owner's eight: what is hard to get right, each on a background of its own
PROMPTS = (
    "lady, brown hair, brown eyes, light skin, blue solid background",
    "lad, black hair, brown eyes, medium skin, gray solid background",
    "lady, black hair, wearing golden earrings, green eyes, tan skin, purple solid background",
    "lady, blonde hair, wearing red bow in hair, blue eyes, light skin, green solid background",
    "lad, brown hair, wearing black stunner shades with white reflection, light skin, orange solid background",
    "lad, black afro, brown eyes, dark skin, yellow solid background",
    "lady, red hair, wearing silver necklace with pendant, green eyes, light skin, teal solid background",
    "lady, purple hair, wearing gold crown, blue eyes, medium skin, pink solid background",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """A name of AXES and its values, in order."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What all pictures of a column have: a title, and fields of the recipe. `base` is the one without LoRA."""

    title: str
    fields: Mapping[str, Any]
    base: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What all pictures of a row have."""

    title: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """columns x rows of jobs; `axis` is the name of what the columns vary.

    Jobs are numbered column by column, so that columns that are added later leave the others' names as they are.
    """

    axis: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cells: tuple[tuple[Job, ...], ...]

    def jobs(self) -> list[Job]:
        """The jobs of all columns."""
        return list(itertools.chain.from_iterable(self.cells))


def parse_axis(text: str, option: str) -> Axis:
    """`epoch=1,4,7` -> an axis. Raises RecipeError naming the option."""
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    found = [value.strip() for value in values.split(",") if value.strip()]
    if name not in AXES or not equals or not found:
        raise RecipeError(option, text, f"use NAME=VALUE,VALUE with a name of {', '.join(AXES)}")
    parsed = tuple(parse_value(FIELDS[_field(name)], value) for value in found)
    if len(set(parsed)) < len(parsed):
        raise RecipeError(option, text, "name each value once")
    return Axis(name=name, values=parsed)


def epochs_axis(variant: str) -> Axis:
    """The epochs of a variant that are here. Raises WeightsError if there are none."""
    row = variants.variant(variant)
    present = weights.epochs_present(row)
    if not present:
        weights.require(row, row.epoch)
        raise WeightsError(f"variant {variant}: no epoch is here")
    return Axis(name="epoch", values=tuple(present))


def make_grid(
    columns: Axis,
    rows: Axis | None,
    prompts: Sequence[str],
    fields: Mapping[str, Any],
    *,
    seed: int = 0,
    base: bool = False,
) -> Grid:
    """Every value of `columns` for every prompt and value of `rows`; without `rows` each prompt has a seed of its own.

    `fields` are those that all recipes share; `base` adds the column without LoRA. Raises RecipeError.
    """
    if rows is not None and rows.name == columns.name:
        raise RecipeError("rows", rows.name, "columns and rows vary two different things")
    both = [axis.name for axis in (columns, rows) if axis]
    for name in both:
        if _field(name) in fields:
            raise RecipeError(_field(name), fields[_field(name)], f"it is varied over {name} already")
    across = [
        Column(title=_title(columns.name, value), fields=_varied(columns.name, value, fields))
        for value in columns.values
    ]
    if base:
        if "lora_scale" in both:
            raise RecipeError("base", True, "lora_scale is varied already; give it the value 0")
        first = {**across[0].fields, "lora_scale": 0.0} | ({"loras": ()} if columns.name == "lora" else {})
        across.append(Column(title="without LoRA", fields=first, base=True))
    down: list[Row] = []
    for place, prompt in enumerate(prompts):
        fixed: dict[str, Any] = {"prompt": prompt}
        if "seed" not in both:
            fixed["seed"] = seed_after(seed, place)
        down += [
            Row(title=f"{prompt}{f', {_title(rows.name, value)}' if rows else ''}", fields={**fixed, **varied})
            for value in (rows.values if rows else [None])
            for varied in [_varied(rows.name, value, fields) if rows else dict[str, Any]()]
        ]
    cells = tuple(
        tuple(_job(x * len(down) + y + 1, {**fields, **c.fields, **r.fields}) for y, r in enumerate(down))
        for x, c in enumerate(across)
    )
    return Grid(axis=columns.name, columns=tuple(across), rows=tuple(down), cells=cells)


def _job(number: int, values: Mapping[str, Any]) -> Job:
    recipe, finish = divide(values)
    return Job(number=number, recipe=recipe, finish=finish)


def _field(name: str) -> str:
    return {**ALIASES, "lora": "loras"}.get(name, name)


def _varied(name: str, value: Any, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of one value of an axis; a LoRA file brings its base along where no variant is named."""
    if name != "lora":
        return {_field(name): value}
    found = with_loras(fields, [value], log.info)
    return {key: found[key] for key in found if key not in fields}


def _title(name: str, value: Any) -> str:
    if name == "lora":
        return value.rpartition("/")[2]
    return value if isinstance(value, str) else f"{name.replace('_', ' ')} {value}"
