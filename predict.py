"""What Cog and Replicate run: inputs in, pictures out.

Cog reads the signature without running it, so every choice, bound and default is a literal here; a test compares them
with the registry, Recipe and Finish.
"""

import dataclasses
from typing import Optional

from cog import BaseModel, BasePredictor, Input, Path

from punks.service import Service, default_variant, own_variants


class Output(BaseModel):
    """The punks of one request in the order of their seeds; every list has one entry a punk.

    `images` are enlarged, `pixels` 24x24; `palettes` are hex codes with commas, as the input `palette` takes them.
    """

    images: list[Path]
    pixels: list[Path]
    seeds: list[int]
    palettes: list[str]
    confidences: list[float]
    recipes: list[str]
    warnings: list[str]
    paintings: Optional[list[Path]] = None


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Loads a variant and paints once, so that the first request is fast."""
        self.service = Service()
        self.service.warm_up(default_variant())

    def healthcheck(self) -> bool:
        """Whether the device still works."""
        return self.service.healthy()

    def predict(
        self,
        prompt: Optional[str] = Input(default=None, max_length=4000, description="What to paint. Overrides traits."),
        traits: Optional[str] = Input(
            default=None,
            description="The portrait as a JSON object: subject, hair, expression, lips, eyes, skin, background, wear.",
        ),
        negative_prompt: str = Input(
            default="blurry, smooth, gradients, antialiased, photography, realistic, 3d render",
            max_length=4000,
            description="What to avoid in the painting.",
        ),
        variant: str = Input(
            default="sd15-perfect",
            choices=["sd15-perfect", "sd15-bespoke-baby", "sdxl-current", "sdxl-fixed", "demo"],
            description="LoRA variant to paint with.",
        ),
        epoch: Optional[int] = Input(
            default=None, ge=1, le=999, description="Epoch of the LoRA; by default the variant's best."
        ),
        lora_scale: Optional[float] = Input(
            default=None, ge=0, le=2, description="Strength of the variant's LoRA; 0 leaves it out."
        ),
        lora: Optional[Path] = Input(  # noqa: B008
            default=None, description="LoRA file to paint with instead of the variant's own, at lora_scale."
        ),
        fast: str = Input(
            default="off",
            choices=["off", "on", "hyper", "lcm", "lightning", "distilled"],
            description="Paint in few steps, with an acceleration LoRA of the base.",
        ),
        seed: Optional[int] = Input(
            default=None, ge=0, le=4294967295, description="The same seed gives the same punk; random by default."
        ),
        vary: float = Input(default=0.0, ge=0, le=1, description="Blend from seed (0) to vary_seed (1)."),
        vary_seed: Optional[int] = Input(
            default=None, ge=0, le=4294967295, description="Seed to blend towards; by default seed + 1."
        ),
        num_outputs: int = Input(default=1, ge=1, le=8, description="Number of punks, with seed, seed+1, ..."),
        num_inference_steps: Optional[int] = Input(
            default=None, ge=1, le=100, description="Number of denoising steps."
        ),
        guidance_scale: Optional[float] = Input(
            default=None, ge=1, le=20, description="How closely to follow the prompt; 1 turns guidance off."
        ),
        scheduler: str = Input(
            default="default",
            choices=[
                "default",
                "pndm",
                "dpmpp_2m_karras",
                "euler",
                "euler_trailing",
                "euler_a",
                "ddim",
                "ddim_trailing",
                "unipc",
                "lcm",
                "tcd",
            ],
            description="Sampler; default means the variant's own.",
        ),
        template: bool = Input(default=True, description="Add the trigger words of the LoRA to the prompt."),
        steer: float = Input(
            default=0.0,
            ge=0,
            le=1,
            description="How strongly to pull the background towards steer_color while painting.",
        ),
        steer_color: Optional[str] = Input(
            default=None,
            max_length=40,
            description="Color to pull the background towards; by default the background color.",
        ),
        restoration: str = Input(
            default="learned",
            choices=["learned", "rules"],
            description="How to decide which cells share a color.",
        ),
        palette: str = Input(
            default="auto",
            max_length=5000,
            description="auto, prompt (the hex codes in the prompt), or colors separated by commas.",
        ),
        colors: Optional[int] = Input(default=None, ge=2, le=576, description="Largest number of colors."),
        background: Optional[str] = Input(
            default=None,
            max_length=40,
            description="keep, solid, transparent, or a color (name or #rrggbb); by default as the traits say.",
        ),
        eyes: Optional[str] = Input(
            default=None,
            choices=["keep", "brown", "blue", "green", "black", "gray"],
            description="keep, or the color of the eyes; by default as the traits say.",
        ),
        dither: bool = Input(default=False, description="Ordered dithering; needs a palette."),
        output_size: int = Input(default=1024, ge=24, le=4096, description="Side of the enlarged picture in pixels."),
        output_format: str = Input(
            default="png",
            choices=["png", "webp"],
            description="File format of the enlarged picture; both are lossless.",
        ),
        return_painting: bool = Input(default=False, description="Also return the paintings before they are finished."),
        image: Optional[Path] = Input(  # noqa: B008
            default=None, description="Picture to start from; cropped to a square, white where transparent."
        ),
        prompt_strength: float = Input(
            default=0.8, ge=0, le=1, description="How much to change the picture to start from; 1 is completely."
        ),
    ) -> Output:
        """Paints `num_outputs` punks."""
        inputs = {name: value for name, value in locals().items() if name != "self"}
        return Output(**self.service.answer(inputs, self.record_metric))


# an image is built from the literals above; script/serve --variant names another default for requests, and serves
# the variants of weights/variants.toml as well
Predictor.predict.__defaults__ = tuple(
    dataclasses.replace(one, default=default_variant(), choices=[*one.choices, *own_variants()])
    if one.default == "sd15-perfect"
    else one
    for one in Predictor.predict.__defaults__ or ()
)
