"""The flat names that users see, divided once: a recipe says what is painted, a finish how it is finished."""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import webcolors  # pyright: ignore[reportMissingTypeStubs]

from punks import fast, variants
from punks.errors import RecipeError, UnknownNameError, wrong
from punks.fields import whole
from punks.finish import BACKGROUNDS, Finish
from punks.recipe import Lora, Recipe
from punks.traits import Traits

RECIPE = {field.name: field for field in dataclasses.fields(Recipe)}
FINISH = {field.name: field for field in dataclasses.fields(Finish)}
FIELDS: "dict[str, dataclasses.Field[Any]]" = {**RECIPE, **FINISH, "fast": fast.FIELD}
TRAITS = tuple(field.name for field in dataclasses.fields(Traits))
# short names, on the command line and in tables
ALIASES = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "negative": "negative_prompt",
    "sampler": "scheduler",
    "size": "output_size",
    "strength": "prompt_strength",
    "colours": "colors",
    "steer_colour": "steer_color",
}
_SAMPLING = ("scheduler", "num_inference_steps", "guidance_scale")  # what `fast` brings along
TRAITS_ONLY = frozenset(TRAITS) - FINISH.keys()  # eyes and background also belong to a finish
# values of a finish that captions do not say
_NOT_TRAITS = (None, *BACKGROUNDS)

Values = Mapping[str, Any]


def divide(values: Values, *, painted: bool = False) -> tuple[Recipe, Finish]:
    """The recipe and the finish of flat values; traits may stand among them. Raises RecipeError.

    What is `painted` may be of a variant that is not here: finishing needs none.
    """
    given = _gathered(values)
    check_names(given, FIELDS)
    given = _accelerated({name: whole(FIELDS[name], value) for name, value in given.items()})
    finish = Finish(**{name: value for name, value in given.items() if name in FINISH})
    recipe = Recipe(**{name: value for name, value in given.items() if name in RECIPE})
    if not painted:
        recipe.require_variant()
    finish = finish.of(recipe)
    if recipe.steer > 0 and recipe.steer_color is None and finish.background_rgb is not None:
        recipe = recipe.replace(steer_color=finish.background)
    return recipe, finish


def changed(recipe: Recipe, finish: Finish, values: Values) -> tuple[Recipe, Finish]:
    """Both with some flat values changed; what the old traits, variant or background decided is decided anew."""
    base = recipe.traits if TRAITS_ONLY & values.keys() else None
    given = _gathered(values, base)
    check_names(given, FIELDS)
    if "fast" in given:
        given = _switched(recipe, given)
    painted = {name: value for name, value in given.items() if name in RECIPE}
    finished = {name: value for name, value in given.items() if name in FINISH}
    if "variant" in painted and painted["variant"] != recipe.variant:
        painted.setdefault("epoch", None)  # an epoch means something to its own variant only
    if recipe.traits is not None and painted.get("traits") is not None:
        own = Finish().of(recipe)
        for name in ("background", "eyes"):
            if getattr(finish, name) == getattr(own, name):
                finished.setdefault(name, None)
    if recipe.steer_color is not None and recipe.steer_color == finish.background and "background" in finished:
        painted.setdefault("steer_color", None)
    new = recipe.replace(**painted)
    return divide(flat(new, dataclasses.replace(finish, **finished)), painted=not painted)


def _accelerated(values: Values) -> dict[str, Any]:
    """Flat values with what `fast` stands for: one more LoRA, and its sampler, steps and guidance unless given."""
    given = dict(values)
    if (name := fast.chosen(given.pop("fast", fast.OFF))) == fast.OFF:
        return given
    base = variants.variant(given.get("variant") or variants.DEFAULT).base
    row = fast.accelerations(base.name, name)[0]
    lora = Lora(name=row.lora, sha256=row.sha256, scale=row.scale, source=row.source)
    given["loras"] = [*(given.get("loras") or ()), lora]
    for field in _SAMPLING:
        if given.get(field) in (None, "default"):
            given[field] = getattr(row, field)
    return given


def _switched(recipe: Recipe, given: Values) -> dict[str, Any]:
    """Changes that include `fast`, with what an earlier one stood for taken out of the recipe."""
    others = [lora for lora in recipe.loras if not fast.known(lora.sha256)]
    own = {"scheduler": "default", **dict.fromkeys(_SAMPLING[1:])} if len(others) < len(recipe.loras) else {}
    return _accelerated({"variant": recipe.variant, "loras": others, **own, **given})


def flat(recipe: Recipe, finish: Finish) -> dict[str, Any]:
    """All fields of both as JSON has them."""
    values = dataclasses.asdict(recipe) | {field: getattr(finish, field) for field in FINISH}
    return values | {"palette": str(finish.palette), "loras": list(values["loras"])}


def asked(recipe: Recipe, finish: Finish) -> dict[str, Any]:
    """As `flat`, with `fast` for its LoRA: what the API and the command line take."""
    values = flat(recipe, finish)
    rows = {lora["sha256"]: row.name for lora in values["loras"] if (row := fast.known(lora["sha256"]))}
    if not rows:
        return values
    others = [lora for lora in values["loras"] if lora["sha256"] not in rows]
    return values | {"loras": others, "fast": next(iter(rows.values()))}


def to_json(recipe: Recipe, finish: Finish) -> str:
    """All fields of both as one line of JSON."""
    return json.dumps(flat(recipe, finish), ensure_ascii=False)


def from_json(text: str) -> tuple[Recipe, Finish]:
    """Both from a JSON object, also one that an earlier version wrote. Raises RecipeError."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError("recipe", text, f"it is not JSON ({wrong(error)})") from error
    if not isinstance(values, dict):
        raise RecipeError("recipe", values, "use a JSON object of fields")
    return recorded(cast("dict[str, Any]", values))


def recorded(values: Values) -> tuple[Recipe, Finish]:
    """Both from the flat values of a picture that is painted, by whichever version. Raises RecipeError."""
    return divide(upgraded(values), painted=True)


def upgraded(values: Values) -> dict[str, Any]:
    """Flat values as they are called and meant today. Version 0.1 knew CSS color names only."""
    given = dict(values)
    if "image" in given:
        given["image_sha256"] = given.pop("image")
    if isinstance(given.get("traits"), dict):
        given["traits"] = {**dict.fromkeys(TRAITS), **given["traits"]}  # earlier versions had fewer
    if (given.get("variant"), given.get("scheduler")) == ("demo", "default"):
        given["scheduler"] = "ddim"  # its base's own, by which it was painted before it had one of its own
    if "dither" in given or not {"negative_prompt", "output_size"} <= given.keys():  # 0.1 wrote every field of its own
        return given
    given["restoration"] = "rules"
    for name, split in (("background", False), ("palette", True)):
        if isinstance(given.get(name), str):
            parts = given[name].split(",") if split else [given[name]]
            given[name] = ",".join(_css(part) for part in parts)
    if given.get("steer") and given.get("background") not in _NOT_TRAITS:
        given.setdefault("steer_color", given["background"])
    return given


def _css(text: str) -> str:
    word = text.strip().lower()
    return webcolors.name_to_hex(word) if word in webcolors.names(webcolors.CSS3) else text


def check_names(names: Iterable[Any], known: Iterable[str], kind: str = "field") -> None:
    """Raises RecipeError for a name that is not known, with the one that it may stand for."""
    known = list(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name).lower(), [*known, *ALIASES], 1, 0.75)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UnknownNameError(kind, name, f"{hint}{kind}s are {', '.join(known)}")


def _gathered(values: Values, base: Traits | None = None) -> dict[str, Any]:
    """Values with the traits among them moved into `traits`.

    `eyes` and `background` are a trait as well beside other traits, or where the values change `base`.
    """
    given = {ALIASES.get(name, name): value for name, value in values.items()}
    if base is None and not TRAITS_ONLY & given.keys():
        return given
    own = {name: given.pop(name) for name in TRAITS if given.get(name) not in _NOT_TRAITS}
    if own:
        known = base if given.get("traits") is None else Traits.of(given["traits"])
        before = {} if known is None else {name: getattr(known, name) for name in TRAITS}
        given["traits"] = Traits.from_dict(before | own)
    return given
