"""Where the cells lie, and how much of the picture's edges lies there."""

from dataclasses import dataclass

import numpy as np

from punks.snap.art import Bytes, Floats, edges

OFFSETS = np.arange(-8, 9) * 0.75  # px of a 512 px picture
SCALES = np.linspace(0.98, 1.02, 9)
GAIN = 1.25  # a moved grid must catch this much more of the edges than the ideal one
STRIPS = 48  # averaged over, so that noise does not pass for edges


@dataclass(frozen=True)
class Grid:
    """Borders in px: rows and columns (grid + 1,), the share of edges near them 0-1, displacement in px of 512."""

    rows: Floats
    columns: Floats
    share: float
    drift: float


def find_grid(pixels: Bytes, grid: int) -> Grid:
    """The ideal grid, or one moved and scaled a little where far more edges lie on that. RGB uint8 (S, S, 3)."""
    light = pixels[..., 1].astype(np.int16)
    light += (pixels[..., 0].astype(np.int16) + pixels[..., 2]) // 2
    borders: list[Floats] = []
    on = total = 0.0
    moves: list[Floats] = []
    for axis in (0, 1):
        lines = light if axis else light.T
        strips = np.add.reduceat(lines, edges(len(light), min(STRIPS, len(light)))[:-1], axis=0, dtype=np.int32)
        gradient = np.abs(np.diff(strips, axis=1)) * (STRIPS / len(light))
        # Edges stand out from their surroundings; the slopes of a soft picture do not.
        gradient = np.maximum(gradient - _around(gradient, round(len(light) / grid)), 0)
        profile = np.maximum(gradient - 4 * np.median(gradient) - 4, 0).sum(0)
        found, move = _fit(profile, len(light), grid)
        near = np.abs(np.arange(1, len(light))[:, None] - found).min(1) <= 0.21 * len(light) / grid
        caught = float(profile[near].sum())
        borders.append(found)
        on += caught
        total += float(profile.sum())
        moves.append(move)
    off = np.concatenate(moves)
    drift = float(np.median(np.abs(off))) * 512 / len(light) if len(off) else 0.0
    return Grid(borders[0], borders[1], on / total if total else 0.0, drift)


def _fit(profile: Floats, size: int, grid: int) -> tuple[Floats, Floats]:
    ideal = edges(size, grid).astype(np.float64)
    unit = size / 512
    reach = max(0, round(2 * unit))
    mass = np.convolve(profile, np.ones(2 * reach + 1), "same")
    middle = size / 2
    moved = ((ideal - middle) * SCALES[:, None] + middle)[None] + (OFFSETS * unit)[:, None, None]
    moved = moved.reshape(-1, grid + 1)
    # profile[k] is the step between pixels k and k + 1: a border at x shows at x - 1.
    score = mass[np.clip(np.rint(moved[:, 1:-1]) - 1, 0, size - 2).astype(int)].sum(1)
    here = float(mass[ideal[1:-1].astype(int) - 1].sum())
    best = int(np.argmax(score))
    lines = ideal
    if size >= 4 * grid and score[best] > GAIN * here:
        lines = np.clip(moved[best], 0, size)
    near = np.clip(ideal[1:-1].astype(int)[:, None] - 1 + np.arange(-2 * reach, 2 * reach + 1), 0, size - 2)
    peaks = profile[near]
    strong = peaks.max(1) > 0.1 * profile.max() if profile.any() else np.zeros(grid - 1, bool)
    weight = np.maximum(peaks - 0.3 * peaks.max(1, keepdims=True), 0)
    centre = (weight * np.arange(-2 * reach, 2 * reach + 1)).sum(1) / np.maximum(weight.sum(1), 1e-9)
    return lines, centre[strong]


def _around(values: Floats, width: int) -> Floats:
    """Mean over `width` along the last axis, shorter at the ends."""
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.arange(int(values.shape[1]))
    low, high = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, values.shape[1])
    return 1.5 * (sums[:, high] - sums[:, low]) / (high - low)
