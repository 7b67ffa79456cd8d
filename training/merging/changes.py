"""Changes to pixel art that make more of it: other colors, more or fewer of them, textures, gradients."""

import numpy as np

from punks.snap.color import ciede2000, lab
from training.canvas import GRID, Mask, columns, rows
from training.merging.patterns import Cells, color


def recolored(cells: Cells, rng: np.random.Generator) -> Cells:
    """Every color moved: all by one turn of hue, contrast and light, and each a little by itself."""
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


def split(cells: Cells, ground: Mask, rng: np.random.Generator, most: int) -> Cells:
    """Some colors get near relatives in a part of their cells, as drawing by hand leaves them."""
    cells = cells.copy()
    for _ in range(int(rng.integers(1, most))):
        y, x = rng.integers(0, GRID, 2)
        if ground[y, x] and rng.random() < 0.97:
            continue
        same = (cells == cells[y, x]).all(-1) & (ground if ground[y, x] else ~ground)
        kind = rng.random()
        if kind < 0.35:
            part = same & (np.hypot(rows - y, columns - x) < rng.uniform(1, 4))
        elif kind < 0.65:
            part = same & (rng.random((GRID, GRID)) < rng.uniform(0.1, 0.6))
        elif kind < 0.93:
            part = same & ((rows > y) if rng.random() < 0.5 else (columns > x))
        else:
            part = (rows == y) & (columns == x)
        turn = rng.normal(size=3)
        turn += turn.mean() * rng.uniform(0, 3)
        size = np.exp(rng.normal(np.log(6), 0.6))
        moved = cells[y, x] + turn / np.linalg.norm(turn) * size
        cells[part] = np.clip(np.rint(moved), 0, 255)
    return cells


def graded(cells: Cells, ground: Mask, rng: np.random.Generator) -> Cells:
    """The backdrop runs from one color to another in many small steps, in lines at any angle."""
    angle, steps = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]), int(rng.integers(5, 25))
    along = np.cos(angle) * rows + np.sin(angle) * columns
    along = np.floor((along - along.min()) / (np.ptp(along) + 1e-6) * steps) / steps
    start = color(rng)
    end = start + (color(rng) - start) * rng.uniform(0.15, 1)
    shades = start + (end - start) * along[..., None]
    return np.where(ground[..., None], np.clip(np.rint(shades), 0, 255), cells).astype(np.uint8)


def parted(cells: Cells, ground: Mask, rng: np.random.Generator) -> Cells:
    """The backdrop in two tones CIEDE2000 2.5 to 20 apart: halves, stripes, checks, a frame, spots."""
    base = cells[0, 0].astype(float)
    turn = rng.normal(size=3) + rng.normal() * rng.uniform(0, 3)
    gap = float(ciede2000(lab(base), lab(np.clip(base + 6 * turn / np.linalg.norm(turn), 0, 255))))
    far = 6 * np.exp(rng.uniform(np.log(2.5), np.log(20))) / max(gap, 0.5)
    tone = np.clip(np.rint(base + turn / np.linalg.norm(turn) * far), 0, 255)
    at, wide = int(rng.integers(3, GRID - 3)), int(rng.integers(1, 7))
    shape = (
        columns >= at,
        rows >= at,
        rows + columns >= 2 * at,
        (rows // wide) % 2 == 0,
        (columns // wide) % 2 == 0,
        (rows // wide + columns // wide) % 2 == 0,
        (np.minimum(rows, columns) < wide // 2 + 1) | (columns >= GRID - wide // 2 - 1),
        rng.random((GRID, GRID))[rows // 2, columns // 2] < 0.3,
    )[int(rng.integers(8))]
    return np.where((ground & shape)[..., None], tone, cells).astype(np.uint8)


def textured(cells: Cells, ground: Mask, rng: np.random.Generator) -> Cells:
    """Hair, cloth or skin in two to four tones CIEDE2000 2.5 to 5 apart, cell by cell or in patches of two or three."""
    cells = cells.copy()
    values, owner = np.unique(cells.reshape(-1, 3), axis=0, return_inverse=True)
    owner = np.where(ground, -1, owner.reshape(GRID, GRID))
    large = [k for k in range(len(values)) if np.count_nonzero(owner == k) >= 10]
    for k in rng.permutation(large)[: int(rng.integers(1, 4))]:
        base = values[k].astype(float)
        for _ in range(int(rng.integers(1, 4))):
            turn = np.maximum(base, 20) * rng.uniform(0.6, 1.2, 3) * rng.choice([-1, 1]) + rng.normal(0, 8, 3)
            turn *= 4 / np.linalg.norm(turn)
            gap = float(ciede2000(lab(base), lab(np.clip(base + turn, 0, 255))))
            tone = np.clip(np.rint(base + turn * rng.uniform(2.5, 5) / max(gap, 0.5)), 0, 255)
            high, wide = ((1, 1), (1, 1), (1, 2), (2, 1), (3, 1), (2, 2))[int(rng.integers(6))]
            noise = rng.random((GRID, GRID))[rows // high, columns // wide]
            lines = (rows * int(rng.integers(-1, 2)) + columns + int(rng.integers(4))) % int(rng.integers(2, 4)) == 0
            part = noise < rng.uniform(0.15, 0.5) if rng.random() < 0.75 else lines
            cells[(owner == k) & part] = tone
    return cells


def fewer(cells: Cells, most: int) -> Cells:
    """The rarer of the nearest two colors goes over into the other until `most` are left."""
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
