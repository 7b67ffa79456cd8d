"""Which pictures are compared: columns that differ in one field of the recipe, rows of prompts and seeds."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from punks import variants
from punks.batch.jobs import Job, jobs_of
from punks.errors import RecipeError, WeightsError
from punks.files import weights
from punks.recipe import MAX_SEED, Recipe

# what a column or a row may vary, and the field of the recipe that it is
AXES = {
    "epoch": "epoch",
    "variant": "variant",
    "lora_scale": "lora_scale",
    "seed": "seed",
    "guidance": "guidance_scale",
    "scheduler": "scheduler",
    "steps": "num_inference_steps",
}
_KINDS = {"epoch": int, "lora_scale": float, "seed": int, "guidance": float, "steps": int}

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
    """columns x rows of recipes; `axis` is the name of what the columns vary."""

    axis: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    recipes: tuple[tuple[Recipe, ...], ...]

    def jobs(self) -> list[Job]:
        """Column by column, so that columns that are added later leave the others' names as they are."""
        return jobs_of(itertools.chain.from_iterable(self.recipes))

    def name(self, column: int, row: int) -> str:
        """What the files of a picture are called."""
        return Job(number=column * len(self.rows) + row + 1).name


def parse_axis(text: str, option: str) -> Axis:
    """`epoch=1,4,7` -> an axis. Raises RecipeError naming the option."""
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    found = [value.strip() for value in values.split(",") if value.strip()]
    if name not in AXES or not equals or not found:
        raise RecipeError(option, text, f"use NAME=VALUE,VALUE with a name of {', '.join(AXES)}")
    kind = _KINDS.get(name, str)
    try:
        parsed = tuple(kind(value) for value in found)
    except ValueError as error:
        raise RecipeError(option, text, f"the values of {name} are numbers") from error
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
        if AXES[name] in fields:
            raise RecipeError(AXES[name], fields[AXES[name]], f"it is varied over {name} already")
    across = [Column(title=_title(columns.name, value), fields={AXES[columns.name]: value}) for value in columns.values]
    if base:
        if "lora_scale" in both:
            raise RecipeError("base", True, "lora_scale is varied already; give it the value 0")
        first = {AXES[columns.name]: columns.values[0]}
        across.append(Column(title="without LoRA", fields={**first, "lora_scale": 0.0}, base=True))
    down: list[Row] = []
    for place, prompt in enumerate(prompts):
        own: dict[str, Any] = {"prompt": prompt}
        if "seed" not in both:
            own["seed"] = (seed + place) % (MAX_SEED + 1)
        down += [
            Row(title=f"{prompt}{f', {_title(rows.name, value)}' if rows else ''}", fields={**own, **varied})
            for value in (rows.values if rows else [None])
            for varied in ([{AXES[rows.name]: value}] if rows else [{}])
        ]
    recipes = tuple(tuple(Recipe.from_dict({**fields, **c.fields, **r.fields}) for r in down) for c in across)
    return Grid(axis=columns.name, columns=tuple(across), rows=tuple(down), recipes=recipes)


def _title(name: str, value: Any) -> str:
    return value if isinstance(value, str) else f"{name.replace('_', ' ')} {value}"
