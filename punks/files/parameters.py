"""The `parameters` text of AUTOMATIC1111's web UI in PNGs: ours for other tools to read, and theirs as a recipe.

The format: the prompt, `Negative prompt: ...`, and a last line of `Key: value` with commas; a value that has commas,
colons or line breaks is a JSON string. Source: modules/infotext_utils.py of AUTOMATIC1111/stable-diffusion-webui.
"""

import json
import re
from typing import Any

from punks import variants
from punks.errors import RecipeError
from punks.fields import parse_value
from punks.recipe import Recipe
from punks.request import RECIPE

KEY = "parameters"
_NEGATIVE = "Negative prompt:"
_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_NETWORK = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>")
# our samplers as the web UI calls them; where one has two names, the first is written
_SAMPLERS = {
    "pndm": ("PLMS",),
    "dpmpp_2m_karras": ("DPM++ 2M Karras", "DPM++ 2M"),
    "euler": ("Euler",),
    "euler_trailing": ("Euler",),
    "euler_a": ("Euler a",),
    "ddim": ("DDIM",),
    "ddim_trailing": ("DDIM",),
    "unipc": ("UniPC",),
    "lcm": ("LCM",),
    "tcd": ("TCD",),
}
_OWN = {"demo": "ddim", "sdxl": "euler"}  # of a base; all others have PNDM
_FIELDS = {
    "Steps": "num_inference_steps",
    "CFG scale": "guidance_scale",
    "Seed": "seed",
    "Variation seed": "vary_seed",
    "Variation seed strength": "vary",
}


def parameters(recipe: Recipe) -> str:
    """The text for a painting of this recipe, with the prompt and the settings that it was painted with."""
    row = variants.variant(recipe.variant)
    sampler = _OWN.get(row.base.name, "pndm") if recipe.scheduler == "default" else recipe.scheduler
    pairs: dict[str, Any] = {"Steps": recipe.num_inference_steps, "Sampler": _SAMPLERS[sampler][0]}
    pairs |= {"CFG scale": recipe.guidance_scale, "Seed": recipe.seed, "Size": f"{row.base.side}x{row.base.side}"}
    pairs |= {"Model": row.base.name}
    if recipe.vary > 0:
        pairs |= {"Variation seed": recipe.vary_seed, "Variation seed strength": recipe.vary}
    if recipe.image_sha256 is not None:
        pairs["Denoising strength"] = recipe.prompt_strength
    if recipe.loras:
        pairs["Lora hashes"] = ", ".join(f"{one.name}: {one.sha256[:10]}" for one in recipe.loras)
    lines = [recipe.painted_prompt]
    if recipe.guided and recipe.negative_prompt.strip():
        lines.append(f"{_NEGATIVE} {recipe.negative_prompt}")
    return "\n".join([*lines, ", ".join(f"{key}: {_quoted(value)}" for key, value in pairs.items())])


def read_parameters(text: str) -> tuple[dict[str, Any], list[str]]:
    """The recipe values in such a text, and a line for each one left out. Raises RecipeError without a prompt."""
    *lines, last = text.strip().split("\n")
    pairs = {key: _plain(value) for key, value in _PAIR.findall(last)}
    if len(pairs) < 3:  # so decides the web UI, too
        lines, pairs = [*lines, last], {}
    prompt, _, negative = "\n".join(lines).partition(_NEGATIVE)
    left = [f"{tag} (pass its file as --lora)" for tag in _NETWORK.findall(prompt)]
    values: dict[str, Any] = {"prompt": _NETWORK.sub("", prompt).strip().rstrip(", ")}
    if negative.strip():
        values["negative_prompt"] = negative.strip()
    Recipe(**values)
    if "Sampler" in pairs:
        sampler = f"{pairs.pop('Sampler')} {pairs.pop('Schedule type', '')}".replace("Automatic", "").strip()
        ours = [name for name, theirs in _SAMPLERS.items() if sampler in theirs]
        values |= {"scheduler": ours[0]} if ours else {}
        left += [] if ours else [f"Sampler {sampler}"]
    for key, value in pairs.items():
        name = _FIELDS.get(key)
        try:
            if name is None:
                left.append(f"{key} {value}")
            else:
                taken = {name: parse_value(RECIPE[name], value)}
                Recipe(prompt="lady", **taken)
                values |= taken
        except RecipeError as error:
            left.append(str(error))
    return values, left


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search("[,:\n]", text) else text


def _plain(text: str) -> str:
    try:
        return str(json.loads(text)) if text.startswith('"') else text.strip()
    except ValueError:
        return text.strip()
