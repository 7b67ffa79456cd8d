"""Steers a painting's background towards a color while it is painted.

At each noisy step the model's idea of the finished latents is read out of its prediction; what looks like its border,
and hangs together with it, is replaced by the latents of the color, and the prediction is changed to say so. The model
then paints on from a background that has the color. All is arithmetic on the device, each picture for itself.
"""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from punks.recipe import Recipe
from punks.vocabulary import Color

ALIKE = 0.7  # of the picture's spread: latents this far from the border's are not background
LAST = 0.3  # of the noise left: from here on the model finishes the picture alone


class Steering:
    """Pulls each picture of a batch towards its recipe's `steer_rgb`."""

    def __init__(self, vae: Any, scheduler: Any, recipes: Sequence[Recipe]) -> None:
        self._targets, self._strengths = _targets(vae, recipes)
        self._levels: list[float] = scheduler.alphas_cumprod.tolist()
        self._velocity = scheduler.config.prediction_type == "v_prediction"
        self._first: Tensor | None = None

    def __call__(self, output: Tensor, timestep: Tensor, noisy: Tensor) -> Tensor:
        """The prediction for noisy latents, changed. (N, C, h, w), (), (N, C, h, w) -> (N, C, h, w)."""
        # some samplers have timesteps between two whole ones
        level = self._levels[round(float(timestep))]
        signal, noise = level**0.5, (1 - level) ** 0.5
        if noise <= LAST:
            return output
        clean = signal * noisy - noise * output if self._velocity else (noisy - noise * output) / signal
        now = _border(clean)
        self._first = now if self._first is None else self._first
        # what was background at first still is, even where it has changed since
        background = _reached(torch.maximum(_like(clean, now), _like(clean, self._first)))
        change = self._strengths * background * (self._targets - clean)
        return output - change * (1 / noise if self._velocity else signal / noise)


def _border(clean: Tensor) -> Tensor:
    """The median latents of the upper edge and of the upper halves of both sides. (N, C, h, w) -> (N, C, 1, 1)."""
    height, width = clean.shape[-2:]
    edge = max(1, height // 24)
    beside = clean[..., : height // 2, :]
    parts = (clean[..., :edge, :], beside[..., :edge], beside[..., width - edge :])
    return torch.cat([part.flatten(2) for part in parts], 2).median(2).values[..., None, None]


def _like(clean: Tensor, border: Tensor) -> Tensor:
    """How much each latent looks like the border, 1 to 0. (N, C, h, w) -> (N, 1, h, w)."""
    away = (clean - border).square().mean(1, keepdim=True)
    return (1 - away / (ALIKE**2 * away.mean((2, 3), keepdim=True))).clamp(0, 1)


def _reached(like: Tensor) -> Tensor:
    """How much of that leads all the way to the upper edge or a side: the least on the best way. (N, 1, h, w)."""
    reached = torch.zeros_like(like)
    reached[..., 0, :], reached[..., 0], reached[..., -1] = like[..., 0, :], like[..., 0], like[..., -1]
    for _ in range(like.shape[-1]):
        reached = torch.minimum(like, functional.max_pool2d(reached, 3, 1, 1))
    return reached


def _targets(vae: Any, recipes: Sequence[Recipe]) -> tuple[Tensor, Tensor]:
    """Latents of the colors (N, C, 1, 1), and how strongly each picture is steered (N, 1, 1, 1), 0 without one."""
    colors = [recipe.steer_rgb or (0, 0, 0) for recipe in recipes]
    found: dict[Color, Tensor] = {}
    for color in dict.fromkeys(colors):
        flat = torch.tensor(color, device=vae.device, dtype=vae.dtype).div(127.5).sub(1).view(1, 3, 1, 1)
        latents = vae.encode(flat.expand(1, 3, vae.config.sample_size, vae.config.sample_size)).latent_dist.mean
        found[color] = latents.mean((2, 3), keepdim=True) * vae.config.scaling_factor
    strengths = [0.0 if recipe.steer_rgb is None else recipe.steer for recipe in recipes]
    return torch.cat([found[color] for color in colors]), found[colors[0]].new_tensor(strengths).view(-1, 1, 1, 1)
