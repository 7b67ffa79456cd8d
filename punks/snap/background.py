"""The background: what the model sees as one, as far as it hangs together with the border, and clouds before it."""

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.cells import CORE
from punks.snap.color import ciede2000, lab
from punks.snap.regions import grow, reach

LEAST = 0.12  # of the cells, less is no background
SEAM = 0.65  # of the step between two colors is at their border: 93% and more, 65% under heavy blur, of drift a third
CLOUD = 15.0  # CIEDE2000 that drift may be off the background
SHADED = 7.5  # the same beside a figure: 1172 pictures drawn by hand or rule have 2 such cells, 307 paintings 62
# to a cell's neighbour, and the blocks of both that face their border, of which the outermost are blurred
FACING = (
    ((-1, 0), (1, CORE), (-2, CORE)),
    ((1, 0), (-2, CORE), (1, CORE)),
    ((0, -1), (CORE, 1), (CORE, -2)),
    ((0, 1), (CORE, -2), (CORE, 1)),
)


def find_background(logits: Floats, means: Floats, blocks: Floats) -> tuple[Bools, bool]:
    """The model's logits (N, 3) -> mask (side, side) of the region behind the figure, and whether it is one color."""
    side = len(blocks)
    likely = (logits[:, 0] > 0).reshape(side, side)
    frame = np.ones((side, side), bool)
    frame[1:-1, 1:-1] = False
    frame[-3:] = False  # shoulders reach the lower border
    mask = reach(likely & frame, likely)
    if mask.mean() < LEAST:
        return np.zeros_like(mask), False
    plain = bool(logits[mask.ravel(), 1].mean() > 0)
    return (_clouded(mask, means, blocks) if plain else mask), plain


def _clouded(mask: Bools, means: Floats, blocks: Floats) -> Bools:
    """With the cells that no edge parts from it: drift is followed, steps are not."""
    near = ciede2000(lab(means), lab(np.median(means[mask.ravel()], axis=0))).reshape(mask.shape) < CLOUD
    while True:
        row, column = np.nonzero(grow(mask) & ~mask & near)
        joins = seam(mask, row, column, blocks) < SEAM
        if not joins.any():
            return mask
        mask = mask.copy()
        mask[row[joins], column[joins]] = True


def shaded(means: Floats, owner: Ints, ground: int, mask: Bools) -> Bools:
    """Cells (N,) beside a plain background, of groups with one or two past it, that hardly differ: a shade of it."""
    inside = mask.ravel() | (owner == ground)
    asked = (np.bincount(owner, ~inside)[owner] <= 2) & grow(mask).ravel() & (owner != ground)
    asked[asked] = ciede2000(lab(means[asked]), lab(np.median(means[owner == ground], axis=0))) < SHADED
    return asked


def seam(mask: Bools, row: Ints, column: Ints, blocks: Floats) -> Floats:
    """For each of some cells, which share of the step from its neighbours in the mask is seen at their border."""
    held = np.pad(mask, 1)
    near, whole = np.zeros((2, len(row)), np.float32)
    for (down, along), facing, opposite in FACING:
        at = np.flatnonzero(held[row + down + 1, column + along + 1])
        if not len(at):
            continue
        own, other = blocks[row[at], column[at], ..., :3], blocks[row[at] + down, column[at] + along, ..., :3]
        core = (cells[:, CORE, CORE].reshape(len(at), -1, 3) for cells in (own, other))
        step = np.subtract(*(_median(values) for values in core))
        seen = _median(own[:, *facing] - other[:, *opposite])
        near[at] += (seen * step).sum(1)
        whole[at] += (step**2).sum(1)
    return near / np.maximum(whole, 1e-6)


def _median(values: Floats) -> Floats:
    """Along the second axis, of an even number; numpy's own takes its time over so few."""
    half = values.shape[1] // 2
    return np.sort(values, axis=1)[:, half - 1 : half + 1].sum(1) / 2
