"""Colors, shapes and fillings that pixel art is made up from by chance."""

import numpy as np
from numpy.typing import NDArray

from training.canvas import GRID, Mask, columns, rows

Cells = NDArray[np.uint8]


def color(rng: np.random.Generator) -> NDArray[np.float64]:
    """A color as art has them: any hue, often dark or muted."""
    if rng.random() < 0.12:
        return np.full(3, rng.uniform(0, 255)) + rng.normal(0, 4, 3)
    hue, value = rng.random(), rng.beta(1.4, 1.3)
    chroma = rng.beta(1.5, 1.6)
    wheel = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    return 255 * value * (1 - chroma * (1 - wheel))


def tones(rng: np.random.Generator, base: NDArray[np.float64] | None = None) -> Cells:
    """One to six tones of one color, from almost alike to far apart, hue-shifted. uint8 (K, 3)."""
    base = color(rng) if base is None else base
    count = int(rng.choice([1, 2, 2, 3, 3, 4, 5, 6]))
    step = np.exp(rng.normal(np.log(0.14), 0.6))
    where = np.cumsum(step * np.exp(rng.normal(0, 0.4, count)))
    where -= where[rng.integers(count)]
    shift = rng.normal(0, 18, 3) * where[:, None]
    shades = np.where(where[:, None] > 0, base + (255 - base) * where[:, None], base * (1 + where[:, None]))
    return np.clip(np.rint(shades + shift), 0, 255).astype(np.uint8)


def pattern(shades: Cells, rng: np.random.Generator) -> Cells:
    """The grid filled with tones: flat, in stripes, checks, dither, ramps, clumps or at random. (24, 24, 3)."""
    count, kind = len(shades), int(rng.integers(9))
    phase, width = int(rng.integers(4)), int(rng.integers(1, 5))
    noise = rng.random((GRID, GRID))
    smooth = field(rng, int(rng.integers(3, 9)))
    tilt = np.cos(a := rng.uniform(0, 2 * np.pi)) * rows + np.sin(a) * columns
    tilt = (tilt - tilt.min()) / np.ptp(tilt)
    ramp = tilt * count
    level = {
        0: np.zeros((GRID, GRID)),
        1: (rows * int(rng.integers(2)) + columns + phase) // width,
        2: (rows // width + columns // width) % 2 + (noise < 0.1),
        3: ramp + 0.5 * ((rows + columns) % 2),
        4: ramp + rng.uniform(0, 1) * (noise - 0.5),
        5: np.clip((smooth + 1.5) / 3, 0, 1) * count,
        6: noise * count,
        7: (noise < rng.uniform(0.03, 0.3)) * (1 + rng.integers(0, 5, (GRID, GRID))),
        8: (columns * 2 + rows // (2 + phase)) % 5 * 0.5 + (noise < 0.3),
    }[kind]
    level = np.floor(level).astype(int)
    return shades[np.clip(level, 0, count - 1) if kind in (3, 4, 5, 6) else level % count]


def field(rng: np.random.Generator, knots: int, channels: int = 0) -> NDArray[np.float64]:
    """Smooth noise of unit deviation over the cells, `knots` a side. (24, 24) or (24, 24, channels)."""
    at = (np.arange(GRID) + 0.5) / GRID * knots - 0.5
    weight = np.exp(-((at[:, None] - np.arange(-1, knots + 1)) ** 2) / 0.7)
    weight /= weight.sum(1, keepdims=True)
    coarse = rng.normal(size=(knots + 2, knots + 2, max(1, channels)))
    found = np.einsum("yi,ijc,xj->yxc", weight, coarse, weight)
    found /= found.std((0, 1)) + 1e-6
    return found if channels else found[..., 0]


def blob(rng: np.random.Generator) -> Mask:
    """Ellipses, boxes, clouds and thin strokes."""
    kind, y, x = int(rng.integers(5)), rng.uniform(2, 22), rng.uniform(3, 21)
    high, wide = rng.uniform(1, 9, 2)
    if kind == 0:
        return np.abs(rows - y) / high + np.abs(columns - x) / wide < 1.2
    if kind == 1:
        return ((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 < 1
    if kind == 2:
        return (np.abs(rows - y) < high / 2) & (np.abs(columns - x) < wide / 2)
    if kind == 3:
        return (field(rng, int(rng.integers(3, 7))) > rng.uniform(0.3, 1.3)) & (np.hypot(rows - y, columns - x) < 9)
    length = int(rng.integers(2, 9))
    line = (rows == int(y)) & (columns >= int(x)) & (columns < int(x) + length)
    return line if rng.random() < 0.5 else line.T
