"""The one path: recipe -> painting -> pixel art -> enlarged picture."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from punks import variants, weights
from punks.errors import RecipeError
from punks.prompts import complete, hex_colors
from punks.recipe import Recipe, explicit_palette
from punks.snap import PixelArt, snap

if TYPE_CHECKING:
    from punks.pipeline import Painter

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Punk:
    """What a recipe became. `painting` is RGB at the base's side, `image` the art enlarged to `output_size`.

    `prompt` is the text that was painted, template included; `seconds` what each stage took (a batch shares them).
    """

    recipe: Recipe
    prompt: str
    painting: Image.Image
    art: PixelArt
    image: Image.Image
    seconds: dict[str, float] = field(default_factory=dict[str, float])


class Studio:
    """Owns the warm base models of a process. Nothing is loaded before the first recipe needs it."""

    def __init__(self) -> None:
        self._painters: dict[str, Painter] = {}

    def painter(self, variant: str, epoch: int | None = None) -> "Painter":
        """The warm painter of a variant's base, loaded on first use. Raises WeightsError, DeviceError."""
        row = variants.variant(variant)
        if row.base.name not in self._painters:
            weights.require(row, epoch or row.epoch)
            from punks.pipeline import Painter  # brings torch along

            self._painters[row.base.name] = Painter(row)
        return self._painters[row.base.name]

    def generate(self, recipe: Recipe, on_step: OnStep | None = None) -> Punk:
        """Paints one recipe."""
        return next(self.generate_all([recipe], on_step))

    def generate_all(self, recipes: Sequence[Recipe], on_step: OnStep | None = None) -> Iterator[Punk]:
        """Paints recipes that differ in prompt and seed only, in their order, as many at once as the device likes.

        `on_step(step, steps)` counts the denoising steps of all of them. Raises PunkError.
        """
        for recipe in recipes:
            palette_of(recipe)
        painter = self.painter(recipes[0].variant, recipes[0].epoch)
        size = painter.batch_size
        groups = [recipes[i : i + size] for i in range(0, len(recipes), size)]
        for done, group in enumerate(groups):
            report = on_step and functools.partial(_count, on_step, done, len(groups))
            prompts = [complete(recipe.prompt) if recipe.template else recipe.prompt for recipe in group]
            paintings = painter.paint(group, prompts, report)
            for recipe, prompt, painting in zip(group, prompts, paintings.images, strict=True):
                start = time.perf_counter()
                art = restore(painting, recipe)
                image = art.enlarge(recipe.output_size)
                seconds = {**paintings.seconds, "snap": time.perf_counter() - start}
                yield Punk(recipe=recipe, prompt=prompt, painting=painting, art=art, image=image, seconds=seconds)


def restore(painting: Image.Image, recipe: Recipe) -> PixelArt:
    """The 24x24 pixel art of a painting, with the recipe's palette, colours and background."""
    return snap(painting, palette=palette_of(recipe), colors=recipe.colors, background=recipe.background)


def palette_of(recipe: Recipe) -> Sequence[str | Sequence[int]] | None:
    """The colours that a recipe allows, None for all. Raises RecipeError if the prompt names none."""
    if recipe.palette != "prompt":
        palette = explicit_palette(recipe.palette)
        return None if palette is None else palette.tolist()
    if not (named := hex_colors(recipe.prompt)):
        raise RecipeError("palette", "prompt", "it takes the hex colours in the prompt, and there are none in it")
    return named


def generate(recipe: Recipe, on_step: OnStep | None = None) -> Punk:
    """Paints one recipe with the process's own studio, which keeps its models warm for the next call."""
    return _studio().generate(recipe, on_step)


@functools.cache
def _studio() -> Studio:
    return Studio()


def _count(on_step: OnStep, done: int, groups: int, step: int, steps: int) -> None:
    on_step(done * steps + step, groups * steps)
