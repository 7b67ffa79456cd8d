"""The picture that a painting may start from (img2img); a recipe names it by the SHA-256 of its file."""

from pathlib import Path

from PIL import Image

from punks.errors import ImageError, RecipeError
from punks.files.checksums import sha256
from punks.files.pictures import open_picture
from punks.recipe import Recipe


def picture_hash(path: Path) -> str:
    """The SHA-256 of a picture file in hex. Raises ImageError."""
    try:
        return sha256(path)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_init_image(recipe: Recipe, image: Path | None) -> Image.Image | None:
    """The RGB picture that a recipe starts from, white where it was transparent; None where it starts from noise.

    Raises RecipeError unless the file is the very one that the recipe names, ImageError if it is no picture.
    """
    if recipe.image_sha256 is None:
        if image is not None:
            raise RecipeError("image", str(image), "this recipe starts from no picture")
        return None
    if image is None or picture_hash(image) != recipe.image_sha256:
        raise RecipeError("image", image and str(image), f"give the file with the SHA-256 {recipe.image_sha256}")
    picture = open_picture(image)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")
