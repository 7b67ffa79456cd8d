"""Holds a base model warm with its LoRA slot, and paints."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from punks import variants
from punks.files import weights
from punks.painter.cuda.graphs import choose_engine, install, join_projections
from punks.painter.decoder import Landing, landed, launch, pixels_of, preview
from punks.painter.device import Clock, Pace, choose_device
from punks.painter.encoder import Embeddings, embedding_length, encode, joined
from punks.painter.loading import from_pictures, load_pipeline, nbytes, place
from punks.painter.lora import LoraStack
from punks.painter.memory import budget, enforce_limit, trim_host
from punks.painter.noise import start_from, starting_latents
from punks.painter.samplers import make_scheduler
from punks.painter.steering import steer
from punks.recipe import PER_PICTURE, Recipe
from punks.variants import Variant

OnStep = Callable[[int, int], None]
OnPreview = Callable[[NDArray[np.uint8]], None]
Painted = tuple[Image.Image, dict[str, float]]  # RGB at the base's side, and the seconds of each stage


class Painter:
    """One base model, warm on one device: half precision on CUDA, float32 elsewhere.

    Raises WeightsError, DeviceError and, like `paint`, torch.OutOfMemoryError.
    """

    def __init__(self, variant: Variant, device: torch.device | None = None) -> None:
        self.device = device or choose_device()
        self.base = variant.base
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        engine = choose_engine(self.device)
        enforce_limit(self.device)
        self._pipeline: Any = load_pipeline(weights.base_folder(variant), self.dtype)
        self._scheduler: Any = self._pipeline.scheduler
        if engine is not None:
            join_projections(self._pipeline.unet)
        place(self._pipeline, self.device)
        if engine is not None:
            for model in (self._pipeline.unet, self._pipeline.vae):
                model.to(memory_format=torch.channels_last)
        trim_host()
        # where the base alone takes most of the memory, what restores it after a LoRA waits on the host
        crowded = nbytes(self._pipeline) > budget(self.device) / 2
        self._lora = LoraStack(self._pipeline, at="cpu" if crowded else self.device)
        self._graphs = None if engine is None else install(self._pipeline, self.device, engine)
        decode = pixels_of(self._pipeline.vae)
        self._decode = decode if self._graphs is None else self._graphs.replayed(decode)
        # on a CPU a batch is no faster, and a picture painted alone is the same to the bit
        self.batch_size = 8 if self.device.type == "cuda" else 1

    @torch.inference_mode()
    def paint(
        self,
        recipes: Sequence[Recipe],
        on_step: OnStep | None = None,
        picture: Image.Image | None = None,
        on_preview: OnPreview | None = None,
    ) -> Iterator[Painted]:
        """One painting a recipe, in one batch: they may differ in PER_PICTURE, with prompts of one `embedding_length`.

        `picture` is the RGB one that the recipes start from, of any size. `on_step(step, steps)` is called after each
        denoising step, `on_preview(cells)` with the first painting so far, uint8 (24, 24, 3). All is launched when
        this returns; the iterator waits for each painting. Raises PunkError, and torch.OutOfMemoryError before that.
        """
        if not all(recipes[0].batches_with(recipe) for recipe in recipes):
            raise ValueError(f"recipes of one batch may differ in {', '.join(PER_PICTURE)} only")
        clock = Clock(self.device)
        latents = self._latents(recipes, on_step, picture, on_preview, clock)
        return self._landed(launch(self._decode, latents), clock)

    def _latents(
        self,
        recipes: Sequence[Recipe],
        on_step: OnStep | None,
        picture: Image.Image | None,
        on_preview: OnPreview | None,
        clock: Clock,
    ) -> Tensor:
        first = recipes[0]
        self.use_lora(first)
        clock.lap("lora")
        negative, guided = first.negative_prompt, first.guided
        self._pipeline.unet.guided = guided  # which its forward cannot see
        prompts = [recipe.painted_prompt for recipe in recipes]
        texts = {text: encode(self._pipeline, text, negative, guided=guided) for text in dict.fromkeys(prompts)}
        embeddings = [texts[text] for text in prompts]
        clock.lap("encode")
        self._pipeline.scheduler = make_scheduler(self._scheduler, first)
        generators = [torch.Generator("cpu").manual_seed(recipe.seed) for recipe in recipes]
        if first.steer > 0:
            steer(self._pipeline, recipes)
        latents = self._denoise(recipes, embeddings, generators, on_step, picture, on_preview)
        clock.lap("denoise")
        return latents

    def _landed(self, landings: list[Landing], clock: Clock) -> Iterator[Painted]:
        for landing in landings:
            image = landed(*landing)
            clock.add("decode")
            decode = clock.seconds.pop("decode")
            yield image, {stage: taken / len(landings) for stage, taken in clock.seconds.items()} | {"decode": decode}
            clock.start()

    def release(self) -> bool:
        """Gives the device's unused memory back, that of CUDA graphs too; whether there were any."""
        if self.device.type != "cuda":
            return False
        torch.cuda.synchronize(self.device)
        held = bool(self._graphs)
        if self._graphs is not None:
            self._graphs.clear()
        torch.cuda.empty_cache()
        return held

    @property
    def nbytes(self) -> int:
        """Memory that the weights take on the device, the LoRA's copies included."""
        return nbytes(self._pipeline) + self._lora.nbytes

    def healthy(self) -> bool:
        """Whether the device computes; one whose CUDA context broke never does again."""
        try:
            return torch.ones(2, device=self.device).sum().item() == 2
        except RuntimeError:
            return False

    def embedding_length(self, recipe: Recipe) -> int:
        """77 or 227, the sequence length of the recipe's text embeddings. Raises RecipeError past 225 tokens."""
        return embedding_length(self._pipeline, recipe.painted_prompt, recipe.negative_prompt, guided=recipe.guided)

    def use_lora(self, recipe: Recipe) -> None:
        """Fuses the recipe's LoRA at its scale; nothing happens if it is there already."""
        row = variants.variant(recipe.variant)
        if recipe.lora_scale == 0:
            self._lora.clear()
        else:
            path = weights.lora_path(row, recipe.epoch)
            if not path.is_file():
                weights.require(row, recipe.epoch)
            self._lora.fuse([(path, recipe.lora_scale)])

    def _denoise(
        self,
        recipes: Sequence[Recipe],
        embeddings: list[Embeddings],
        generators: list[torch.Generator],
        on_step: OnStep | None,
        picture: Image.Image | None,
        on_preview: OnPreview | None,
    ) -> Tensor:
        recipe = recipes[0]
        steps = recipe.painted_steps
        done = 0

        def step_end(_pipeline: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal done
            pace.step()
            # PNDM takes one step more than was asked for
            if on_step and min(index + 1, steps) > done:
                done = min(index + 1, steps)
                on_step(done, steps)
            if on_preview and index + 1 < steps:
                on_preview(preview(self._pipeline.vae, tensors["latents"][:1]))
            return tensors

        pace, pipeline = Pace(self.device), self._pipeline
        if picture is None:
            start = starting_latents(pipeline, recipes, generators, self.base.side, self.dtype)
        else:
            start = start_from(picture, self.base.side, recipe.prompt_strength)
            pipeline = from_pictures(pipeline)
        return pipeline(
            **joined(embeddings),
            **start,
            generator=generators,
            num_inference_steps=recipe.num_inference_steps,
            guidance_scale=recipe.guidance_scale,
            output_type="latent",
            callback_on_step_end=step_end,
        ).images
