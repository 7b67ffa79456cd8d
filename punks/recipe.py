"""A recipe: what is painted. Frozen, valid by construction, always seeded."""

import dataclasses
import math
import re
import secrets
from dataclasses import dataclass
from typing import Any, cast

from punks import fast, variants
from punks.errors import RecipeError
from punks.fields import check, check_text, setting
from punks.palette import hex_of, parse_color
from punks.prompts import complete, drawn, literal
from punks.traits import Traits
from punks.vocabulary import Color

NEGATIVE_PROMPT = "blurry, smooth, gradients, antialiased, photography, realistic, 3d render"
MAX_SEED = 2**32 - 1
MAX_SCALE, _MOST_LORAS = 2, 8
# random seeds stay below this: `cog predict -i seed=...` reads signed 32-bit integers
_RANDOM_SEEDS = 2**31
SCHEDULERS = (
    *("default", "pndm", "dpmpp_2m_karras", "euler", "euler_trailing", "euler_a", "ddim", "ddim_trailing", "unipc"),
    *("lcm", "tcd"),
)
# by a trained model, or by the rules of version 0.1
RESTORATIONS = ("learned", "rules")
# fields whose default is the variant's own
OF_VARIANT = ("epoch", "lora_scale", "num_inference_steps", "guidance_scale")
# fields in which the pictures of one batch may differ
PER_PICTURE = ("prompt", "traits", "seed", "vary", "vary_seed", "steer_color")
_SAY = "say what to paint, for example: lady, red hair, green eyes; or give traits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    """A LoRA file beside or instead of the variant's own: name, SHA-256 in hex, strength, and where it came from.

    Raises RecipeError.
    """

    name: str
    sha256: str
    scale: float = 1.0
    source: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", str(self.sha256)):
            raise RecipeError("loras.sha256", self.sha256, "use the SHA-256 of the file, in hex")
        if type(self.scale) not in (int, float) or not 0 <= self.scale <= MAX_SCALE:
            raise RecipeError("loras.scale", self.scale, f"use a number from 0 to {MAX_SCALE}")
        for field in ("name", "source"):
            if not isinstance(text := getattr(self, field), str) or len(text) > 1000:
                raise RecipeError(f"loras.{field}", text, "use text of at most 1000 characters")
            check_text(f"loras.{field}", text)

    @classmethod
    def of(cls, value: object) -> "Lora":
        """A LoRA, or one of a JSON object."""
        if isinstance(value, Lora):
            return value
        names = [field.name for field in dataclasses.fields(cls)]
        given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        if not {"name", "sha256"} <= given.keys() <= set(names):
            raise RecipeError("loras", cast("object", value), f"use objects with {', '.join(names)}")
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides one painting. Fields left at None take the variant's own value; the seed a random one.

    A recipe that leaves out none of these may be of a variant that only another machine has; see `require_variant`.
    Raises RecipeError naming the field, its value and what is allowed.
    """

    prompt: str = setting("What to paint. Overrides traits.", None, max_length=4000)
    traits: Traits | None = setting(  # noqa: RUF009 - it is dataclasses.field
        "The portrait as a JSON object: subject, hair, expression, lips, eyes, skin, background, wear.", None
    )
    negative_prompt: str = setting("What to avoid in the painting.", NEGATIVE_PROMPT, max_length=4000)
    variant: str = setting("LoRA variant to paint with.", variants.DEFAULT, choices=variants.VARIANTS.keys())
    epoch: int = setting("Epoch of the LoRA; by default the variant's best.", None, ge=1, le=999)
    lora_scale: float = setting("Strength of the variant's LoRA; 0 leaves it out.", None, ge=0, le=MAX_SCALE)
    loras: tuple[Lora, ...] = setting("LoRA files beside the variant's own, which --lora-scale 0 leaves out.", ())
    seed: int = setting("The same seed gives the same punk; random by default.", None, ge=0, le=MAX_SEED)
    vary: float = setting("Blend from seed (0) to vary_seed (1).", 0.0, ge=0, le=1)
    vary_seed: int | None = setting("Seed to blend towards; by default seed + 1.", None, ge=0, le=MAX_SEED)
    num_inference_steps: int = setting("Number of denoising steps.", None, ge=1, le=100)
    guidance_scale: float = setting("How closely to follow the prompt; 1 turns guidance off.", None, ge=1, le=20)
    scheduler: str = setting("Sampler; default means the variant's own.", "default", choices=SCHEDULERS)
    template: bool = setting("Add the trigger words of the LoRA to the prompt.", True)
    steer: float = setting("How strongly to pull the background towards steer_color while painting.", 0.0, ge=0, le=1)
    steer_color: str | None = setting(
        "Color to pull the background towards; by default the background color.", None, max_length=40
    )
    restoration: str = setting("How to decide which cells share a color.", "learned", choices=RESTORATIONS)
    image_sha256: str | None = setting("SHA-256 of the picture to start from; by default none.", None, max_length=64)
    prompt_strength: float = setting("How much to change the picture to start from; 1 is completely.", 0.8, ge=0, le=1)

    def __post_init__(self) -> None:
        named = variants.NAME.fullmatch(str(self.variant))
        whole = named and all(getattr(self, name) is not None for name in OF_VARIANT)
        row = variants.VARIANTS.get(str(self.variant)) if whole else variants.variant(self.variant)
        defaults: dict[str, Any] = {name: getattr(row, name) for name in OF_VARIANT} if row else {}
        if row and self.scheduler == "default":
            object.__setattr__(self, "scheduler", row.scheduler)
        if self.traits is not None:
            object.__setattr__(self, "traits", Traits.of(self.traits))
            defaults["prompt"] = self.traits.caption()
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if self.seed is None:  # pyright: ignore[reportUnnecessaryComparison]
            object.__setattr__(self, "seed", secrets.randbelow(_RANDOM_SEEDS))
        if self.prompt is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise RecipeError("prompt", None, _SAY)
        self._check_seeds()
        object.__setattr__(self, "loras", _loras(self.loras))
        check(self, free=("variant",))
        if self.vary > 0 and self.vary_seed is None:
            object.__setattr__(self, "vary_seed", seed_after(self.seed))
        if row and not row.own:
            self.require_variant()
        if not self.prompt.strip():
            raise RecipeError("prompt", self.prompt, _SAY)
        if self.steer_color is not None:
            object.__setattr__(self, "steer_color", hex_of(parse_color(self.steer_color, "steer_color")))
        self._check_image()

    def require_variant(self) -> variants.Variant:
        """The row of its variant, to paint with. Raises RecipeError where it is not here, or has no such epoch."""
        row = variants.variant(self.variant)
        if self.epoch > row.epochs:
            raise RecipeError("epoch", self.epoch, f"variant {row.name} has epochs 1 to {row.epochs}")
        return row

    def _check_seeds(self) -> None:
        """Says what to do with the seeds of other tools: -1 is random there, and some have 64 bits."""
        for name in ("seed", "vary_seed"):
            if type(value := getattr(self, name)) is int and not 0 <= value <= MAX_SEED:
                way = "leave it out for a random one" if value < 0 else "a seed of another tool paints another picture"
                raise RecipeError(name, value, f"use a whole number from 0 to {MAX_SEED}; {way}")

    def _check_image(self) -> None:
        if self.image_sha256 is None:
            return
        if not re.fullmatch("[0-9a-f]{64}", self.image_sha256):
            raise RecipeError("image_sha256", self.image_sha256, "use the SHA-256 of the picture's file, in hex")
        if self.vary > 0:
            raise RecipeError("vary", self.vary, "a painting that starts from a picture cannot vary; use 0")
        if self.painted_steps < 1:
            steps = self.num_inference_steps
            least = "1" if steps == 1 else f"{math.ceil(100 / steps) / 100:g} or more"
            raise RecipeError("prompt_strength", self.prompt_strength, f"too low for {steps} steps; use {least}")

    @property
    def painted_prompt(self) -> str:
        """The text that is painted: the prompt, with the words of the template unless they are turned off."""
        return complete(self.prompt) if self.template else self.prompt

    @property
    def painted_steps(self) -> int:
        """The number of denoising steps that run: only the last part when it starts from a picture."""
        steps = self.num_inference_steps
        return steps if self.image_sha256 is None else int(steps * self.prompt_strength)

    @property
    def guided(self) -> bool:
        """Whether guidance is on, so that the negative prompt counts."""
        return self.guidance_scale > 1

    @property
    def steer_rgb(self) -> Color | None:
        """The color that the background is steered to, RGB 0-255; None where it is not steered."""
        return None if self.steer == 0 or self.steer_color is None else parse_color(self.steer_color)

    def replace(self, **changes: Any) -> "Recipe":
        """The same recipe with some fields changed; other traits bring their own prompt, unless it was overridden."""
        if self.traits is not None and changes.get("traits") is not None and self.prompt == self.traits.caption():
            changes = {"prompt": None, **changes}
        return dataclasses.replace(self, **changes)

    def outputs(self, num_outputs: int, *, draw: bool = False) -> list["Recipe"]:
        """`num_outputs` recipes with seed, seed + 1, ...; where it varies, with vary_seed, vary_seed + 1, ...

        `draw` draws the choices of the prompt, `{red|blue} hair`, for each as `punks batch` does; for variations once.
        """
        if not 1 <= num_outputs <= 10_000:
            raise RecipeError("num_outputs", num_outputs, "use a whole number from 1 to 10000; punks batch paints more")
        prompts = [drawn(self.prompt, self.seed, i) if draw else self.prompt for i in range(num_outputs)]
        if self.vary > 0 and self.vary_seed is not None:
            return [
                self.replace(vary_seed=seed_after(self.vary_seed, i), prompt=prompts[0]) for i in range(num_outputs)
            ]
        return [self.replace(seed=seed_after(self.seed, i), prompt=prompt) for i, prompt in enumerate(prompts)]

    def batches_with(self, other: "Recipe") -> bool:
        """Whether both can be painted in one batch, as far as recipes tell."""
        return all(getattr(self, name) == getattr(other, name) for name in SHARED)

    def warnings(self) -> list[str]:
        """What the recipe asks for that will not happen, and words that may be misspelt."""
        found = [] if self.traits is None else self.traits.warnings()
        if self.traits is not None and self.prompt != self.traits.caption():
            found.append("prompt: overrides the traits, and does not describe them as given")
        if self.steer > 0 and self.steer_color is None:
            found.append("steer: has no effect without steer_color or a background color")
        found += literal("prompt", self.prompt)
        if self.guided:
            found += literal("negative_prompt", self.negative_prompt)
        elif self.negative_prompt not in ("", NEGATIVE_PROMPT):
            found.append("negative_prompt: has no effect at guidance_scale 1")
        if self.variant not in variants.VARIANTS:  # painted on another machine
            return found
        base, loras = variants.VARIANTS[self.variant].base, {one.sha256: one.name for one in self.loras if one.scale}
        return found + fast.warnings(base, self.scheduler, self.num_inference_steps, self.guidance_scale, loras)


def _loras(given: object) -> tuple[Lora, ...]:
    listed = cast("list[object]", given) if isinstance(given, list | tuple) else None
    if listed is None or len(listed) > _MOST_LORAS:
        raise RecipeError("loras", cast("object", given), f"use a list of at most {_MOST_LORAS} LoRAs")
    return tuple(map(Lora.of, listed))


# fields that all pictures of one batch share
SHARED = tuple(field.name for field in dataclasses.fields(Recipe) if field.name not in PER_PICTURE)


def seed_after(seed: int, count: int = 1) -> int:
    """The seed `count` places further on; after the last comes 0."""
    return (seed + count) % (MAX_SEED + 1)
