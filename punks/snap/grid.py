"""Where the cells lie, and how much of the picture's edges lies there."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from punks.snap.art import Floats, edges

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


def find_grid(picture: Image.Image, grid: int) -> Grid:
    """The ideal grid, or one moved and scaled a little where far more edges lie on that. Square RGB or RGBA."""
    size, thick = picture.width, max(1, picture.width // STRIPS)
    light = picture.convert("L")
    borders: list[Floats] = []
    on = total = 0.0
    moves: list[Floats] = []
    for strips in (
        np.asarray(light.reduce((thick, 1)), np.float32).T,
        np.asarray(light.reduce((1, thick)), np.float32),
    ):
        gradient = np.ascontiguousarray(2 * np.abs(strips[:, 1:] - strips[:, :-1]))
        # Edges stand out from their surroundings; the slopes of a soft picture do not.
        gradient = np.maximum(gradient - _around(gradient, round(size / grid)), 0)
        profile = np.maximum(gradient - 4 * np.median(gradient[::3]) - 4, 0).sum(0)
        found, move = _fit(profile, size, grid)
        at = np.arange(1, size)
        after = np.clip(np.searchsorted(found, at), 1, grid)
        near = np.minimum(np.abs(at - found[after - 1]), np.abs(found[after] - at)) <= 0.21 * size / grid
        caught = float(profile[near].sum())
        borders.append(found)
        on += caught
        total += float(profile.sum())
        moves.append(move)
    off = np.concatenate(moves)
    drift = float(np.median(np.abs(off))) * 512 / size if len(off) else 0.0
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
    """One and a half times the mean over about `width` along the last axis, the same to both ends."""
    half, last = width // 2, int(values.shape[1])
    if not 0 < half < last // 2:
        return 1.5 * values
    sums = np.zeros((len(values), last + 1), np.float32)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    middle = (sums[:, 2 * half + 1 :] - sums[:, : last - 2 * half]) * (1.5 / (2 * half + 1))
    first, final = (np.repeat(middle[:, end : end + 1 or None], half, axis=1) for end in (0, -1))
    return np.concatenate([first, middle, final], axis=1)
