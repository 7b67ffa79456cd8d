"""Prompts in, exact 24x24 pixel-art portraits out."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from punks.errors import PunkError
from punks.finish import Finish
from punks.palette import Palette
from punks.recipe import Recipe
from punks.traits import Traits
from punks.variants import VARIANTS

if TYPE_CHECKING:
    from punks.files.own_variants import load_variants
    from punks.generate import Painting, Pipeline, Punk, finish, generate, open_punk, paint
    from punks.snap import PixelArt, snap

__all__ = [
    "VARIANTS",
    "Finish",
    "Painting",
    "Palette",
    "Pipeline",
    "PixelArt",
    "Punk",
    "PunkError",
    "Recipe",
    "Traits",
    "finish",
    "generate",
    "load_variants",
    "open_punk",
    "paint",
    "snap",
]


class _Package(ModuleType):
    """Imports what needs numpy and Pillow when it is first used. `generate` is the function, not its module."""


def _later(module: str, name: str) -> Any:
    return property(lambda _: getattr(import_module(module), name), lambda _, value: None)  # noqa: ARG005


if not TYPE_CHECKING:
    for name in ("Painting", "Pipeline", "Punk", "finish", "generate", "open_punk", "paint"):
        setattr(_Package, name, _later("punks.generate", name))
    _Package.load_variants = _later("punks.files.own_variants", "load_variants")
    for name in ("PixelArt", "snap"):
        setattr(_Package, name, _later("punks.snap", name))
    del name
    sys.modules[__name__].__class__ = _Package
