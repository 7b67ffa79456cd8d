"""PNG files that carry their recipe, written whole or not at all."""

import secrets
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile, PngInfo

from punks.errors import ImageError
from punks.recipe import Recipe

KEY = "punks-recipe"


def write_png(image: Image.Image, path: Path, recipe: Recipe | None = None) -> None:
    """Writes a lossless PNG with the recipe in an iTXt chunk. A killed program leaves no file of that name."""
    info = PngInfo()
    if recipe is not None:
        info.add_itxt(KEY, recipe.to_json())
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            image.save(file, format="PNG", pnginfo=info, optimize=True)
        part.replace(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


def read_recipe(path: Path) -> Recipe:
    """The recipe inside a PNG that `write_png` made; validated like any other. Raises ImageError, RecipeError."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            assert isinstance(image, PngImageFile)
            image.load()
            text = image.text.get(KEY)
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: cannot be read as a PNG ({error})") from error
    if text is None:
        raise ImageError(f"{path}: carries no recipe; only a PNG that this program wrote does")
    return Recipe.from_json(text)
