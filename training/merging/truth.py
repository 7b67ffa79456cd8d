"""Pixel art whose colors are known: portraits of the project's generator, recolored, and art made up by chance."""

from dataclasses import dataclass

import numpy as np

from punks.snap.color import ciede2000, lab
from punks.snap.regions import grow, reach
from training.canvas import GRID, Mask, columns, rows
from training.merging.changes import fewer, graded, parted, recolored, split, textured
from training.merging.patterns import Cells, blob, color, pattern, tones
from training.portraits import draw, sample

STEP = 4.0  # CIEDE2000 over which the background is followed from the border
DEEP = ((0, 0, 0), (20, 12, 12), (12, 12, 14), (26, 20, 30), (8, 4, 2), (34, 26, 22))


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """cells uint8 (24, 24, 3); ground: all of the backdrop; mask: what of it hangs together from the border's main
    color; plain: the backdrop is one color."""

    cells: Cells
    ground: Mask
    mask: Mask
    plain: bool


def make(rng: np.random.Generator, *, drawn: bool = False, faint: bool = False) -> Truth:
    """One picture; `drawn`, a portrait of the generator as it is; `faint`, maybe with textures that hardly show."""
    roll = rng.random()
    if drawn:
        portrait = draw(sample(rng), rng)
        return _known(portrait.cells, portrait.masks["background"])
    if roll < 0.45:
        portrait = draw(sample(rng), rng)
        cells, ground = portrait.cells, portrait.masks["background"]
        if roll > 0.15:
            cells = recolored(cells, rng)
    else:
        cells, ground = _invented(rng)
    rich = rng.random()
    if rich < 0.55:
        cells = split(cells, ground, rng, 12 if rich > 0.25 else 45)
    elif rich < 0.75:
        cells = fewer(cells, int(rng.integers(5, 16)))
    if rng.random() < 0.06:
        cells = graded(cells, ground, rng)
    elif rng.random() < 0.12:
        cells = parted(cells, ground, rng)
    if faint and rng.random() < 0.4:
        cells = textured(cells, ground, rng)
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
        color = lab(cells)
        mask = reach(main & frame & ground, main & ground)
        while True:
            wide = mask.copy()
            for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
                near = ciede2000(color, np.roll(color, shift, axis)) < STEP
                ahead = np.roll(mask, shift, axis) & near & ground
                edge = [slice(None)] * 2
                edge[axis] = slice(0, 1) if shift == 1 else slice(-1, None)
                ahead[tuple(edge)] = False
                wide |= ahead
            if (wide == mask).all():
                break
            mask = wide
    return Truth(cells=cells, ground=ground, mask=mask, plain=plain)


def _invented(rng: np.random.Generator) -> tuple[Cells, Mask]:
    """A bust or a heap of shapes, shaded and outlined, before a plain or patterned backdrop."""
    ground = np.ones((GRID, GRID), bool)
    solid = rng.random() < 0.65
    cells = np.empty((GRID, GRID, 3), np.uint8)
    cells[:] = np.rint(np.clip(color(rng), 0, 255))
    if not solid:
        cells = pattern(tones(rng) if rng.random() < 0.5 else np.concatenate([tones(rng)[:2], tones(rng)[:2]]), rng)
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
    shapes += [blob(rng) for _ in range(int(rng.integers(1, 9)))]
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
        cells[shape] = pattern(shades, rng)[shape]
        ground &= ~shape
    for _ in range(int(rng.integers(0, 16))):  # details of a cell or two
        y, x = rng.integers(1, GRID, 2)
        if not ground[y, x] or rng.random() < 0.1:
            cells[y, x] = np.rint(np.clip(color(rng), 0, 255))
            ground[y, x] = False
            if rng.random() < 0.4:
                cells[y, x - 1] = cells[y, x]
                ground[y, x - 1] = False
    return cells, ground
