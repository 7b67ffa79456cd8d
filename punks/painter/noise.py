"""What a painting starts from: noise, or a picture with noise over it."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from punks.recipe import Recipe


def starting_noise(recipe: Recipe, generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Normal noise in float32, drawn on the CPU: the same on every device and in every batch.

    `generator` is at the recipe's seed. A recipe that varies turns its noise towards that of `vary_seed`, on the great
    circle between the two (Shoemake, 1985), so that its length stays that of noise.
    """
    noise = torch.randn(shape, generator=generator)
    if recipe.vary == 0 or recipe.vary_seed is None:
        return noise
    other = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(recipe.vary_seed))
    lengths = noise.square().sum() * other.square().sum()
    angle = torch.arccos(((noise * other).sum() / lengths.sqrt()).clamp(-1, 1))
    if angle == 0:  # both seeds are the same
        return noise
    return (((1 - recipe.vary) * angle).sin() * noise + (recipe.vary * angle).sin() * other) / angle.sin()


def picture_latents(vae: Any, picture: Image.Image, side: int, generators: list[torch.Generator]) -> Tensor:
    """Latents (N, 4, h, w) of a picture, cropped square at `side` px, each drawn by its generator as diffusers does."""
    # pixel art stays sharp when it is enlarged, other pictures become smooth
    filtered = Image.Resampling.NEAREST if max(picture.size) < side else Image.Resampling.LANCZOS
    levels = np.asarray(ImageOps.fit(picture, (side, side), filtered), np.float32)
    values = 2 * torch.from_numpy(levels / 255)[None].permute(0, 3, 1, 2) - 1
    seen = vae.encode(values.to(vae.device, vae.dtype)).latent_dist
    return vae.config.scaling_factor * torch.cat([seen.sample(one) for one in generators])
