"""What a painting starts from, as arguments of the pipeline: noise, or a picture that gets some."""

# diffusers is typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import Tensor

from punks.recipe import Recipe


def starting_latents(
    pipeline: Any, recipes: Sequence[Recipe], generators: list[torch.Generator], size: int, dtype: torch.dtype
) -> dict[str, Any]:
    """The noise of pictures of `size` px, on the pipeline's device; each generator is at its recipe's seed."""
    side = size // pipeline.vae_scale_factor
    shape = (1, pipeline.unet.config.in_channels, side, side)
    noises = (starting_noise(*pair, shape) for pair in zip(recipes, generators, strict=True))
    # each by itself: to convert many at once torch wakes threads, which takes a GPU's host up to 7 ms
    latents = torch.cat([noise.to(pipeline.device, dtype) for noise in noises])
    return {"latents": latents, "height": size, "width": size}


def start_from(picture: Image.Image, size: int, strength: float) -> dict[str, Any]:
    """The picture, cropped square at `size` px: pixel art stays sharp when it is enlarged, the rest becomes smooth."""
    filtered = Image.Resampling.NEAREST if max(picture.size) < size else Image.Resampling.LANCZOS
    return {"image": ImageOps.fit(picture, (size, size), filtered), "strength": strength}


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
