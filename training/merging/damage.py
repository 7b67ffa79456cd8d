"""What painting does to pixel art, at random and wider than any painter: uint8 (24, 24, 3) -> (512, 512, 3).

Each kind of damage comes with a strength of its own; a picture's general strength moves them all.
"""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks.snap.regions import grow
from training.canvas import GRID
from training.merging.patterns import field
from training.merging.truth import Truth

SIDE = 512
CELL = SIDE / GRID
Picture = NDArray[np.float32]
SHARES = (0.2, 0.38, 0.13, 0.05, 0.24)
CALM = 0.88  # of painted and rough pictures: each cell is off by as much as any other, and light hardly runs over them
KINDS = ("exact", "painted", "demo", "shaded", "rough")


def choose(rng: np.random.Generator) -> str:
    """A kind of damage."""
    return str(rng.choice(KINDS, p=SHARES))


def damage(truth: Truth, kind: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture as a painter could have left it."""
    if kind == "exact":
        home = ((np.arange(SIDE) + 0.5) / CELL).astype(int)
        picture = truth.cells[home][:, home].astype(np.float32)
        if rng.random() < 0.35:
            picture = _specks(picture, rng, rng.uniform(0, 0.03))
        return _jpeg(picture, int(rng.integers(60, 96))) if rng.random() < 0.8 else picture.astype(np.uint8)
    force = np.exp(rng.normal(0, 0.35))
    calm = kind in ("painted", "rough") and rng.random() < CALM
    light = np.exp(rng.normal(-0.6, 0.5) if calm else rng.normal(0.7, 0.4)) * min(force, 2)
    cells = truth.cells.astype(np.float32) + _jitter(truth, kind, force, rng, calm=calm)
    if (kind == "rough" and rng.random() < 0.7) or rng.random() < 0.12:
        cells += _regional(truth.cells, rng) * rng.uniform(0.3, 3.5)
    tilt = np.cos(angle := rng.uniform(0, 2 * np.pi)) * (np.arange(GRID) / 11.5 - 1)[:, None]
    tilt = (tilt + np.sin(angle) * (np.arange(GRID) / 11.5 - 1)[None])[..., None] * _tint(rng)
    if rng.random() < (0.7 if kind == "rough" else 0.15):
        cells += tilt * truth.ground[..., None] * rng.uniform(1, 11)
    rows, columns = _borders(rng)
    ramp = rng.normal(size=(2, GRID, GRID, 3)) * np.exp(rng.normal(-0.2, 0.5, (GRID, GRID, 1)))
    ramp *= rng.uniform(0, 5) if kind == "rough" else np.exp(rng.normal(1.0 if kind == "demo" else 0.2, 0.3)) * light
    if kind == "demo":
        ramp[:, truth.ground] *= rng.uniform(0.1, 0.4)
    picture = _render(cells, ramp, rows, columns)
    if rng.random() < 0.2:  # clouds behind the figure
        home = (np.arange(SIDE) / CELL).astype(int)
        clouds = _smooth(rng, int(rng.integers(3, 9))) * np.float32(np.exp(rng.normal(0.9, 0.5)))
        picture += clouds * truth.ground[home][:, home, None]
    if rng.random() < 0.3:
        _second_tones(picture, cells, rng)
    sigma = rng.choice([rng.uniform(0.3, 0.7), rng.uniform(0.6, 1.3), rng.uniform(1.2, 3.2)], p=BLUR[kind])
    picture = blur(picture, float(sigma))
    if rng.random() < 0.3:
        picture += np.float32(rng.uniform(0, 0.15)) * (picture - blur(picture, 1.5))
    picture += _smooth(rng, int(rng.integers(4, 9))) * np.float32(np.exp(rng.normal(0, 0.3)) * light)
    picture += _smooth(rng, int(rng.integers(20, 44))) * np.float32(np.exp(rng.normal(-0.5, 0.5)) * min(force, 2))
    grain = rng.uniform(2, 10) if kind == "rough" and rng.random() < 0.8 else np.exp(rng.normal(-0.7, 0.6))
    picture += _grain(rng) * np.float32(grain)
    if rng.random() < 0.15:
        picture = _specks(picture, rng, rng.uniform(0, 0.02))
    if rng.random() < (0.4 if kind == "rough" else 0.1):
        return _jpeg(picture, int(rng.integers(70, 97)))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


BLUR = {"painted": (0.6, 0.35, 0.05), "demo": (0.6, 0.4, 0.0), "shaded": (0.5, 0.45, 0.05), "rough": (0.25, 0.3, 0.45)}


def _jitter(truth: Truth, kind: str, force: float, rng: np.random.Generator, *, calm: bool) -> NDArray[np.float64]:
    """Levels that each cell is off by: as correlated in space, as heavy-tailed, as common to R, G, B as it comes."""
    size = {"painted": 0.7, "demo": 2.2, "shaded": 0.9, "rough": 0.5}[kind] * force * np.exp(rng.normal(0, 0.25))
    if calm:
        size = np.exp(rng.uniform(np.log(0.1), np.log(1.8)))
    own = rng.normal(size=(GRID, GRID, 3))
    if not calm and rng.random() < 0.4:
        own = rng.standard_t(4, (GRID, GRID, 3)) / np.sqrt(2)
    common = rng.uniform(0, 0.9) if kind != "painted" else rng.uniform(0, 0.6)
    own = np.sqrt(1 - common) * own + np.sqrt(common) * rng.normal(size=(GRID, GRID, 1))
    smooth = rng.uniform(0.2, 0.75) if kind == "demo" else rng.choice([0.0, rng.uniform(0, 0.6)])
    own = np.sqrt(1 - smooth) * own + np.sqrt(smooth) * field(rng, int(rng.integers(8, 17)), 3)
    scale = np.full((GRID, GRID), size)
    code = truth.cells.astype(int) @ [65536, 256, 1]
    for value in np.unique(code):
        scale[code == value] *= np.exp(rng.normal(0, 0.1 if calm else 0.3))
    scale *= np.exp(rng.normal(0, rng.uniform(0, 1.0 if kind == "demo" else 0.1 if calm else 0.5), (GRID, GRID)))
    scale[truth.ground] *= rng.uniform(0.06, 0.45) if kind == "demo" else rng.uniform(0.25, 1.0)
    if kind in ("demo", "shaded"):  # paint runs where colors meet
        edge = np.zeros((GRID, GRID), bool)
        edge[:, 1:] |= code[:, 1:] != code[:, :-1]
        edge[1:] |= code[1:] != code[:-1]
        scale[grow(edge)] *= rng.uniform(1, 1.6)
    off = own * scale[..., None]
    if kind == "demo" or (not calm and rng.random() < 0.4):  # colors bleed into their neighbours
        around = np.pad(truth.cells.astype(float), ((1, 1), (1, 1), (0, 0)), mode="edge")
        around = (around[2:, 1:-1] + around[:-2, 1:-1] + around[1:-1, 2:] + around[1:-1, :-2]) / 4
        bleed = np.where(truth.ground, 0.02, 0.07 if kind == "demo" else 0.03)
        off += (around - truth.cells) * np.abs(rng.normal(0, bleed))[..., None]
    if kind == "shaded":  # light over each thing that hangs together
        code = np.where(truth.ground, -1, code >> 5)
        for value in np.unique(code):
            if value >= 0:
                where = code == value
                off[where] += (field(rng, int(rng.integers(4, 10)))[..., None] * _tint(rng) * rng.uniform(0, 3))[where]
    return off


def _tint(rng: np.random.Generator) -> NDArray[np.float64]:
    """How much of a change each channel takes: mostly of lightness."""
    tint = rng.uniform(0.6, 1) + rng.normal(0, rng.choice([0.1, 0.6]), 3)
    return tint / np.abs(tint).max()


def _regional(cells: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float64]:
    """Every region of one color is off by its own amount, up to 1 in each channel."""
    part = np.arange(GRID * GRID).reshape(GRID, GRID)
    while True:
        least = part.copy()
        for axis in (0, 1):
            low, high = [slice(None)] * 2, [slice(None)] * 2
            low[axis], high[axis] = slice(0, -1), slice(1, None)
            one, two = tuple(low), tuple(high)
            same = (cells[one] == cells[two]).all(-1)
            least[one] = np.where(same, np.minimum(least[one], least[two]), least[one])
            least[two] = np.where(same, np.minimum(least[one], least[two]), least[two])
        if (least == part).all():
            return rng.uniform(-1, 1, (GRID * GRID, 3))[part]
        part = least


def _borders(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Px of the borders: between rows (23, 24) of each column, between columns (24, 23) of each row."""
    ideal = np.arange(1, GRID) * CELL
    lines: list[NDArray[np.float64]] = []
    far = rng.random() < 0.12
    for _ in range(2):
        scale = rng.uniform(0.98, 1.02) if far else 1 + rng.normal(0, 0.0015)
        shift = rng.uniform(-6, 6) if far else rng.normal(0, 0.5)
        lines.append((ideal - SIDE / 2) * scale + SIDE / 2 + shift)
    wide = rng.random()
    off = (
        rng.uniform(0, 3) * rng.uniform(-1, 1, (2, GRID, GRID - 1))
        if wide < 0.15
        else rng.uniform(0.1, 0.7) * rng.standard_t(6, (2, GRID, GRID - 1))
    )
    return (lines[0][None] + off[0]).T, lines[1][None] + off[1]


def _render(
    cells: NDArray[np.float64], ramp: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> Picture:
    at = np.arange(SIDE) + 0.5
    home = (at / CELL).astype(int)
    inside = (at / CELL % 1 - 0.5).astype(np.float32)
    row = (at[:, None, None] > rows.T[None]).sum(-1)[:, home]  # (y, x)
    column = (at[None, :, None] > columns[:, None]).sum(-1)[row, np.arange(SIDE)[None]]
    table = np.stack([cells, ramp[0], ramp[1]]).astype(np.float32).transpose(0, 3, 1, 2)
    home = row * GRID + column
    planes = [
        color.take(home) + down.take(home) * inside[:, None] + along.take(home) * inside
        for color, down, along in table.reshape(3, 3, -1).swapaxes(0, 1)
    ]
    return np.stack(planes, -1)


def _second_tones(picture: Picture, cells: NDArray[np.float64], rng: np.random.Generator) -> None:
    """A few cells take a neighbour's color along one side."""
    for _ in range(rng.poisson(3)):
        y, x = rng.integers(1, GRID - 1, 2)
        down, along = ((0, 1), (1, 0), (0, -1), (-1, 0))[int(rng.integers(4))]
        top, left, width = int(y * CELL), int(x * CELL), int(CELL * rng.uniform(0.2, 0.45))
        rows, columns = slice(top, top + 21), slice(left, left + 21)
        if down:
            rows = slice(top, top + width) if down < 0 else slice(top + 21 - width, top + 21)
        else:
            columns = slice(left, left + width) if along < 0 else slice(left + 21 - width, left + 21)
        picture[rows, columns] = cells[y + down, x + along]


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian, the picture's sides repeated."""
    reach = max(1, int(np.ceil(2.7 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 0.15)) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for _ in range(2):
        wide = np.pad(picture, ((reach, reach), (0, 0), (0, 0)), mode="edge")
        total = kernel[reach] * picture
        for k in range(reach):
            total += kernel[k] * (wide[k : k + SIDE] + wide[2 * reach - k : 2 * reach - k + SIDE])
        picture = np.ascontiguousarray(total.swapaxes(0, 1))
    return picture


def _smooth(rng: np.random.Generator, knots: int) -> Picture:
    """Smooth noise of about unit deviation; a part of it common to R, G, B."""
    coarse = rng.normal(size=(knots, knots, 3)) + rng.uniform(0, 1.5) * rng.normal(size=(knots, knots, 1))
    coarse = (coarse / coarse.std() * 1.5).astype(np.float32)
    planes = [
        Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for plane in coarse.transpose(2, 0, 1)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


@lru_cache
def _tiles() -> tuple[Picture, Picture]:
    rng = np.random.default_rng(7)
    white = rng.standard_normal((800, 800, 3), np.float32)
    soft = white[:-1, :-1] + white[1:, :-1] + white[:-1, 1:] + white[1:, 1:]
    return white, soft / 2


def _grain(rng: np.random.Generator) -> Picture:
    tile = _tiles()[int(rng.integers(2))]
    y, x = rng.integers(0, 799 - SIDE, 2)
    return tile[y : y + SIDE, x : x + SIDE] * np.float32(rng.choice([-1, 1]))


def _specks(picture: Picture, rng: np.random.Generator, share: float) -> Picture:
    picture = picture.copy()
    for _ in range(int(share * SIDE * SIDE / 12)):
        radius = rng.uniform(0.5, 3.5)
        y, x = rng.integers(4, SIDE - 4, 2)
        down, along = np.mgrid[-3:4, -3:4]
        picture[y - 3 : y + 4, x - 3 : x + 4][down**2 + along**2 <= radius**2] = rng.integers(0, 256, 3)
    return picture


def _jpeg(picture: Picture, quality: int) -> NDArray[np.uint8]:
    packed = io.BytesIO()
    Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)).save(packed, "JPEG", quality=quality)
    return np.asarray(Image.open(packed))
