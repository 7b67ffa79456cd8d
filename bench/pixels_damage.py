"""Nine ways in which a 512 px painting of 24x24 art is not that art. uint8 (24, 24, 3) -> uint8 (512, 512, 3)."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

SIDE, GRID = 512, 24
FINE = 3  # borders are placed to a third of a pixel
IDEAL = np.arange(1, GRID) * SIDE / GRID


def _render(art: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Cells with borders at given px. rows (GRID-1, GRID) by column, columns (GRID, GRID-1) by row. -> float32."""
    at = (np.arange(SIDE * FINE) + 0.5) / FINE
    home = np.minimum((at * GRID / SIDE).astype(int), GRID - 1)
    x = (at[None, :, None] > columns[:, None, :]).sum(-1)  # (row cell, fine x) -> column cell
    y = (at[:, None, None] > rows.T[None]).sum(-1)  # (fine y, column cell) -> row cell
    y = y[:, home]
    fine = art[y, x[y, np.arange(SIDE * FINE)[None]]].astype(np.float32)
    return fine.reshape(SIDE, FINE, SIDE, FINE, 3).mean((1, 3))


def _plain(art: np.ndarray) -> np.ndarray:
    at = ((np.arange(SIDE) + 0.5) * GRID / SIDE).astype(int)
    return art[at][:, at].astype(np.float32)


def _blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur in float: separable, reflected at the sides."""
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        pad = [(0, 0)] * 3
        pad[axis] = (reach, reach)
        wide = np.pad(picture, pad, mode="edge")
        picture = sum(w * np.take(wide, np.arange(SIDE) + k, axis) for k, w in enumerate(kernel))
    return picture


def _field(rng: np.random.Generator, knots: int) -> np.ndarray:
    """Smooth noise of unit standard deviation, `knots` knots a side. (512, 512, 3); half of it common to R, G, B."""
    planes = []
    for _ in range(4):
        coarse = Image.fromarray(rng.normal(size=(knots, knots)).astype(np.float32))
        planes.append(np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    mixed = np.stack([0.75 * planes[0] + 0.66 * plane for plane in planes[1:]], -1)
    return mixed / mixed.std()


def _ramps(rng: np.random.Generator, range_: np.ndarray) -> np.ndarray:
    """In each cell a slope at any angle, over so many levels (GRID, GRID, 1). -> (512, 512, 3)."""
    ramp = rng.normal(size=(2, GRID, GRID, 3))
    ramp *= range_ / np.abs(ramp).sum(0, keepdims=True).max(-1, keepdims=True)
    inside = (np.arange(SIDE) + 0.5) * GRID / SIDE % 1 - 0.5
    at = ((np.arange(SIDE) + 0.5) * GRID / SIDE).astype(int)
    return inside[:, None, None] * ramp[0][at][:, at] + inside[None, :, None] * ramp[1][at][:, at]


def _noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    return rng.normal(0, sigma, (SIDE, SIDE, 3)).astype(np.float32)


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    packed = io.BytesIO()
    Image.fromarray(_bytes(picture)).save(packed, "JPEG", quality=quality)
    return np.asarray(Image.open(packed), np.float32)


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def clean(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    return _plain(art)


def real(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As measured on real paintings: borders, blur, drift, jitter, two-tone cells and noise, in that manner."""
    columns = IDEAL[None] * rng.normal(1, 0.0008) + rng.normal(0, 0.2) + 0.36 * rng.standard_t(9, (GRID, GRID - 1))
    rows = IDEAL[:, None] * rng.normal(1, 0.0008) + rng.normal(0, 0.2) + 0.36 * rng.standard_t(9, (GRID - 1, GRID))
    cells = art.astype(np.float32)
    # Jitter: heavy-tailed, of another size in every picture and every color, least on the background.
    size = 0.45 * np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.35, (GRID, GRID, 1)))
    code = art.astype(int) @ [65536, 256, 1]
    for value in np.unique(code):
        size[code == value] *= 1 if value == code[0, 0] else 2 * np.exp(rng.normal(0, 0.3))
    common = rng.normal(size=(GRID, GRID, 1))
    cells = cells + size * (0.7 * common + 0.7 * rng.normal(size=(GRID, GRID, 3)))
    picture = _render(cells, rows, columns)
    picture += _ramps(rng, 3.4 * np.exp(rng.normal(0, 0.45)) * np.exp(rng.normal(0, 0.6, (GRID, GRID, 1))))
    picture = _blur(picture, 0.5 * np.exp(rng.normal(0, 0.33)))
    for _ in range(rng.poisson(0.0026 * GRID * GRID)):  # two-tone cells
        i, j = rng.integers(0, GRID, 2)
        near = art[np.clip(i + rng.integers(-1, 2), 0, 23), np.clip(j + rng.integers(-1, 2), 0, 23)]
        top, left = int(i * SIDE / GRID), int(j * SIDE / GRID)
        width = int(rng.uniform(0.2, 0.45) * SIDE / GRID)
        box = (slice(top, top + 21), slice(left, left + width))
        picture[box if rng.random() < 0.5 else (slice(top, top + width), slice(left, left + 21))] = near
    amplitude = 0.6 * np.exp(rng.normal(0, 0.5)) * np.exp(0.35 * _field(rng, 12)[..., :1])
    picture += amplitude * (_field(rng, int(rng.integers(18, 30))) + 0.4 * _field(rng, 5))
    return picture + _noise(rng, 0.41 * np.exp(rng.normal(0, 0.33)))


def mild(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    picture = _blur(_plain(art), rng.uniform(0.6, 1))
    picture += rng.uniform(0.8, 2.3) * _field(rng, int(rng.integers(4, 9)))
    return picture + _noise(rng, rng.uniform(2, 4))


def strong(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    cells = art.astype(np.float32)
    # Every region of the art (cells of one color in one quarter) is off by its own amount.
    code = art.astype(int) @ [65536, 256, 1] * 4 + np.add.outer(np.arange(GRID) // 12 * 2, np.arange(GRID) // 12)
    for value in np.unique(code):
        cells[code == value] += rng.normal(0, 1.5, 3)
    picture = _plain(cells)
    picture += _ramps(rng, rng.uniform(6, 10, (GRID, GRID, 1)))
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(5, 10)
    along = np.linspace(-0.5, 0.5, SIDE)
    tilt = slope * (np.cos(angle) * along[:, None] + np.sin(angle) * along[None])
    at = ((np.arange(SIDE) + 0.5) * GRID / SIDE).astype(int)
    ground = np.all(art == art[0, 0], axis=-1)[at][:, at]
    picture += (tilt * ground)[..., None]
    return _blur(picture, rng.uniform(2, 3)) + _noise(rng, 8)


def jpeg75(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    return _jpeg(_plain(art), 75)


def wobble(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = np.repeat(IDEAL[:, None] + rng.uniform(-3, 3, (GRID - 1, 1)), GRID, axis=1)
    columns = np.repeat(IDEAL[None] + rng.uniform(-3, 3, (1, GRID - 1)), GRID, axis=0)
    return _render(art, rows, columns)


def offset(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    scale = rng.uniform(0.98, 1.02)
    moved = (IDEAL - SIDE / 2) * scale + SIDE / 2
    rows = np.repeat((moved + rng.uniform(-6, 6))[:, None], GRID, axis=1)
    columns = np.repeat((moved + rng.uniform(-6, 6))[None], GRID, axis=0)
    return _render(art, rows, columns)


def speckle(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    picture = _plain(art)
    y, x = np.mgrid[:SIDE, :SIDE]
    covered = np.zeros((SIDE, SIDE), bool)
    while covered.mean() < 0.02:
        blob = np.hypot(y - rng.uniform(0, SIDE), x - rng.uniform(0, SIDE)) < rng.uniform(1, 4)
        picture[blob] = rng.integers(0, 256, 3)
        covered |= blob
    return picture


def every(art: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bit of each, then JPEG 90."""
    scale = rng.uniform(0.995, 1.005)
    moved = (IDEAL - SIDE / 2) * scale + SIDE / 2
    rows = moved[:, None] + rng.uniform(-1.5, 1.5) + rng.uniform(-0.8, 0.8, (GRID - 1, GRID))
    columns = moved[None] + rng.uniform(-1.5, 1.5) + rng.uniform(-0.8, 0.8, (GRID, GRID - 1))
    cells = art + rng.normal(0, 0.7, (GRID, GRID, 3))
    picture = _blur(_render(cells, rows, columns), rng.uniform(0.5, 1))
    picture += rng.uniform(0.8, 2.2) * _field(rng, int(rng.integers(4, 9)))
    y, x = np.mgrid[:SIDE, :SIDE]
    for _ in range(30):
        blob = np.hypot(y - rng.uniform(0, SIDE), x - rng.uniform(0, SIDE)) < rng.uniform(1, 2.5)
        picture[blob] = rng.integers(0, 256, 3)
    return _jpeg(picture + _noise(rng, rng.uniform(1, 2)), 90)


DAMAGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "clean": clean,
    "real": real,
    "mild": mild,
    "strong": strong,
    "jpeg75": jpeg75,
    "wobble": wobble,
    "offset": offset,
    "speckle": speckle,
    "all": every,
}


def damage(name: str, art: np.ndarray, seed: int) -> Image.Image:
    """One damaged painting; the same name, art and seed give the same one."""
    rng = np.random.default_rng([seed, *name.encode()])
    return Image.fromarray(_bytes(DAMAGES[name](art, rng)))
