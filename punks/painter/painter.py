"""Holds a base model warm with its LoRA slot, and paints."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from punks import variants
from punks.errors import DeviceError
from punks.files import weights
from punks.painter.cuda.graphs import Graphs, choose_engine, install, join_projections
from punks.painter.decoder import Previews, decoded, pixels_of
from punks.painter.device import Clock, Pace, choose_device
from punks.painter.encoder import Embeddings, embedding_length, encode, joined
from punks.painter.loading import from_pictures, load_pipeline, nbytes, place
from punks.painter.lora import LoraStack
from punks.painter.noise import start_from, starting_latents
from punks.painter.samplers import make_scheduler
from punks.painter.steering import steer
from punks.painter.warm import budget, hold_to_limit, trim
from punks.recipe import PER_PICTURE, Recipe
from punks.variants import Variant

OnStep = Callable[[int, int], None]
OnPreview = Callable[[Any], None]
Out = TypeVar("Out")
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Paintings:
    """RGB pictures at the base's native side, to be read once, and the seconds that each stage took.

    The next picture is decoded while the last one is in use: `seconds` is whole when all are read.
    """

    images: Iterable[Image.Image]
    seconds: dict[str, float] = field(default_factory=dict[str, float])


class Painter:
    """One base model, warm on one device: half precision on CUDA, float32 elsewhere.

    Where memory runs out it calls `drop_others`, which frees what other bases hold and says whether there was any.
    """

    def __init__(
        self, variant: Variant, device: torch.device | None = None, *, drop_others: Callable[[], bool] = lambda: False
    ) -> None:
        self.device = device or choose_device()
        self._drop_others = drop_others
        self._graphs: Graphs | None = None
        self.base = variant.base
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        asked = choose_engine(self.device)
        hold_to_limit(self.device)
        self._pipeline: Any = load_pipeline(weights.base_folder(variant), self.dtype)
        self._scheduler: Any = self._pipeline.scheduler
        if asked is not None:
            join_projections(self._pipeline.unet)
        try:
            self._with_room(lambda: place(self._pipeline, self.device))
            if asked is not None:
                for model in (self._pipeline.unet, self._pipeline.vae):
                    self._with_room(lambda model=model: model.to(memory_format=torch.channels_last))
        except torch.OutOfMemoryError as error:
            raise self._out_of_memory(error, self.base.name) from error
        trim()
        # where the base alone takes most of the memory, what restores it after a LoRA waits on the host
        self._lora = LoraStack(self._pipeline, at="cpu" if self.nbytes > budget(self.device) / 2 else self.device)
        self._graphs = None if asked is None else install(self._pipeline, self.device, asked)
        pixels = pixels_of(self._pipeline.vae)
        self._pixels = pixels if self._graphs is None else self._graphs.replayed(pixels)
        # alone on a CPU every picture is as fast as in a batch, and then equals itself to the last bit
        self.batch_size = 8 if self.device.type == "cuda" else 1

    @torch.inference_mode()
    def paint(
        self,
        recipes: Sequence[Recipe],
        prompts: Sequence[str],
        on_step: OnStep | None = None,
        picture: Image.Image | None = None,
        on_preview: OnPreview | None = None,
    ) -> Paintings:
        """One painting a recipe, in one batch: they may differ in PER_PICTURE, with prompts of one `embedding_length`.

        `picture` is the RGB one that the recipes start from, of any size. `on_step(step, steps)` is called after each
        denoising step, `on_preview(cells)` with the first painting so far, uint8 (24, 24, 3). Raises PunkError.
        """
        first = recipes[0]
        if not all(first.batches_with(recipe) for recipe in recipes):
            raise ValueError(f"recipes of one batch may differ in {', '.join(PER_PICTURE)} only")
        clock = Clock(self.device)
        try:
            latents = self._with_room(lambda: self._latents(recipes, prompts, on_step, picture, clock, on_preview))
        except torch.OutOfMemoryError as error:
            if len(recipes) == 1:
                raise self._out_of_memory(error, "one picture") from error
            half = len(recipes) // 2
        else:
            return Paintings(images=self._decoded(latents, clock), seconds=clock.seconds)
        clock.settle()
        log.warning("%s has no memory for %d pictures at once; going on with %d", self.device, len(recipes), half)
        self.batch_size = half
        self._give_memory_back()
        images: list[Image.Image] = []
        for part in (slice(half), slice(half, None)):
            painted = self.paint(recipes[part], prompts[part], on_step, picture, on_preview)
            images += painted.images
            clock.seconds = {stage: clock.seconds.get(stage, 0.0) + taken for stage, taken in painted.seconds.items()}
        return Paintings(images=images, seconds=clock.seconds)

    def _latents(
        self,
        recipes: Sequence[Recipe],
        prompts: Sequence[str],
        on_step: OnStep | None,
        picture: Image.Image | None,
        clock: Clock,
        on_preview: OnPreview | None,
    ) -> Tensor:
        first = recipes[0]
        self.use_lora(first)
        clock.lap("lora")
        negative, guided = first.negative_prompt, first.guided
        self._pipeline.unet.guided = guided  # which its forward cannot see
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

    def _decoded(self, latents: Tensor, clock: Clock) -> Iterator[Image.Image]:
        pictures = decoded(lambda one: self._with_room(lambda: self._pixels(one)), latents)
        for _ in range(len(latents)):
            try:
                picture = next(pictures)
            except torch.OutOfMemoryError as error:
                raise self._out_of_memory(error, "one picture") from error
            clock.add("decode")
            yield picture
            clock.start()

    def _with_room(self, act: Callable[[], Out]) -> Out:
        """What `act` returns; out of memory it is done again without all that can be loaded or captured anew."""
        try:
            return act()
        except torch.OutOfMemoryError:
            held = self._drop_others() or bool(self._graphs)
            self._give_memory_back()
            if not held:
                raise
        log.warning("%s was out of memory; going on without other bases and earlier graphs", self.device)
        return act()

    def _out_of_memory(self, error: torch.OutOfMemoryError, what: str) -> DeviceError:
        self._give_memory_back()
        return DeviceError(
            f"{self.device} has no memory left for {what} ({str(error).splitlines()[0]}); "
            "close what else uses it, or give this program more with PUNKS_VRAM_GB"
        )

    def _give_memory_back(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        if self._graphs is not None:
            self._graphs.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def nbytes(self) -> int:
        """Memory that the weights take on the device, the LoRA's copies included."""
        return nbytes(self._pipeline) + (self._lora.nbytes if hasattr(self, "_lora") else 0)

    def healthy(self) -> bool:
        """Whether the device computes; one whose CUDA context broke never does again."""
        try:
            return torch.ones(2, device=self.device).sum().item() == 2
        except RuntimeError:
            return False

    def embedding_length(self, recipe: Recipe, prompt: str) -> int:
        """77 or 227, the sequence length of the recipe's text embeddings. Raises RecipeError past 225 tokens."""
        return embedding_length(self._pipeline, prompt, recipe.negative_prompt, guided=recipe.guided)

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
        previews, done = on_preview and Previews(self._pipeline.vae, on_preview), 0

        def step_end(_pipeline: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            nonlocal done
            pace.step()
            # PNDM takes one step more than was asked for
            if on_step and min(index + 1, steps) > done:
                done = min(index + 1, steps)
                on_step(done, steps)
            if previews and done < steps:
                previews.show(tensors["latents"][:1])
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
