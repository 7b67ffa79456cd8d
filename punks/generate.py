"""The one path: recipe -> painting -> punk. Paint once, finish as often as you like."""

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks import variants
from punks.errors import ImageError, RecipeError
from punks.files import weights
from punks.files.init_image import read_init_image
from punks.files.parameters import KEY as PARAMETERS
from punks.files.parameters import parameters
from punks.files.pictures import read_picture
from punks.files.png import CELLS, OWN_TEXTS, RECIPE, read_texts, write_indexed, write_png, write_rows, write_webp
from punks.files.svg import write_svg
from punks.finish import SUFFIXES, Finish
from punks.lora.store import stack
from punks.recipe import Recipe
from punks.request import from_json, to_json
from punks.snap import Cells, PixelArt, finish_cells, restore
from punks.snap.restorers import Restorers

if TYPE_CHECKING:
    from punks.painter.warm import WarmBases

OnStep = Callable[[int, int], None]
OnPreview = Callable[[NDArray[np.uint8]], None]
RESTORERS = 8  # at most: noise takes longest to restore, and so many restore it as fast as a GPU paints
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Painting:
    """What a recipe became: RGB at the base's side. It never changes.

    `image` is None for a punk that was opened from its file: that holds the cells alone. `recipe` is None for pictures
    made elsewhere. `prompt` is the text that was painted; `seconds` this painting's share of each stage; `texts` what
    other tools wrote into its file, `warnings` what reading that lost.
    """

    recipe: Recipe | None = None
    image: Image.Image | None = None
    restored: Cells | None = None
    prompt: str = ""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()

    @functools.cached_property
    def cells(self) -> Cells:
        """What finishing needs of the painting. Raises ImageError for a picture that is not square."""
        if self.restored is not None:
            return self.restored
        if self.image is None:
            raise ImageError("a painting needs a picture or its cells")
        start = time.perf_counter()
        cells = restore(self.image, rules=self.recipe is not None and self.recipe.restoration == "rules")
        self.seconds["snap"] = time.perf_counter() - start
        return cells

    def finish(self, finish: Finish | None = None) -> "Punk":
        """The punk in the painting. Nothing is painted: milliseconds, on the CPU. Raises ImageError, RecipeError."""
        finish = (finish or Finish()).of(self.recipe)
        art, warnings = finish_cells(self.cells, finish, finish.colors_for(self.recipe))
        said = self.recipe.warnings() if self.recipe else []
        return Punk(painting=self, finish=finish, art=art, warnings=(*self.warnings, *said, *warnings))


@dataclass(frozen=True, kw_only=True, eq=False)
class Punk:
    """A finished painting. `warnings` say what was asked for and may not be as asked."""

    painting: Painting
    finish: Finish
    art: PixelArt
    warnings: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe | None:
        """What was painted; None for pictures made elsewhere."""
        return self.painting.recipe

    @functools.cached_property
    def image(self) -> Image.Image:
        """The art enlarged to `output_size`."""
        return self.art.enlarge(self.finish.output_size)

    @property
    def texts(self) -> dict[str, str]:
        """What files of it carry: recipe and finish, and what finishing again needs."""
        if self.recipe is None:
            return {}
        return {RECIPE: to_json(self.recipe, self.finish), CELLS: self.painting.cells.to_text()}

    @property
    def png_texts(self) -> dict[str, str]:
        """What PNGs of it carry: the texts of others that its file had, the recipe as other tools read it, `texts`.

        A WebP carries all but the texts of others.
        """
        texts = dict(self.painting.texts)
        if self.recipe and self.recipe.variant in variants.VARIANTS:  # else it keeps the text that it has
            texts[PARAMETERS] = parameters(self.recipe)
        return {**texts, **self.texts}

    def save(self, path: str | Path, size: int | None = None, *, indexed: bool = False) -> None:
        """Writes the picture with the recipe inside, as PNG, lossless WebP or SVG; a file of that name is replaced.

        `size` is the side in pixels, by default the finish's; `indexed` gives a PNG a color table. Raises RecipeError
        for another suffix or more colors than a table holds, ImageError.
        """
        path, size = Path(path), size or self.finish.output_size
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise RecipeError("path", str(path), f"use a file name that ends in {', '.join(SUFFIXES)}")
        if indexed and suffix != ".png":
            raise RecipeError("indexed", str(path), "only a PNG has a color table; use a name that ends in .png")
        if suffix == ".webp":
            write_webp(self.art.enlarge(size), path, self.png_texts)
        elif suffix == ".svg":
            write_svg(self.art.cells, size, path, self.texts)
        elif indexed:
            write_indexed(self.art.cells, size, path, self.png_texts)
        else:
            write_rows(*self.art.rows(size), path, self.png_texts)

    def save_painting(self, path: Path) -> None:
        """Writes the painting as a PNG with the recipe inside."""
        if self.painting.image is None:
            raise ImageError("the painting was not kept")
        write_png(self.painting.image, path, {key: text for key, text in self.png_texts.items() if key != CELLS})


def open_punk(path: Path, painting: Path | None = None, frame: int | None = None) -> Punk:
    """The punk in a file, to be finished anew: one of ours, a painting, or pixel art made elsewhere.

    `painting` is the file of its painting, where that was kept; `frame` chooses one of an animation or of several
    pages, from 0. Raises ImageError.
    """
    texts = read_texts(path)
    try:
        recipe, own = from_json(texts[RECIPE]) if RECIPE in texts else (None, Finish())
        restored = Cells.from_text(texts[CELLS]) if CELLS in texts and painting is None else None
        read = read_picture(painting or path, frame) if restored is None else None
        found = Painting(
            recipe=recipe,
            image=read and read.image,
            restored=restored,
            prompt=recipe.painted_prompt if recipe else "",
            texts={key: text for key, text in texts.items() if not key.startswith(OWN_TEXTS)},
            warnings=read.warnings if read else (),
        )
        return found.finish(own)
    except (ImageError, RecipeError) as error:
        raise ImageError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def finish(painting: Painting | Punk, finish: Finish | None = None) -> Punk:
    """The punk in a painting; a punk is finished anew. See Painting.finish."""
    return (painting.painting if isinstance(painting, Punk) else painting).finish(finish)


class Pipeline:
    """Owns the warm base models of a process. Nothing is loaded before the first recipe needs it.

    The bases used last stay warm, as many as fit in 80% of `PUNKS_VRAM_GB`, by default of the device's memory.
    """

    @functools.cached_property
    def bases(self) -> "WarmBases":
        """The warm base models, and with them torch. Raises DeviceError."""
        # threads that spin while they wait for each other bring a busy CPU to a crawl (measured: 12 times slower)
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # brings torch along, whose OpenMP reads the line above
        from punks.painter.warm import WarmBases

        return WarmBases()

    @functools.cached_property
    def restorers(self) -> Restorers | None:
        """Processes that restore paintings while a GPU paints; None where painting needs the cores."""
        spare = (os.cpu_count() or 1) - 2
        if spare < 1 or self.bases.device.type != "cuda":
            return None
        try:
            return Restorers(min(RESTORERS, spare))
        except OSError as error:
            log.warning("no process can be started to restore paintings (%s); batches take longer", error)
            return None

    def healthy(self) -> bool:
        """Whether the device of every painter still computes."""
        return "bases" not in vars(self) or self.bases.healthy()

    def paint(
        self,
        recipes: Sequence[Recipe],
        on_step: OnStep | None = None,
        image: Path | None = None,
        on_preview: OnPreview | None = None,
    ) -> Iterator[Painting]:
        """Paints recipes that differ in PER_PICTURE only, in their order, as many at once as the device likes.

        `on_step(step, steps)` counts the denoising steps of all of them; `image` is the file that the recipes start
        from, if they name one; `on_preview(cells)` sees the first one appear, uint8 (24, 24, 3). Raises PunkError.
        """
        row = recipes[0].require_variant()
        picture = read_init_image(recipes[0], image)
        if row.failed:
            log.warning("variant %s is a failed training run: %s", row.name, row.verdict)
        weights.require(row, recipes[0].epoch)
        stack(recipes[0])  # a LoRA that is missing is said before a base is loaded
        painted = self.bases.paint(recipes, on_step, picture, on_preview)
        if len(recipes) > 1 and self.restorers:
            restored = self.restorers.beside(painted, rules=recipes[0].restoration == "rules")
        else:
            restored = ((painting, seconds, None) for painting, seconds in painted)
        for recipe, (painting, seconds, cells) in zip(recipes, restored, strict=True):
            prompt = recipe.painted_prompt
            yield Painting(recipe=recipe, image=painting, restored=cells, prompt=prompt, seconds=seconds)


def paint(recipe: Recipe, on_step: OnStep | None = None, image: Path | None = None) -> Painting:
    """Paints one recipe with the process's own pipeline, which keeps its models warm for the next call.

    `image` is the file that the recipe starts from, if it names one. Raises PunkError.
    """
    return next(_pipeline().paint([recipe], on_step, image))


def generate(
    recipe: Recipe, finish: Finish | None = None, on_step: OnStep | None = None, image: Path | None = None
) -> Punk:
    """Paints one recipe and finishes it; see `paint` and Painting.finish."""
    (finish or Finish()).of(recipe)  # what cannot be finished is not painted
    return paint(recipe, on_step, image).finish(finish)


@functools.cache
def _pipeline() -> Pipeline:
    return Pipeline()
