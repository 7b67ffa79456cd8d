"""Holds a base model warm with its LoRA slot, and paints."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import inspect
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from punks import variants
from punks.files import weights
from punks.lora.store import stack
from punks.painter.cuda.graphs import choose_engine, install, join_projections
from punks.painter.decoder import Landing, Previews, landed, launch, pixels_of
from punks.painter.device import Clock, Pace, choose_device, sent
from punks.painter.encoder import Embeddings, embedding_length, encode
from punks.painter.lora import LoraStack
from punks.painter.memory import budget, enforce_limit, trim_host
from punks.painter.model import load_model
from punks.painter.noise import picture_latents, starting_noise
from punks.painter.samplers import make_scheduler
from punks.painter.steering import Steering
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
        self.model = load_model(weights.base_folder(variant), self.dtype)
        if engine is not None:
            join_projections(self.model.unet)
        self.model.place(self.device)
        if engine is not None:
            for part in (self.model.unet, self.model.vae):
                part.to(memory_format=torch.channels_last)
        trim_host()
        # where the base alone takes most of the memory, what restores it after a LoRA waits on the host
        crowded = self.model.nbytes > budget(self.device) / 2
        self._lora = LoraStack(self.model, at="cpu" if crowded else self.device)
        self._graphs = None if engine is None else install(self.model, self.device, engine)
        decode = pixels_of(self.model.vae)
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
        self.use_lora(recipes[0])
        clock.lap("lora")
        embeddings = encode(self.model, recipes)
        clock.lap("encode")
        latents = self._denoise(recipes, embeddings, on_step, picture, on_preview)
        clock.lap("denoise")
        return _landed(launch(self._decode, latents), clock)

    def _denoise(
        self,
        recipes: Sequence[Recipe],
        embeddings: Embeddings,
        on_step: OnStep | None,
        picture: Image.Image | None,
        on_preview: OnPreview | None,
    ) -> Tensor:
        """Latents (N, 4, h, w), as the pipelines of diffusers paint them."""
        recipe, unet, side = recipes[0], self.model.unet, self.base.side
        scheduler = make_scheduler(self.model.scheduler, recipe.scheduler, recipe.num_inference_steps)
        timesteps = scheduler.timesteps
        skipped = (recipe.num_inference_steps - recipe.painted_steps) * scheduler.order
        if hasattr(scheduler, "set_begin_index"):  # else it looks the first one up, and takes the second of two alike
            scheduler.set_begin_index(skipped)
        generators = [torch.Generator("cpu").manual_seed(one.seed) for one in recipes]
        if picture is None:
            shape = (1, unet.config.in_channels, side // 8, side // 8)
            noises = [starting_noise(*pair, shape) for pair in zip(recipes, generators, strict=True)]
            # each by itself: to join many torch wakes threads, which takes a GPU's host up to 7 ms
            latents = torch.cat([sent(noise, self.device) for noise in noises]).to(self.dtype)
            latents = latents * scheduler.init_noise_sigma
        else:
            if self.base.family == "sd15" and scheduler.config.get("clip_sample"):  # as diffusers' pipeline does
                scheduler.register_to_config(clip_sample=False)
            timesteps = timesteps[skipped:]
            clean = picture_latents(self.model.vae, picture, side, generators)
            noise = torch.cat([torch.randn(clean[:1].shape, generator=one, dtype=self.dtype) for one in generators])
            latents = scheduler.add_noise(clean, noise.to(self.device), timesteps[:1])
        steering = None
        if any(one.steer_rgb for one in recipes):
            steering = Steering(self.model.vae, scheduler, recipes)
        own = {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
        added = self._added_conditions(embeddings)
        unet.guided = recipe.guided  # which its forward cannot see
        pace, steps = Pace(self.device), recipe.painted_steps
        previews = on_preview and Previews(self.model.vae, on_preview)
        for done, timestep in enumerate(timesteps, 1):
            rows = torch.cat([latents, latents]) if recipe.guided else latents
            rows = scheduler.scale_model_input(rows, timestep)
            output = unet(rows, timestep, embeddings.words, added_cond_kwargs=added, return_dict=False)[0]
            if recipe.guided:
                negative, positive = output.chunk(2)
                output = negative + recipe.guidance_scale * (positive - negative)
            if steering is not None:
                output = steering(output, timestep, rows[: len(latents)])
            latents = scheduler.step(output, timestep, latents, **own, return_dict=False)[0]
            pace.step()
            if on_step and done <= steps:  # PNDM takes one step more than was asked for
                on_step(done, steps)
            if previews and done < steps:
                previews.show(latents[:1])
        return latents

    def _added_conditions(self, embeddings: Embeddings) -> dict[str, Tensor] | None:
        """What SDXL is told besides words: the pooled embeddings, and that the picture is whole at its native side."""
        if embeddings.pooled is None:
            return None
        side, rows = self.base.side, len(embeddings.pooled)
        sizes = sent(torch.tensor([[side, side, 0, 0, side, side]], dtype=self.dtype), self.device)
        return {"text_embeds": embeddings.pooled, "time_ids": sizes.repeat(rows, 1)}

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
        return self.model.nbytes + self._lora.nbytes

    def healthy(self) -> bool:
        """Whether the device computes; one whose CUDA context broke never does again."""
        try:
            return torch.ones(2, device=self.device).sum().item() == 2
        except RuntimeError:
            return False

    def embedding_length(self, recipe: Recipe) -> int:
        """77 or 227, the sequence length of the recipe's text embeddings. Raises RecipeError past 225 tokens."""
        return embedding_length(self.model, recipe)

    def use_lora(self, recipe: Recipe) -> None:
        """Fuses the recipe's LoRAs at their scales; nothing happens if they are there already."""
        row = variants.variant(recipe.variant)
        if recipe.lora_scale and not weights.lora_path(row, recipe.epoch).is_file():
            weights.require(row, recipe.epoch)
        self._lora.fuse(stack(recipe))


def _landed(landings: list[Landing], clock: Clock) -> Iterator[Painted]:
    for levels, finite, event in landings:
        image = landed(levels, finite, event)
        clock.add("decode", event)
        decode = clock.seconds.pop("decode")
        yield image, {stage: taken / len(landings) for stage, taken in clock.seconds.items()} | {"decode": decode}
        clock.start()
