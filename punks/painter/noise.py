"""The noise that a painting starts from."""

import torch
from torch import Tensor

from punks.recipe import Recipe


def starting_noise(recipe: Recipe, generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Normal noise in float32, drawn on the CPU: the same on every device and in every batch.

    `generator` is at the recipe's seed. A recipe that varies turns its noise towards that of `vary_seed`, on the great
    circle between the two (Shoemake, 1985), so that it stays as long as noise is.
    """
    noise = torch.randn(shape, generator=generator)
    if recipe.vary == 0 or recipe.vary_seed is None:
        return noise
    other = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(recipe.vary_seed))
    lengths = noise.square().sum() * other.square().sum()
    angle = torch.arccos(((noise * other).sum() / lengths.sqrt()).clamp(-1, 1))
    if angle == 0:  # the other seed is the same one
        return noise
    return (((1 - recipe.vary) * angle).sin() * noise + (recipe.vary * angle).sin() * other) / angle.sin()
