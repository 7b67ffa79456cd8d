"""Cells to pictures, as tensors: crisp pixel art, and the soft portraits that the base model learns."""

import math

import torch
from torch import Tensor
from torch.nn import functional as fn

from training.canvas import GRID

SIDE = 512
REGIONS = {
    "background": 1,
    "skin": 2,
    "left eye": 3,
    "right eye": 3,
    "whites": 4,
    "mouth": 5,
    "teeth": 5,
    "brows": 5,
    "hair": 6,
    "beard": 7,
    "clothes": 8,
    "glasses": 9,
    "hat": 10,
    "earrings": 11,
    "necklace": 11,
    "joint": 11,
}  # 0 is the outline


def crisp(cells: Tensor) -> Tensor:
    """Nearest-neighbour enlargement on the grid at the origin: uint8 (N, 24, 24, 3) -> -1..1 (N, 3, 512, 512)."""
    centre = ((torch.arange(SIDE, device=cells.device) + 0.5) * GRID / SIDE).long()
    return (cells[:, centre][:, :, centre].permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous()


def soft(cells: Tensor, regions: Tensor, generator: torch.Generator) -> Tensor:
    """A portrait as if painted: smooth shades inside smooth contours, bent and moved off the grid.

    uint8 cells (N, 24, 24, 3) and regions (N, 24, 24) -> -1..1 (N, 3, 512, 512).
    """
    count, device = len(cells), cells.device
    color = cells.permute(0, 3, 1, 2).float() / 255
    onehot = fn.one_hot(regions.long(), max(REGIONS.values()) + 1).permute(0, 3, 1, 2).float()
    # every region's color as a field of its own, so that shades blend inside a region and never across its contour
    inside = onehot[:, :, None] * color[:, None]
    kernel = torch.tensor([1.0, 2.0, 1.0], device=device) / 4
    blurred, weight = _blur(inside.flatten(1, 2), kernel), _blur(onehot, kernel)
    field = blurred.unflatten(1, (-1, 3)) / weight[:, :, None].clamp_min(1e-6)
    field = torch.where(onehot[:, :, None] > 0, 0.75 * field + 0.25 * color[:, None], field) * (weight > 0)[:, :, None]
    spline = _spline(GRID, 5, device)
    share = torch.einsum("yi,nrij,xj->nryx", spline, onehot, spline)
    filled = (weight > 0).float()
    tint = torch.einsum("yi,nrcij,xj->nrcyx", spline, field * filled[:, :, None], spline)
    tint = tint / torch.einsum("yi,nrij,xj->nryx", spline, filled, spline)[:, :, None].clamp_min(1e-6)
    sharp = share.pow(3)
    sharp = sharp / sharp.sum(1, keepdim=True).clamp_min(1e-6)
    picture = (sharp[:, :, None] * tint).sum(1)
    figure = 1 - sharp[:, 1:2]
    grid = _warp(count, generator, device)
    both = fn.grid_sample(torch.cat([picture, figure], 1), grid, padding_mode="border", align_corners=False)
    picture, figure = both[:, :3], both[:, 3:]
    light = _waves(count, 4, generator, device)
    light = fn.interpolate(light, picture.shape[-2:], mode="bicubic", align_corners=False)
    picture = picture * (1 + light * (0.03 + 0.09 * figure))
    picture = fn.interpolate(picture, (SIDE, SIDE), mode="bicubic", align_corners=False)
    return picture.clamp(0, 1) * 2 - 1


def _blur(maps: Tensor, kernel: Tensor) -> Tensor:
    channels = maps.shape[1]
    padded = fn.pad(maps, (1, 1, 1, 1), mode="replicate")
    across = fn.conv2d(padded, kernel.view(1, 1, 1, 3).expand(channels, 1, 1, 3), groups=channels)
    return fn.conv2d(across, kernel.view(1, 1, 3, 1).expand(channels, 1, 3, 1), groups=channels)


def _spline(count: int, times: int, device: torch.device) -> Tensor:
    """Quadratic B-spline interpolation of `count` samples to `count * times`: (count * times, count)."""
    where = (torch.arange(count * times, device=device) + 0.5) / times - 0.5
    away = (where[:, None] - torch.arange(count, device=device)).abs()
    values = torch.where(away < 0.5, 0.75 - away**2, 0.5 * (1.5 - away).clamp_min(0) ** 2)
    return values / values.sum(1, keepdim=True)


def _warp(count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Sampling grids (N, 256, 256, 2): a small turn, zoom and shift, and a slow bend of half a cell."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator, device=device) * (high - low) + low

    turn, zoom = uniform(-0.07, 0.07), uniform(0.93, 1.04)
    matrix = torch.zeros(count, 2, 3, device=device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = torch.cos(turn) * zoom
    matrix[:, 0, 1], matrix[:, 1, 0] = -torch.sin(turn), torch.sin(turn)
    matrix[:, 0, 2], matrix[:, 1, 2] = uniform(-0.05, 0.05), uniform(-0.03, 0.05)
    grid = fn.affine_grid(matrix, [count, 1, SIDE // 2, SIDE // 2], align_corners=False)
    bend = torch.cat([_waves(count, 6, generator, device) for _ in range(2)], 1)
    bend = fn.interpolate(bend, (SIDE // 2, SIDE // 2), mode="bicubic", align_corners=False)
    return grid + bend.permute(0, 2, 3, 1) / GRID


def _waves(count: int, size: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Smooth noise of unit range, to be enlarged: (N, 1, size, size)."""
    return torch.randn(count, 1, size, size, generator=generator, device=device).mul(0.6).tanh() / math.tanh(1)
