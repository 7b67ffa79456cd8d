"""What each cell holds: its blocks, the one color most of it has, and how flat it is."""

import numpy as np

from punks.snap.art import Bytes, Floats, Ints
from punks.snap.grid import Grid

BLOCKS = 8  # a side of a cell, of 3x3 samples
CORE = slice(2, 6)  # blocks that a border moved by 5 px of 21 does not reach
WIDE, STEP = 16, 0.56 / 12  # lines of a cell about its middle, in steps of so much of it, for cells with specks
SPECK = 12.0  # levels between blocks of one cell that no noise explains
ODD = 5.0  # so many times the spread of half the cells is no noise either


def sample(pixels: Bytes, grid: Grid) -> Floats:
    """Every cell as blocks, each the mean of 3x3 samples. (S, S, C) -> float32 (grid, grid, BLOCKS, BLOCKS, C)."""
    high, middle, low = (pixels[row] for row in _across(grid.rows).reshape(-1, 3).T)
    thin = high.astype(np.uint16) + middle + low
    left, centre, right = (np.take(thin, column, axis=1) for column in _across(grid.columns).reshape(-1, 3).T)
    side = len(grid.rows) - 1
    sums = (left + centre + right).reshape(side, BLOCKS, side, BLOCKS, -1)
    return (sums / np.float32(9)).transpose(0, 2, 1, 3, 4)


def _across(borders: Floats) -> Ints:
    low, high = borders[:-1, None], borders[1:, None]
    at = low + (high - low) * ((np.arange(3 * BLOCKS) + 0.5) / (3 * BLOCKS))
    return np.clip(at, 0, borders[-1] - 1).astype(np.intp).ravel()


def settle(pixels: Bytes, grid: Grid, blocks: Floats) -> tuple[Floats, Floats]:
    """The color most of a cell has: mean of the core blocks near their median. -> (g, g, 3), spread (g, g) in levels.

    Plain medians stay whole numbers and spoil comparisons; a mean alone would take in specks and second tones.
    Where blocks stand far apart, specks spoil even their median, and the pixels themselves are asked.
    """
    core = blocks[:, :, CORE, CORE, :3].transpose(0, 1, 4, 2, 3)
    off, spread, cells = _near_median(core.reshape(*core.shape[:3], -1))
    row, column = np.nonzero((np.count_nonzero(off > SPECK, axis=2) >= 2) | (spread > ODD * np.median(spread) + 0.5))
    if len(row):
        down = _inside(grid.rows)[row]
        along = _inside(grid.columns)[column]
        near = pixels[down[:, :, None], along[:, None, :], :3].reshape(1, len(row), -1, 3)
        _, own, mended = _near_median(np.ascontiguousarray(near.swapaxes(2, 3), np.float32))
        cells[row, column], spread[row, column] = mended[0], own[0]
    return cells, spread


def _inside(borders: Floats) -> Ints:
    low, high = borders[:-1, None], borders[1:, None]
    step = STEP * (high - low)
    step = np.where(step > 0.9, np.rint(step), step)
    at = (low + high) / 2 + step * (np.arange(WIDE) - (WIDE - 1) / 2)
    return np.clip(at, 0, borders[-1] - 1).astype(np.intp)


def _near_median(values: Floats) -> tuple[Floats, Floats, Floats]:
    """(A, B, 3, N) -> distance from the median (A, B, N), its median (A, B), mean of the nearer values (A, B, 3)."""
    half = values.shape[3] // 2
    away = np.abs(values - np.sort(values, axis=3)[..., half - 1 : half + 1].mean(3, keepdims=True))
    off = np.maximum(np.maximum(away[:, :, 0], away[:, :, 1]), away[:, :, 2])
    spread = np.sort(off, axis=2)[:, :, half - 1]
    weight = (off <= np.maximum(2.5 * spread, 0.01)[..., None]).astype(np.float32)
    return off, spread, (values @ weight[..., None])[..., 0] / weight.sum(2)[..., None]


def flatness(blocks: Floats) -> float:
    """How much flatter cells are than squares half a cell aside: 1 for pixel art, about 0 without a grid.

    Soft pictures, photos and noise vary as much about the middle of a cell as about its border, whatever their edges.
    """
    light = (blocks[..., 0] + blocks[..., 1] + blocks[..., 2]).transpose(0, 2, 1, 3).reshape(BLOCKS * len(blocks), -1)
    half = BLOCKS // 2
    aside = (_spread(light[half:-half]) + _spread(light[:, half:-half])) / 2
    return 1 - _spread(light) / aside if aside > 0 else 0.0


def _spread(light: Floats) -> float:
    """Mean squared distance of a core's blocks from their median, each core's by its median block."""
    core = light.reshape(len(light) // BLOCKS, BLOCKS, -1, BLOCKS)[:, CORE, :, CORE].transpose(0, 2, 1, 3)
    core = np.sort(core.reshape(*core.shape[:2], -1), axis=2)
    half = core.shape[2] // 2
    off = np.sort(np.abs(core - core[..., half : half + 1]), axis=2)[..., half]
    return float((off**2).mean())
