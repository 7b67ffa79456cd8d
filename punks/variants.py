"""The registry: one frozen row a variant. A new LoRA is a new row, never a new class."""

import re
from dataclasses import dataclass
from typing import Literal

from punks.errors import RecipeError

Family = Literal["sd15", "sdxl"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Files of one Hugging Face repository at one commit, and the folder below a base that takes them."""

    repo: str
    revision: str
    files: tuple[str, ...]
    folder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base model in the diffusers layout. `side` is the native picture side in pixels.

    Below `least_steps` it paints badly without an acceleration LoRA, with Karras sigmas below `least_karras_steps`.
    """

    name: str
    family: Family
    side: int
    least_steps: int = 1
    least_karras_steps: int = 1
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A LoRA on a base. `lora` is its file name as kohya's `output_name`, `epochs` how many it was trained for.

    `own`: a row of the user's, whose files lie in the weights folder that is in use.
    """

    name: str
    base: Base
    lora: str
    epochs: int
    epoch: int
    verdict: str
    failed: bool = False
    embedded: bool = False
    own: bool = False
    lora_scale: float = 1.0
    num_inference_steps: int = 30
    guidance_scale: float = 7.5
    scheduler: str = "default"  # the base's own

    def lora_file(self, epoch: int) -> str:
        """The file of an epoch: kohya numbers all but the last, which has the bare name; a user's row all."""
        bare = epoch == self.epochs and not self.own
        return f"{self.lora}.safetensors" if bare else f"{self.lora}-{epoch:06d}.safetensors"


_CONFIGS = (
    "model_index.json",
    "scheduler/*.json",
    "tokenizer*/*",
    "text_encoder*/config.json",
    "unet/config.json",
)

SD15 = Base(
    name="sd15",
    family="sd15",
    side=512,
    least_steps=12,
    sources=(
        Source(
            repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
            revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            files=(
                *_CONFIGS,
                "vae/config.json",
                "text_encoder/model.fp16.safetensors",
                "unet/diffusion_pytorch_model.fp16.safetensors",
                "vae/diffusion_pytorch_model.fp16.safetensors",
            ),
        ),
    ),
)

SDXL = Base(
    name="sdxl",
    family="sdxl",
    side=1024,
    least_steps=12,
    sources=(
        Source(
            repo="stabilityai/stable-diffusion-xl-base-1.0",
            revision="462165984030d82259a11f4367a4eed129e94a7b",
            files=(
                *_CONFIGS,
                "text_encoder/model.fp16.safetensors",
                "text_encoder_2/model.fp16.safetensors",
                "unet/diffusion_pytorch_model.fp16.safetensors",
            ),
        ),
        # the VAE of the base overflows in fp16; this one was retrained not to
        Source(
            repo="madebyollin/sdxl-vae-fp16-fix",
            revision="207b116dae70ace3637169f1ddd2434b91b3a8cd",
            files=("config.json", "diffusion_pytorch_model.safetensors"),
            folder="vae",
        ),
    ),
)

DEMO = Base(name="demo", family="sd15", side=512, least_steps=4, least_karras_steps=16)

DEFAULT = "sd15-perfect"
NAME = re.compile("[a-z0-9][a-z0-9._-]{0,63}")

VARIANTS: dict[str, Variant] = {
    row.name: row
    for row in (
        Variant(
            name="sd15-perfect",
            base=SD15,
            lora="bespoke_punks_SD15_PERFECT",
            epochs=10,
            epoch=7,
            verdict="success, 9/10: epoch 7 is the one to serve, 9 is good, 10 overtrained, 1-6 paint brown eyes blue",
        ),
        Variant(
            name="sd15-bespoke-baby",
            base=SD15,
            lora="SD15_bespoke_baby",
            epochs=10,
            epoch=10,
            verdict="failure: realistic babies",
            failed=True,
        ),
        Variant(
            name="sdxl-current",
            base=SDXL,
            lora="bespoke_baby_sdxl",
            epochs=10,
            epoch=10,
            verdict="failure, 4/10: wrong colors, random pixels (epochs 1-9 looked at)",
            failed=True,
        ),
        Variant(
            name="sdxl-fixed",
            base=SDXL,
            lora="bespoke_baby_sdxl_fixed",
            epochs=10,
            epoch=7,
            verdict="planned: the SDXL retry with the parameters of SD15_PERFECT, not judged yet",
        ),
        Variant(
            name="demo",
            base=DEMO,
            lora="punks_demo",
            epochs=10,
            epoch=10,
            embedded=True,
            # as good as 8 of DDIM and 20 at 4.0 (traits right 99.3, 99.6 and 99.1%), in 8 calls, not 16 or 40
            num_inference_steps=4,
            guidance_scale=2.5,
            scheduler="unipc",
            verdict="the small model that comes with punks, trained on generated portraits",
        ),
    )
}


def variant(name: object) -> Variant:
    """The row of that name; raises RecipeError naming the rows there are."""
    row = VARIANTS.get(str(name))
    if row is None:
        add = f", or add it with `punks weights add {name} --lora FILE`" if NAME.fullmatch(str(name)) else ""
        raise RecipeError("variant", name, f"choose one of {', '.join(VARIANTS)}{add}")
    return row
