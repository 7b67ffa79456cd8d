"""The picture that a painting may start from (img2img); a recipe names it by the SHA-256 of its file."""

import logging
from pathlib import Path

from PIL import Image

from punks.errors import ImageError, RecipeError
from punks.files.checksums import sha256_once
from punks.files.pictures import local, read_picture
from punks.recipe import Recipe

log = logging.getLogger(__name__)


def picture_hash(path: Path) -> str:
    """The SHA-256 of a picture file in hex; `~` is expanded. Raises ImageError."""
    try:
        return sha256_once(local(path))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_init_image(recipe: Recipe, image: Path | None) -> Image.Image | None:
    """The RGB picture that a recipe starts from, white where it was transparent; None where it starts from noise.

    Raises RecipeError unless the file is the one that the recipe names, ImageError if it cannot be read.
    """
    if recipe.image_sha256 is None:
        if image is not None:
            raise RecipeError("image", str(image), "this recipe starts from no picture")
        return None
    if image is None or picture_hash(image) != recipe.image_sha256:
        raise RecipeError("image", image and str(image), f"give the file with the SHA-256 {recipe.image_sha256}")
    found = read_picture(image)
    for warning in found.warnings:
        log.warning("%s: %s", image.name, warning)
    if found.image.mode == "RGB":
        return found.image
    return Image.alpha_composite(Image.new("RGBA", found.image.size, "white"), found.image).convert("RGB")
