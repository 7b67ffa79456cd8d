"""What the page offers: words and their colors, settings, and the variants that are installed."""

from typing import Any

from punks import fast
from punks.fields import bounds
from punks.files import weights
from punks.finish import SIZES
from punks.page.studio import MOST, Studio
from punks.palette import hex_of
from punks.request import FIELDS
from punks.variants import DEFAULT, VARIANTS, Variant
from punks.vocabulary import COLORS, EYES, PATTERNS, TRAITS

# what the page shows for words whose colors nothing is painted with
_SKIN = {"light": "#f3d2a2", "medium": "#d5ab88", "tan": "#af7e57", "dark": "#7c533e"}
_HAIR = {"blonde": "#e8c860", "ginger": "#c8602a"}
_SETTINGS = {
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "lora_scale": "LoRA strength",
    "steer": "Steer background",
    "scheduler": "Sampler",
    "negative_prompt": "Avoid",
}


def choices(studio: Studio) -> dict[str, Any]:
    """All that the page needs to build its controls."""
    colors = {name: hex_of(color) for name, color in COLORS.items()}
    hair = {word: {**colors, **_HAIR}.get(word) for word in TRAITS["hair"]}
    rows = [row for row in VARIANTS.values() if weights.epochs_present(row)]
    rows = [row for row in rows if weights.available(row, weights.epochs_present(row)[0])]
    default = next((row for row in rows if row.name == DEFAULT), rows[0])
    return {
        "folder": studio.folder.resolve().name,
        "subjects": TRAITS["subject"],
        "hair": {word: color for word, color in hair.items() if color},
        "styles": [word for word, color in hair.items() if not color],
        "expressions": TRAITS["expression"],
        "lips": {word: colors[word] for word in TRAITS["lips"]},
        "eyes": {name: hex_of(color) for name, color in EYES.items()},
        "skin": _SKIN,
        "colors": colors,
        "patterns": [word for word in PATTERNS if word != "solid"],
        "wear": TRAITS["wear"],
        "settings": [_setting(name, label) for name, label in _SETTINGS.items()],
        "sizes": SIZES,
        "most": MOST,
        "variants": [_variant(row) for row in rows],
        "default": default.name,
        "note": ""
        if default.name == DEFAULT
        else f"{DEFAULT} is not installed; to install it: {weights.fetch_command(VARIANTS[DEFAULT])}",
    }


def _setting(name: str, label: str) -> dict[str, Any]:
    limits, default = bounds(FIELDS[name]), FIELDS[name].default
    kind = "choice" if limits.choices else "text" if limits.max_length else "number"
    return {
        "name": name,
        "label": label,
        "about": limits.about,
        "kind": kind,
        "ge": limits.ge,
        "le": limits.le,
        "whole": FIELDS[name].type is int,
        "choices": list(limits.choices or ()),
        "default": default,
    }


def _variant(row: Variant) -> dict[str, Any]:
    present = weights.epochs_present(row)
    return {
        "name": row.name,
        "base": row.base.name,
        "fast": [_fast(row, one) for one in weights.fast_present(row)],
        "verdict": row.verdict,
        "epochs": present,
        "epoch": row.epoch if row.epoch in present else present[0],
        "num_inference_steps": row.num_inference_steps,
        "guidance_scale": row.guidance_scale,
        "lora_scale": row.lora_scale,
    }


def _fast(row: Variant, one: fast.Acceleration) -> dict[str, Any]:
    return {
        "name": one.name,
        "scheduler": one.scheduler,
        "num_inference_steps": one.num_inference_steps,
        "guidance_scale": one.guidance_scale or row.guidance_scale,
    }
