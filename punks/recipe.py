"""A recipe: all that decides how one punk looks. Frozen, valid by construction, always seeded, JSON both ways."""

import dataclasses
import json
import math
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from punks import variants
from punks.errors import RecipeError
from punks.files.palettes import Color, parse_color, parse_palette
from punks.snap.portrait.names import EYES
from punks.traits import Traits, gather

NEGATIVE_PROMPT = "blurry, smooth, gradients, antialiased, photography, realistic, 3d render"
MAX_SEED = 2**32 - 1
# what each picture of a batch may have of its own
PER_PICTURE = (
    *("prompt", "traits", "seed", "vary", "vary_seed"),
    *("palette", "colors", "background", "eyes", "output_size"),
)
BACKGROUNDS = ("keep", "solid", "transparent")
_SAY = "say what to paint, for example: lady, red hair, green eyes; or give traits"
SCHEDULERS = ("default", "pndm", "dpmpp_2m_karras", "euler", "euler_a", "ddim", "unipc", "lcm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a field may hold, and the words that describe it to people: CLI help, API schema and errors use these."""

    about: str
    ge: float | None = None
    le: float | None = None
    choices: Collection[str] | None = None
    max_length: int | None = None

    def allowed(self, *, whole: bool) -> str:
        if self.choices:
            return f"choose one of {', '.join(self.choices)}"
        if self.max_length:
            return f"use text of at most {self.max_length} characters"
        number = "whole number" if whole else "number"
        return f"use a {number} from {self.ge} to {self.le}" if self.le is not None else "use true or false"


def _field(about: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    return field(default=default, metadata={"bounds": Bounds(about=about, **limits)})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides one picture. Fields left at None take the variant's own value, the seed a random one.

    Raises RecipeError naming the field, its value and what is allowed.
    """

    prompt: str = _field("What to paint, in words; it has the last word over traits.", None, max_length=4000)
    traits: Traits | None = _field(  # noqa: RUF009 - it is dataclasses.field
        "What it shows: a JSON object of subject, hair, eyes, skin, background and wear.", None
    )
    negative_prompt: str = _field("What to keep out of the painting.", NEGATIVE_PROMPT, max_length=4000)
    variant: str = _field("Which LoRA paints.", variants.DEFAULT, choices=variants.VARIANTS.keys())
    epoch: int = _field("Which epoch of the LoRA; by default the variant's best.", None, ge=1, le=10)
    lora_scale: float = _field("How strongly the LoRA acts; 0 is the bare base model.", None, ge=0, le=2)
    seed: int = _field("The same seed paints the same punk; by default a random one.", None, ge=0, le=MAX_SEED)
    vary: float = _field("How far to go from the seed towards another one; 0 stays, 1 arrives.", 0.0, ge=0, le=1)
    vary_seed: int | None = _field("The other seed; by default the next one.", None, ge=0, le=MAX_SEED)
    num_inference_steps: int = _field("Denoising steps.", None, ge=1, le=100)
    guidance_scale: float = _field("How closely the prompt is followed; 1 turns guidance off.", None, ge=1, le=20)
    scheduler: str = _field("The sampler; default is the base model's own.", "default", choices=SCHEDULERS)
    template: bool = _field("Complete the prompt with the words that the LoRA was trained on.", True)
    palette: str = _field(
        "auto, prompt (the hex colours named in the prompt), or hex colours with commas between them.",
        "auto",
        max_length=4000,
    )
    colors: int | None = _field("The largest number of colours; by default as many as are there.", None, ge=2, le=256)
    background: str = _field(
        "keep, solid, transparent, or a colour for it (name or #rrggbb); by default the traits' own.",
        None,
        max_length=40,
    )
    eyes: str = _field(
        "keep, or the colour that the irises become; by default the traits' own.", None, choices=("keep", *EYES)
    )
    steer: float = _field("How strongly the painting's background is drawn to that colour.", 0.0, ge=0, le=1)
    output_size: int = _field("Side of the enlarged picture in pixels.", 1024, ge=24, le=4096)
    image: str | None = _field("A picture to start from, by its SHA-256; by default none.", None, max_length=64)
    prompt_strength: float = _field(
        "How far the painting may leave the picture that it starts from; 1 is all the way.", 0.8, ge=0, le=1
    )

    def __post_init__(self) -> None:
        _check("variant", self.variant, str)
        row = variants.variant(self.variant)
        defaults: dict[str, Any] = {
            "epoch": row.epoch,
            "lora_scale": row.lora_scale,
            "num_inference_steps": row.num_inference_steps,
            "guidance_scale": row.guidance_scale,
        }
        if self.traits is not None:
            object.__setattr__(self, "traits", Traits.of(self.traits))
            defaults |= _decided(self.traits)
        defaults = {"background": "keep", "eyes": "keep"} | defaults
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.seed is None:  # pyright: ignore[reportUnnecessaryComparison]
            object.__setattr__(self, "seed", secrets.randbelow(MAX_SEED + 1))
        if self.prompt is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise RecipeError("prompt", None, _SAY)
        for one in dataclasses.fields(self):
            _check(one.name, getattr(self, one.name), one.type)
        if self.vary > 0 and self.vary_seed is None:
            object.__setattr__(self, "vary_seed", _counted(self.seed, 1))
        if self.epoch > row.epochs:
            raise RecipeError("epoch", self.epoch, f"variant {row.name} has epochs 1 to {row.epochs}")
        if not self.prompt.strip():
            raise RecipeError("prompt", self.prompt, _SAY)
        explicit_palette(self.palette)
        _ = self.background_rgb
        if self.image is not None:
            if not re.fullmatch("[0-9a-f]{64}", self.image):
                raise RecipeError("image", self.image, "a recipe names its picture by the SHA-256 of the file, in hex")
            if self.vary > 0:
                raise RecipeError("vary", self.vary, "a painting that starts from a picture has no other seed; use 0")
            if self.painted_steps < 1:
                steps = self.num_inference_steps
                least = f"{math.ceil(100 / steps) / 100:g} to " if steps > 1 else ""
                way = f"use {least}1, or more steps"
                raise RecipeError("prompt_strength", self.prompt_strength, f"of {steps} steps none is left; {way}")

    @property
    def painted_steps(self) -> int:
        """The denoising steps that are done: all of them, or the last part when it starts from a picture."""
        return self.num_inference_steps if self.image is None else int(self.num_inference_steps * self.prompt_strength)

    @property
    def guided(self) -> bool:
        """Whether each step also asks what the negative prompt would give."""
        return self.guidance_scale > 1

    @property
    def background_rgb(self) -> Color | None:
        """The colour that the background is to have, RGB 0-255; None where none is asked for."""
        return None if self.background in BACKGROUNDS else parse_color(self.background, "background")

    def to_json(self) -> str:
        """The recipe as one line of JSON, every field written out."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Recipe":
        """The recipe of a JSON object; validated like any other, an unknown field is refused by name."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError("recipe", text, f"it is not JSON ({error})") from error
        if not isinstance(values, dict):
            raise RecipeError("recipe", values, "use a JSON object of fields")
        return cls.from_dict(values)  # pyright: ignore[reportUnknownArgumentType]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """The recipe of these fields, where those of traits may stand beside the others; an unknown one is refused."""
        known = [one.name for one in dataclasses.fields(cls)]
        values = gather(values)
        for name in values:
            if name not in known:
                raise RecipeError(str(name), values[name], f"the fields of a recipe are {', '.join(known)}")
        return cls(**values)

    def replace(self, **changes: Any) -> "Recipe":
        """The same recipe with some fields changed; what its traits decided is decided anew by other traits."""
        if self.traits is not None and changes.get("traits") is not None:
            anew = {name: None for name, value in _decided(self.traits).items() if getattr(self, name) == value}
            changes = anew | changes
        return dataclasses.replace(self, **changes)

    def outputs(self, num_outputs: int) -> list["Recipe"]:
        """`num_outputs` recipes with seed, seed+1, ...; past the last seed it goes on at 0.

        A recipe that varies stays at its seed and goes towards vary_seed, vary_seed+1, ...
        """
        if num_outputs < 1:
            raise RecipeError("num_outputs", num_outputs, "use a whole number from 1 up")
        if self.vary > 0 and self.vary_seed is not None:
            return [self.replace(vary_seed=_counted(self.vary_seed, i)) for i in range(num_outputs)]
        return [self.replace(seed=_counted(self.seed, i)) for i in range(num_outputs)]

    def batches_with(self, other: "Recipe") -> bool:
        """Whether both can be painted in one batch, as far as recipes tell."""
        return all(
            getattr(self, one.name) == getattr(other, one.name)
            for one in dataclasses.fields(self)
            if one.name not in PER_PICTURE
        )


def _counted(seed: int, steps: int) -> int:
    return (seed + steps) % (MAX_SEED + 1)


def bounds(name: str) -> Bounds:
    """The bounds of a field of Recipe."""
    return Recipe.__dataclass_fields__[name].metadata["bounds"]


def explicit_palette(palette: str) -> NDArray[np.uint8] | None:
    """The colours of a palette field, uint8 (K, 3); None for `auto` and `prompt`. Raises RecipeError."""
    if palette in ("auto", "prompt"):
        return None
    codes = [part for part in re.split(r"[,\s]+", palette) if part]
    if not codes:
        raise RecipeError("palette", palette, "use auto, prompt, or hex colours such as #6ae745,#000000")
    return parse_palette(codes)


def _decided(traits: Traits) -> dict[str, Any]:
    """The fields that traits fill in where nothing else does."""
    eyes = (traits.eyes or "").lower().removesuffix("eyes").strip()
    return {
        "prompt": traits.caption(),
        "background": traits.background_color or "keep",
        "eyes": eyes if eyes in EYES else "keep",
    }


def _check(name: str, value: Any, kind: Any) -> None:
    """Types are exact: a bool is no number, a number no text; a whole number may stand for a float."""
    limits = bounds(name)
    kinds = get_args(kind) or (kind,)
    fits = type(value) in kinds or (float in kinds and type(value) is int)
    if fits and limits.choices:
        fits = value in limits.choices
    if fits and isinstance(value, int | float) and limits.le is not None:
        fits = (limits.ge or 0) <= value <= limits.le  # which what is not a number never is
    if not fits:
        raise RecipeError(name, value, limits.allowed(whole=int in kinds))
    if isinstance(value, str):
        if limits.max_length and len(value) > limits.max_length:
            raise RecipeError(name, f"{len(value)} characters", limits.allowed(whole=False))
        if "\x00" in value or any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise RecipeError(name, value, "it holds characters that no text may hold")
