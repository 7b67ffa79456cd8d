"""What Cog and Replicate run: inputs in, pictures out.

Cog reads the signature without running it, so every choice, bound and default is a literal here; a test pins them to
the registry and to Recipe.
"""

import dataclasses
from typing import Optional

from cog import BaseModel, BasePredictor, Input, Path

from punks.service import Service, default_variant


class Output(BaseModel):
    """One request's pictures, in the order of their seeds; every list has one entry a picture.

    `images` are enlarged, `pixels` 24x24; `palettes` are hex colours with commas, as the input `palette` takes them.
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
        """Loads a variant and paints once, so that the first request finds everything warm."""
        self.service = Service()
        self.service.warm_up(default_variant())

    def healthcheck(self) -> bool:
        """Whether the device still computes."""
        return self.service.healthy()

    def predict(
        self,
        prompt: Optional[str] = Input(
            default=None, max_length=4000, description="What to paint, in words; it has the last word over traits."
        ),
        traits: Optional[str] = Input(
            default=None, description="What it shows: a JSON object of subject, hair, eyes, skin, background and wear."
        ),
        negative_prompt: str = Input(
            default="blurry, smooth, gradients, antialiased, photography, realistic, 3d render",
            max_length=4000,
            description="What to keep out of the painting.",
        ),
        variant: str = Input(
            default="sd15-perfect",
            choices=["sd15-perfect", "sd15-bespoke-baby", "sdxl-current", "sdxl-fixed", "demo"],
            description="Which LoRA paints.",
        ),
        epoch: Optional[int] = Input(
            default=None, ge=1, le=10, description="Which epoch of the LoRA; by default the variant's best."
        ),
        lora_scale: Optional[float] = Input(
            default=None, ge=0, le=2, description="How strongly the LoRA acts; 0 is the bare base model."
        ),
        seed: Optional[int] = Input(
            default=None,
            ge=0,
            le=4294967295,
            description="The same seed paints the same punk; by default a random one.",
        ),
        vary: float = Input(
            default=0.0,
            ge=0,
            le=1,
            description="How far to go from the seed towards another one; 0 stays, 1 arrives.",
        ),
        vary_seed: Optional[int] = Input(
            default=None, ge=0, le=4294967295, description="The other seed; by default the next one."
        ),
        num_outputs: int = Input(default=1, ge=1, le=8, description="How many punks, with seeds seed, seed+1, ..."),
        num_inference_steps: Optional[int] = Input(default=None, ge=1, le=100, description="Denoising steps."),
        guidance_scale: Optional[float] = Input(
            default=None, ge=1, le=20, description="How closely the prompt is followed; 1 turns guidance off."
        ),
        scheduler: str = Input(
            default="default",
            choices=["default", "pndm", "dpmpp_2m_karras", "euler", "euler_a", "ddim", "unipc", "lcm"],
            description="The sampler; default is the base model's own.",
        ),
        template: bool = Input(
            default=True, description="Complete the prompt with the words that the LoRA was trained on."
        ),
        palette: str = Input(
            default="auto",
            max_length=4000,
            description="auto, prompt (the hex colours named in the prompt), or hex colours with commas between them.",
        ),
        colors: Optional[int] = Input(
            default=None, ge=2, le=256, description="The largest number of colours; by default as many as are there."
        ),
        background: Optional[str] = Input(
            default=None,
            max_length=40,
            description="keep, solid, transparent, or a colour for it (name or #rrggbb); by default the traits' own.",
        ),
        eyes: Optional[str] = Input(
            default=None,
            choices=["keep", "brown", "blue", "green", "black", "gray"],
            description="keep, or the colour that the irises become; by default the traits' own.",
        ),
        steer: float = Input(
            default=0.0,
            ge=0,
            le=1,
            description="How strongly the painting's background is drawn to that colour.",
        ),
        output_size: int = Input(default=1024, ge=24, le=4096, description="Side of the enlarged picture in pixels."),
        output_format: str = Input(
            default="png", choices=["png", "webp"], description="How the enlarged picture is stored; both are lossless."
        ),
        return_painting: bool = Input(default=False, description="Also return what was painted before restoration."),
        image: Optional[Path] = Input(  # noqa: B008
            default=None, description="A picture to start from; it is cropped to a square, and white where transparent."
        ),
        prompt_strength: float = Input(
            default=0.8,
            ge=0,
            le=1,
            description="How far the painting may leave the picture that it starts from; 1 is all the way.",
        ),
    ) -> Output:
        """Paints `num_outputs` punks."""
        inputs = {name: value for name, value in locals().items() if name != "self"}
        return Output(**self.service.answer(inputs, self.record_metric))


# an image is built from the literals above; script/serve --variant names another default for requests
Predictor.predict.__defaults__ = tuple(
    dataclasses.replace(one, default=default_variant()) if one.default == "sd15-perfect" else one
    for one in Predictor.predict.__defaults__ or ()
)
