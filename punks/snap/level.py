"""The painting's drift, taken out the way a surveyor levels land: from what is seen on both sides of each border.

A painting's colors drift by some levels from place to place, and mostly smoothly: inside a cell one sees which way.
So the step between two cells that share a color can be foretold from their insides, and what was foretold is drift.
How well that works is measured in the picture itself, in neighbours that differ little; where it does not (jitter of
whole cells, noise), the foretold steps come out near zero by themselves. In eight real paintings they explain more
than half of the variance between neighbours of one color.
"""

from functools import lru_cache

import numpy as np

from punks.snap.art import Floats
from punks.snap.cells import BLOCKS

# A cell's profile towards a border, in blocks without the outermost: how it slopes, bends and twists.
_AT = np.linspace(-1, 1, BLOCKS - 2)
SHAPES = np.linalg.qr(np.stack([_AT**0, _AT, _AT**2, _AT**3], -1))[0][:, 1:].astype(np.float32)
PLAIN = 5.0  # levels between neighbours that most often share a color: the rule is fitted there
EDGE = 12.0  # levels of a real edge, where blur may leak into the cells
WILD = 12.0  # levels inside a cell that are no drift: a second tone, a speck, a border far off
HOLD = 0.05  # pulls the drift to zero where no neighbour tells


def level(cells: Floats, blocks: Floats) -> Floats:
    """Cells (g, g, 3) and their blocks (g, g, BLOCKS, BLOCKS, C) -> cells without drift, of the same mean."""
    inner = np.ascontiguousarray(blocks[:, :, 1:-1, 1:-1, :3].transpose(2, 3, 0, 1, 4))
    down, along = _profiles(inner.swapaxes(0, 1)).swapaxes(1, 2), _profiles(inner)
    lean = np.stack([_lean(down), _lean(along)])
    step = np.stack([np.diff(cells.transpose(1, 0, 2), axis=1), np.diff(cells, axis=1)])  # columns, rows
    size = np.abs(step).max(-1)
    calm = np.abs(lean).max((-1, -2)) < WILD
    plain = calm & (size < PLAIN)
    if plain.sum() < 20:
        return cells
    known, seen = lean[plain].reshape(-1, 3), step[plain].ravel()
    rule = np.linalg.solve(known.T @ known + 1e-3 * np.eye(3, dtype=np.float32), known.T @ seen)
    told = lean @ rule * calm[..., None]
    edge = calm & (size > EDGE)
    if edge.any():
        # Insides that lean more beside an edge than elsewhere tell of the edge, not of drift.
        told[edge] *= min(1.0, (_mean(told[plain]) + 0.05) / (_mean(told[edge]) + 0.05))
    return cells - _integrate(told[0].transpose(1, 0, 2), told[1])


def _profiles(inner: Floats) -> Floats:
    """Mean over the first axis but for its lowest and highest, a speck maybe. (n, n, g, g, 3) -> (n, g, g, 3)."""
    return (inner.sum(0) - inner.max(0) - inner.min(0)) / (len(inner) - 2)


def _lean(profiles: Floats) -> Floats:
    """How neighbours along the third axis differ inside, mirrored at their border. -> (g, g - 1, 3, 3)."""
    apart = profiles[:, :, 1:] - profiles[::-1, :, :-1]
    return np.tensordot(apart, SHAPES, (0, 0))


def _mean(steps: Floats) -> float:
    return float(np.sqrt((steps**2).sum(-1)).mean())


def _integrate(down: Floats, along: Floats) -> Floats:
    """The field (g, g, 3) whose steps are nearest to these (g - 1, g, 3), (g, g - 1, 3): least squares, by cosines."""
    slope = np.zeros((len(along), len(along), 3), np.float32)
    slope[1:] += down
    slope[:-1] -= down
    slope[:, 1:] += along
    slope[:, :-1] -= along
    waves, stiff = _cosines(len(along))
    field = waves @ slope.transpose(2, 0, 1) @ waves.T / (stiff[:, None] + stiff + HOLD)
    return (waves.T @ field @ waves).transpose(1, 2, 0)


@lru_cache
def _cosines(side: int) -> tuple[Floats, Floats]:
    """The cosine transform's rows, which the second difference only scales, and by how much."""
    order = np.arange(side)
    waves = np.cos(np.pi * order[:, None] * (order + 0.5) / side) * np.sqrt(2 / side)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32), (2 - 2 * np.cos(np.pi * order / side)).astype(np.float32)
