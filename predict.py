"""What Cog and Replicate run: an HTTP request becomes a Recipe, a Punk becomes files.

Cog reads the signature without running it, so every choice, bound and default is a literal here; a test pins them to
the registry and to Recipe.
"""

import tempfile
from pathlib import Path as File
from typing import Optional

from cog import BaseModel, BasePredictor, Input, Path

from punks import Punk, Recipe, Studio
from punks.png import write_png


class Output(BaseModel):
    """One request's pictures, in the order of their seeds; every list has one entry a picture."""

    images: list[Path]
    pixels: list[Path]
    seeds: list[int]
    palettes: list[list[str]]
    confidences: list[float]
    recipes: list[str]


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Loads the default variant and paints once, so that the first request finds everything warm."""
        self.studio = Studio()
        self.studio.generate(Recipe(prompt="warm up", num_inference_steps=1))

    def predict(
        self,
        prompt: str = Input(description="What to paint, in words."),
        negative_prompt: str = Input(
            default="blurry, smooth, gradients, antialiased, photography, realistic, 3d render",
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
            description="auto, prompt (the hex colours named in the prompt), or hex colours with commas between them.",
        ),
        colors: Optional[int] = Input(
            default=None, ge=2, le=256, description="The largest number of colours; by default as many as are there."
        ),
        background: str = Input(
            default="keep",
            description="keep, solid, transparent, or the colour that the background becomes (a name or #rrggbb).",
        ),
        output_size: int = Input(default=1024, ge=24, le=4096, description="Side of the enlarged picture in pixels."),
    ) -> Output:
        """Paints `num_outputs` punks."""
        given = {name: value for name, value in locals().items() if name not in ("self", "num_outputs")}
        recipe = Recipe.from_dict({name: value for name, value in given.items() if value is not None})
        punks = list(self.studio.generate_all(recipe.outputs(num_outputs), progress))
        return output(punks, File(tempfile.mkdtemp(prefix="punks-")))


def progress(step: int, steps: int) -> None:
    """A line that Replicate's clients parse as progress (the form of tqdm)."""
    print(f"{step * 100 // steps:3d}%|{'#' * (step * 10 // steps):10s}| {step}/{steps}", flush=True)


def output(punks: list[Punk], folder: File) -> Output:
    """Writes the pictures into the folder."""
    for punk in punks:
        write_png(punk.image, folder / f"punk-{punk.recipe.seed}.png", punk.recipe)
        write_png(punk.art.enlarge(24), folder / f"punk-{punk.recipe.seed}-24.png", punk.recipe)
    return Output(
        images=[Path(folder / f"punk-{punk.recipe.seed}.png") for punk in punks],
        pixels=[Path(folder / f"punk-{punk.recipe.seed}-24.png") for punk in punks],
        seeds=[punk.recipe.seed for punk in punks],
        palettes=[punk.art.hexes for punk in punks],
        confidences=[punk.art.confidence for punk in punks],
        recipes=[punk.recipe.to_json() for punk in punks],
    )
