"""Prompts in, exact 24x24 pixel-art portraits out."""

from punks.errors import PunkError
from punks.generate import Punk, Studio, generate
from punks.recipe import Recipe
from punks.snap import PixelArt, snap
from punks.variants import VARIANTS

__all__ = ["VARIANTS", "PixelArt", "Punk", "PunkError", "Recipe", "Studio", "generate", "snap"]
