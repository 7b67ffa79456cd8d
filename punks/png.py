"""PNG files that carry their recipe, written whole or not at all."""

import os
import tempfile
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
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                image.save(file, format="PNG", pnginfo=info, optimize=True)
                file.flush()
                os.fchmod(file.fileno(), 0o666 & ~_umask())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ImageError(f"{path}: cannot be written ({error.strerror or error})") from error


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
