"""Pixel art whose colours are known: portraits of the project's generator, recoloured, and art made up by chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from punks.snap.color import ciede2000, lab
from punks.snap.regions import grow, reach
from training.canvas import GRID, Mask, columns, rows
from training.portraits import draw, sample

Cells = NDArray[np.uint8]
STEP = 4.0  # CIEDE2000 over which the background is followed from the border
DEEP = ((0, 0, 0), (20, 12, 12), (12, 12, 14), (26, 20, 30), (8, 4, 2), (34, 26, 22))


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """cells uint8 (24, 24, 3); ground: all of the backdrop; mask: what of it hangs together from the border's main
    colour; plain: the backdrop is one colour."""

    cells: Cells
    ground: Mask
    mask: Mask
    plain: bool


def make(rng: np.random.Generator, *, drawn: bool = False) -> Truth:
    """One picture; `drawn`, a portrait of the generator as it is."""
    roll = rng.random()
    if drawn:
        portrait = draw(sample(rng), rng)
        return _known(portrait.cells, portrait.masks["background"])
    if roll < 0.45:
        portrait = draw(sample(rng), rng)
        cells, ground = portrait.cells, portrait.masks["background"]
        if roll > 0.15:
            cells = _recoloured(cells, rng)
    else:
        cells, ground = _invented(rng)
    rich = rng.random()
    if rich < 0.6:
        cells = _split(cells, ground, rng, 12 if rich > 0.25 else 45)
    elif rich < 0.75:
        cells = _fewer(cells, int(rng.integers(5, 16)))
    if rng.random() < 0.5:
        cells, ground = cells[:, ::-1], ground[:, ::-1]
    return _known(np.ascontiguousarray(cells), np.ascontiguousarray(ground))


def _known(cells: Cells, ground: Mask) -> Truth:
    frame = np.ones((GRID, GRID), bool)
    frame[1:-1, 1:-1] = False
    frame[-3:] = False
    code = cells.astype(int) @ [65536, 256, 1]
    seen = code[frame & ground] if (frame & ground).any() else code[frame]
    values, counts = np.unique(seen, return_counts=True)
    main = code == values[counts.argmax()]
    plain = bool((code[ground] == values[counts.argmax()]).all()) if ground.any() else False
    if plain:
        mask = reach(main & frame & ground, main & ground)
    else:
        colour = lab(cells)
        mask = reach(main & frame & ground, main & ground)
        while True:
            wide = mask.copy()
            for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
                near = ciede2000(colour, np.roll(colour, shift, axis)) < STEP
                ahead = np.roll(mask, shift, axis) & near & ground
                edge = [slice(None)] * 2
                edge[axis] = slice(0, 1) if shift == 1 else slice(-1, None)
                ahead[tuple(edge)] = False
                wide |= ahead
            if (wide == mask).all():
                break
            mask = wide
    return Truth(cells=cells, ground=ground, mask=mask, plain=plain)


def colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour as art has them: any hue, often dark or muted."""
    if rng.random() < 0.12:
        return np.full(3, rng.uniform(0, 255)) + rng.normal(0, 4, 3)
    hue, value = rng.random(), rng.beta(1.4, 1.3)
    chroma = rng.beta(1.5, 1.6)
    wheel = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    return 255 * value * (1 - chroma * (1 - wheel))


def tones(rng: np.random.Generator, base: NDArray[np.float64] | None = None) -> Cells:
    """One to six tones of one colour, from almost alike to far apart, hue-shifted. uint8 (K, 3)."""
    base = colour(rng) if base is None else base
    count = int(rng.choice([1, 2, 2, 3, 3, 4, 5, 6]))
    step = np.exp(rng.normal(np.log(0.14), 0.6))
    where = np.cumsum(step * np.exp(rng.normal(0, 0.4, count)))
    where -= where[rng.integers(count)]
    shift = rng.normal(0, 18, 3) * where[:, None]
    shades = np.where(where[:, None] > 0, base + (255 - base) * where[:, None], base * (1 + where[:, None]))
    return np.clip(np.rint(shades + shift), 0, 255).astype(np.uint8)


def _pattern(shades: Cells, rng: np.random.Generator) -> Cells:
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


def _blob(rng: np.random.Generator) -> Mask:
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


def _invented(rng: np.random.Generator) -> tuple[Cells, Mask]:
    """A bust or a heap of shapes, shaded and outlined, before a plain or patterned backdrop."""
    ground = np.ones((GRID, GRID), bool)
    solid = rng.random() < 0.65
    cells = np.empty((GRID, GRID, 3), np.uint8)
    cells[:] = np.rint(np.clip(colour(rng), 0, 255))
    if not solid:
        cells = _pattern(tones(rng) if rng.random() < 0.5 else np.concatenate([tones(rng)[:2], tones(rng)[:2]]), rng)
    shapes: list[Mask] = []
    if rng.random() < 0.7:
        y, x = rng.uniform(9, 13), rng.uniform(10, 14)
        high, wide = rng.uniform(4, 8), rng.uniform(3, 7)
        head = np.abs((rows - y) / high) ** 2.5 + np.abs((columns - x) / wide) ** 2.5 < 1
        hair = (np.abs((rows - y + 2) / (high + 1.5)) ** 2 + np.abs((columns - x) / (wide + 2)) ** 2 < 1) & (
            (rows < y - rng.uniform(-3, 3)) | (np.abs(columns - x) > wide - rng.uniform(0, 2))
        )
        body = (rows > y + high - 1) & (np.abs(columns - x) < 3 + (rows - y - high) * rng.uniform(0.5, 4))
        shapes = [body, head, hair] if rng.random() < 0.6 else [hair, body, head]
    shapes += [_blob(rng) for _ in range(int(rng.integers(1, 9)))]
    outline = np.array(DEEP[int(rng.integers(len(DEEP)))], np.uint8)
    base: list[Cells] = []
    for shape in shapes:
        if rng.random() < 0.25:
            shape = shape & (columns <= columns[0, ::-1])
            shape = shape | shape[:, ::-1]
        if not shape.any():
            continue
        # what is beside another thing is often made from the same tones, or nearly
        if base and rng.random() < 0.35:
            near = base[int(rng.integers(len(base)))]
            shades = tones(rng, near[int(rng.integers(len(near)))] + rng.normal(0, 6, 3))
        else:
            shades = tones(rng)
        base.append(shades)
        if rng.random() < 0.45:
            rim = grow(shape, bool(rng.integers(2))) & ~shape
            cells[rim] = outline if rng.random() < 0.8 else shades[0] // 2
            ground &= ~rim
        cells[shape] = _pattern(shades, rng)[shape]
        ground &= ~shape
    for _ in range(int(rng.integers(0, 16))):  # details of a cell or two
        y, x = rng.integers(1, GRID, 2)
        if not ground[y, x] or rng.random() < 0.1:
            cells[y, x] = np.rint(np.clip(colour(rng), 0, 255))
            ground[y, x] = False
            if rng.random() < 0.4:
                cells[y, x - 1] = cells[y, x]
                ground[y, x - 1] = False
    return cells, ground


def _recoloured(cells: Cells, rng: np.random.Generator) -> Cells:
    """Every colour moved: all by one turn of hue, contrast and light, and each a little by itself."""
    values, owner = np.unique(cells.reshape(-1, 3), axis=0, return_inverse=True)
    shades = values.astype(float)
    gray = shades.mean(1, keepdims=True)
    roll = rng.random()
    mix = np.eye(3)[rng.permutation(3)] if roll < 0.5 else np.eye(3)
    shades = gray + (shades - gray) @ mix * rng.uniform(0.3, 1.2)
    shades = rng.uniform(0, 60) * (rng.random() < 0.3) + shades * rng.uniform(0.3, 1.05)
    shades += rng.normal(0, rng.choice([0, 4, 12, 30]), shades.shape)
    dark = values.max(1) == 0
    shades[dark] = 0
    return np.clip(np.rint(shades), 0, 255).astype(np.uint8)[owner.ravel()].reshape(cells.shape)


def _split(cells: Cells, ground: Mask, rng: np.random.Generator, most: int) -> Cells:
    """Some colours get near relatives in a part of their cells, as drawing by hand leaves them."""
    cells = cells.copy()
    for _ in range(int(rng.integers(1, most))):
        y, x = rng.integers(0, GRID, 2)
        if ground[y, x] and rng.random() < 0.97:
            continue
        same = (cells == cells[y, x]).all(-1) & (ground if ground[y, x] else ~ground)
        kind = rng.random()
        if kind < 0.35:
            part = same & (np.hypot(rows - y, columns - x) < rng.uniform(0.5, 4))
        elif kind < 0.6:
            part = same & (rng.random((GRID, GRID)) < rng.uniform(0.1, 0.6))
        elif kind < 0.8:
            part = same & ((rows > y) if rng.random() < 0.5 else (columns > x))
        else:
            part = (rows == y) & (columns == x)
        turn = rng.normal(size=3)
        turn += turn.mean() * rng.uniform(0, 3)
        size = np.exp(rng.normal(np.log(6), 0.6))
        moved = cells[y, x] + turn / np.linalg.norm(turn) * size
        cells[part] = np.clip(np.rint(moved), 0, 255)
    return cells


def _fewer(cells: Cells, most: int) -> Cells:
    """The rarer of the nearest two colours goes over into the other until `most` are left."""
    values, owner = np.unique(cells.reshape(-1, 3), axis=0, return_inverse=True)
    owner = owner.ravel()
    gap = ciede2000(lab(values)[:, None], lab(values)[None])
    np.fill_diagonal(gap, np.inf)
    count = np.bincount(owner)
    for _ in range(len(values) - most):
        one, two = divmod(int(gap.argmin()), len(values))
        drop, keep = (one, two) if count[one] < count[two] else (two, one)
        owner[owner == drop] = keep
        count[keep] += count[drop]
        gap[drop] = gap[:, drop] = np.inf
    return values[owner].reshape(cells.shape)
