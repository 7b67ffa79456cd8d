"""What a picture of ours carries."""

from pathlib import Path

from punks import Finish, Recipe
from punks.files.png import RECIPE, read_texts
from punks.request import from_json


def recipe_in(path: Path) -> tuple[Recipe, Finish]:
    """The recipe and the finish inside a PNG or WebP."""
    return from_json(read_texts(path)[RECIPE])
