"""The one path: recipe -> painting -> pixel art -> enlarged picture."""

import dataclasses
import functools
import itertools
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from punks import variants
from punks.errors import RecipeError
from punks.files import weights
from punks.files.init_image import starting_picture
from punks.files.palettes import parse_palette
from punks.files.png import write_art, write_webp
from punks.prompts import complete, hex_colors
from punks.recipe import Recipe, explicit_palette
from punks.snap import PixelArt, snap
from punks.snap.art import palette_of as palette_of_cells
from punks.snap.color import nearest
from punks.snap.portrait import read, repaint_eyes

if TYPE_CHECKING:
    from punks.painter.painter import Painter

OnStep = Callable[[int, int], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Punk:
    """What a recipe became. `painting` is RGB at the base's side.

    `prompt` is the text that was painted, template included; `seconds` its share of what each stage took; `warnings`
    say what was asked for and may not be as asked.
    """

    recipe: Recipe
    prompt: str
    painting: Image.Image
    art: PixelArt
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    warnings: tuple[str, ...] = ()

    @functools.cached_property
    def image(self) -> Image.Image:
        """The art enlarged to `output_size`."""
        return self.art.enlarge(self.recipe.output_size)

    def save(self, path: str | Path) -> None:
        """Writes `image` with the recipe inside, as PNG or lossless WebP; a file of that name is replaced.

        Raises RecipeError for a name that ends in neither, ImageError if it cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() == ".png":
            write_art(self.art, self.recipe.output_size, path, self.recipe)
        elif path.suffix.lower() == ".webp":
            write_webp(self.image, path, self.recipe)
        else:
            raise RecipeError("path", str(path), "use a file name that ends in .png or .webp")


@dataclass(frozen=True, kw_only=True, eq=False)
class Painted:
    """A painting, RGB at the base's side, and what it was painted from; the fields are those of Punk."""

    recipe: Recipe
    prompt: str
    painting: Image.Image
    seconds: dict[str, float]

    def punk(self) -> Punk:
        """The punk in the painting: restored, on the CPU."""
        start = time.perf_counter()
        art, warnings = restore(self.painting, self.recipe)
        return Punk(
            recipe=self.recipe,
            prompt=self.prompt,
            painting=self.painting,
            art=art,
            seconds={**self.seconds, "snap": time.perf_counter() - start},
            warnings=(*notices(self.recipe), *warnings),
        )


class Studio:
    """Owns the warm base models of a process. Nothing is loaded before the first recipe needs it.

    Bases used last stay, as many as fit in 80% of `PUNKS_VRAM_GB`, by default of the device's memory.
    """

    def __init__(self) -> None:
        self._painters: OrderedDict[str, Painter] = OrderedDict()

    def painter(self, variant: str, epoch: int | None = None) -> "Painter":
        """The warm painter of a variant's base, loaded on first use. Raises WeightsError, DeviceError."""
        row = variants.variant(variant)
        if row.base.name not in self._painters:
            weights.require(row, epoch or row.epoch)
            # threads that spin while they wait for each other bring a busy CPU to a crawl (measured: 12 times slower)
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            # both bring torch along, whose OpenMP reads the line above
            from punks.painter.painter import Painter
            from punks.painter.warm import drop_others, make_room

            make_room(self._painters, row)
            alone = functools.partial(drop_others, self._painters, row.base.name)
            self._painters[row.base.name] = Painter(row, drop_others=alone)
        self._painters.move_to_end(row.base.name)
        return self._painters[row.base.name]

    def healthy(self) -> bool:
        """Whether the device of every painter still computes."""
        return all(painter.healthy() for painter in list(self._painters.values()))

    def generate(self, recipe: Recipe, on_step: OnStep | None = None, image: Path | None = None) -> Punk:
        """Paints one recipe."""
        return next(self.generate_all([recipe], on_step, image))

    def generate_all(
        self, recipes: Sequence[Recipe], on_step: OnStep | None = None, image: Path | None = None
    ) -> Iterator[Punk]:
        """Paints recipes that differ in PER_PICTURE only, in their order, as many at once as the device likes.

        `on_step(step, steps)` counts the denoising steps of all of them; `image` is the file that the recipes start
        from, if they name one. Raises PunkError.
        """
        return (painted.punk() for painted in self.paint_all(recipes, on_step, image))

    def paint_all(
        self, recipes: Sequence[Recipe], on_step: OnStep | None = None, image: Path | None = None
    ) -> Iterator[Painted]:
        """As `generate_all`, for who restores the paintings while the device paints on."""
        for recipe in recipes:
            palette_of(recipe)
        picture = starting_picture(recipes[0], image)
        row = variants.variant(recipes[0].variant)
        if row.failed:
            log.warning("variant %s is a failed training run: %s", row.name, row.verdict)
        painter = self.painter(row.name, recipes[0].epoch)
        pairs = [(one, painted_prompt(one)) for one in recipes]
        groups = list(_batches(pairs, painter))
        for done, group in enumerate(groups):
            report = on_step and functools.partial(_count, on_step, done, len(groups))
            paintings = painter.paint([recipe for recipe, _ in group], [prompt for _, prompt in group], report, picture)
            decoded = 0.0
            for (recipe, prompt), painting in zip(group, paintings.images, strict=True):
                seconds = {stage: total / len(group) for stage, total in paintings.seconds.items()}
                seconds["decode"], decoded = paintings.seconds["decode"] - decoded, paintings.seconds["decode"]
                yield Painted(recipe=recipe, prompt=prompt, painting=painting, seconds=seconds)


def _batches(pairs: Sequence[tuple[Recipe, str]], painter: "Painter") -> Iterator[list[tuple[Recipe, str]]]:
    """Runs of neighbours whose prompts encode to one length, as many as the painter takes at once."""
    for _, run in itertools.groupby(pairs, key=lambda pair: painter.embedding_length(*pair)):
        group = list(run)
        for start in range(0, len(group), painter.batch_size):
            yield group[start : start + painter.batch_size]


def painted_prompt(recipe: Recipe) -> str:
    """The text that is painted: the prompt, completed unless the recipe says not to."""
    return complete(recipe.prompt) if recipe.template else recipe.prompt


def notices(recipe: Recipe) -> list[str]:
    """What a recipe says in words that may not mean it, or that nothing can follow."""
    found = [] if recipe.traits is None else recipe.traits.notices()
    if recipe.traits is not None and recipe.prompt != recipe.traits.caption():
        found.append("prompt: it has the last word, and does not say the traits as they are given")
    if recipe.steer > 0 and recipe.background_rgb is None:
        found.append(f"steer: with the background {recipe.background!r} there is no colour to go to")
    return found


def restore(painting: Image.Image, recipe: Recipe) -> tuple[PixelArt, list[str]]:
    """The 24x24 pixel art of a painting as the recipe asks for it, and what of that could not be done."""
    palette = palette_of(recipe)
    art = snap(painting, palette=palette, colors=recipe.colors, background=recipe.background)
    warnings: list[str] = []
    if recipe.background != "keep" and not art.background.any():
        warnings.append(f"background: none was found that could become {recipe.background}; it stays as painted")
    if recipe.eyes != "keep":
        # what eyes there are is seen in the painting's own colours; a palette holds for irises, too
        own = art if palette is None else snap(painting, colors=recipe.colors, background=recipe.background)
        cells = repaint_eyes(own, recipe.eyes)
        if cells is not None and palette is not None:
            iris, table = (cells != own.cells).any(-1), parse_palette(palette)
            colours = table[nearest(cells[iris, :3], table)]
            cells = art.cells.copy()
            cells[iris, :3] = colours
        if cells is not None:
            art = dataclasses.replace(art, cells=cells, palette=palette_of_cells(cells))
        sure = cells is not None and palette is None
        if not sure and ((eyes := read(art).eyes) is None or eyes.name != recipe.eyes):
            why = "no two were found for sure" if cells is None else "the palette has no colour"
            warnings.append(f"eyes: {why} that could become {recipe.eyes}; they stay as painted")
    return art, warnings


def palette_of(recipe: Recipe) -> Sequence[str | Sequence[int]] | None:
    """The colours that a recipe allows, None for all. Raises RecipeError if the prompt names none."""
    if recipe.palette != "prompt":
        palette = explicit_palette(recipe.palette)
        return None if palette is None else palette.tolist()
    if not (named := hex_colors(recipe.prompt)):
        raise RecipeError("palette", "prompt", "it takes the hex colours in the prompt, and there are none in it")
    return named


def generate(recipe: Recipe, on_step: OnStep | None = None, image: Path | None = None) -> Punk:
    """Paints one recipe with the process's own studio, which keeps its models warm for the next call.

    `image` is the file that the recipe starts from, if it names one. Raises PunkError.
    """
    return _studio().generate(recipe, on_step, image)


@functools.cache
def _studio() -> Studio:
    return Studio()


def _count(on_step: OnStep, done: int, groups: int, step: int, steps: int) -> None:
    on_step(done * steps + step, groups * steps)
