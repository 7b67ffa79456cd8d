"""The command and the API call that paint a punk again: only what differs from the defaults is written out."""

import json
import shlex
from typing import Any

from punks.finish import Finish
from punks.recipe import OF_VARIANT, Recipe
from punks.request import asked, divide
from punks.variants import VARIANTS

_NOT_INPUTS = ("image_sha256",)  # a file is given instead


def _given(recipe: Recipe, finish: Finish) -> dict[str, Any]:
    """The flat values that differ from what prompt and variant alone give."""
    values = asked(recipe, finish)
    names = ("prompt", "variant", "seed", *(("fast",) if recipe.variant in VARIANTS else OF_VARIANT))
    least = {name: values[name] for name in names if name in values}
    usual = asked(*divide(least, painted=True))
    return least | {name: value for name, value in values.items() if value != usual.get(name) and name != "traits"}


def command(recipe: Recipe, finish: Finish) -> str:
    """`punks generate ...`, ready for a shell."""
    words = ["punks", "generate", recipe.prompt]
    for name, value in _given(recipe, finish).items():
        option = f"--{name.replace('_', '-')}"
        if name in _NOT_INPUTS:
            words += ["--image", "PICTURE"]
        elif name == "loras":
            words += [word for lora in value for word in ("--lora", f"{lora['name']}.safetensors:{lora['scale']:g}")]
        elif isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        elif name != "prompt":
            words += [option, str(value)]
    return shlex.join(words)


def api_call(recipe: Recipe, finish: Finish) -> str:
    """The body of a request to the HTTP API."""
    given = _given(recipe, finish)
    values = {name: value for name, value in given.items() if name not in _NOT_INPUTS and value is not None}
    if given.get("image_sha256"):
        values["image"] = "https://..."
    if loras := values.pop("loras", None):
        values |= {"lora": "https://...", "lora_scale": loras[0]["scale"]}
    return json.dumps({"input": values}, ensure_ascii=False)
