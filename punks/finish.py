"""A finish: how a painting becomes a punk. Finishing never paints."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from punks.errors import RecipeError
from punks.fields import check, setting
from punks.palette import MAX_COLORS, Palette, background_color, hex_codes, hex_of
from punks.recipe import Recipe
from punks.vocabulary import EYES, Color

BACKGROUNDS = ("keep", "solid", "transparent")
SIZES = (24, 4096)
SUFFIXES = (".png", ".webp", ".svg")  # of files that a punk can be saved to
_LONGEST = 5000  # characters of a palette: 576 hex codes with commas have 4,607


@dataclass(frozen=True, kw_only=True)
class Finish:
    """Everything that decides how a painting is finished.

    `palette` may be given as text or a sequence of colors. Fields left at None follow the traits of the painting's
    recipe, see `of`. Raises RecipeError naming the field, its value and what is allowed.
    """

    palette: Palette | str = setting(  # noqa: RUF009 - it is dataclasses.field
        "auto, prompt (the hex codes in the prompt), or colors separated by commas.", "auto", max_length=_LONGEST
    )
    colors: int | None = setting("Largest number of colors.", None, ge=2, le=MAX_COLORS)
    background: str | None = setting(
        "keep, solid, transparent, or a color (name or #rrggbb); by default as the traits say.", None, max_length=40
    )
    eyes: str | None = setting(
        "keep, or the color of the eyes; by default as the traits say.", None, choices=("keep", *EYES)
    )
    dither: bool = setting("Ordered dithering; needs a palette.", False)
    output_size: int = setting("Side of the enlarged picture in pixels.", 1024, ge=SIZES[0], le=SIZES[1])

    def __post_init__(self) -> None:
        if self.palette not in ("auto", "prompt") and len(str(self.palette)) <= _LONGEST:
            object.__setattr__(self, "palette", Palette.parse(self.palette))
        if self.eyes == "grey":
            object.__setattr__(self, "eyes", "gray")
        check(self)
        if self.background not in (None, *BACKGROUNDS):
            if (color := background_color(self.background)) is None:
                way = f"use {', '.join(BACKGROUNDS)}, a hex code such as #6ae745, or a color name such as teal"
                raise RecipeError("background", self.background, way)
            object.__setattr__(self, "background", hex_of(color))
        if self.dither and self.palette == "auto":
            raise RecipeError("dither", True, "give the palette to dither with")

    @property
    def background_rgb(self) -> Color | None:
        """The color that the background gets, RGB 0-255; None where it gets none."""
        return None if self.background in (None, *BACKGROUNDS) else background_color(self.background)

    def of(self, recipe: Recipe | None) -> "Finish":
        """The finish for a painting of this recipe, with no background or eyes left at None. Raises RecipeError."""
        self.colors_for(recipe)
        values: dict[str, Any] = {}
        traits = recipe.traits if recipe else None
        if self.background is None:
            color = traits.background_color if traits else None
            values["background"] = hex_of(color) if color else "keep"
        if self.eyes is None:
            eyes = ((traits and traits.eyes) or "").lower().removesuffix("eyes").strip().replace("grey", "gray")
            values["eyes"] = eyes if eyes in EYES else "keep"
        return dataclasses.replace(self, **values) if values else self

    def colors_for(self, recipe: Recipe | None) -> Palette | None:
        """The palette for a painting of this recipe; None to find one. Raises RecipeError if the prompt names none."""
        if isinstance(self.palette, Palette):
            return self.palette
        if self.palette == "auto":
            return None
        if not (named := hex_codes(recipe.prompt if recipe else "")):
            raise RecipeError("palette", "prompt", "there is no hex code such as #6ae745 in the prompt")
        return Palette(tuple(named))
