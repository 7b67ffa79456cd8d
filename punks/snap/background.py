"""The background: what the model sees as one, as far as it hangs together with the border, and clouds before it."""

import numpy as np

from punks.snap.art import Bools, Floats, Ints
from punks.snap.cells import BLOCKS, CORE
from punks.snap.color import ciede2000, lab
from punks.snap.regions import grow, reach

LEAST = 0.12  # of the cells, less is no background
SEAM = 0.65  # of the step between two colors is at their border: 93% and more, 65% under heavy blur, of drift a third
TONE = 4.0  # CIEDE2000 from which a background may have a second color
TONED = 12  # cells of it, fewer are a detail
CLOUD = 15.0  # CIEDE2000 that drift may be off the background
SHADED = 7.5  # the same beside a figure: 1172 pictures drawn by hand or rule have 2 such cells, 307 paintings 62
# to a cell's neighbours
SIDES = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
_IN = np.arange(BLOCKS)[CORE]
# a cell's blocks, rows and columns, that face each of those, and the other's that face it; the outermost are blurred
_FACING = np.stack([np.stack(np.broadcast_arrays(y, x)) for y, x in ((1, _IN), (-2, _IN), (_IN, 1), (_IN, -2))])
_OPPOSITE = _FACING[[1, 0, 3, 2]]


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
    if logits[mask.ravel(), 1].mean() <= 0:
        return mask, False
    off = off_ground(mask.ravel(), means).reshape(side, side)
    toned = _toned(off[mask])
    if toned >= TONED:
        return mask, False
    near = off < (TONE if toned else CLOUD)
    wide = _clouded(mask & near, near, blocks)
    return (mask & near if _toned(off[wide]) else wide), True


def off_ground(mask: Bools, means: Floats) -> Floats:
    """CIEDE2000 of cells (N, 3) RGB from the color that most of a background (N,) has."""
    ground = np.sort(means[mask], axis=0)
    return ciede2000(lab(means), lab(ground[len(ground) // 2]))


def _toned(off: Floats) -> int:
    """How many cells of a background have a second color: far from the most common one, and hardly any between."""
    far = np.sort(off[off > TONE])
    between = len(far) and np.count_nonzero(np.abs(off / far[len(far) // 2] - 0.5) < 0.2)
    return len(far) if 4 * between < len(far) else 0


def _clouded(mask: Bools, near: Bools, blocks: Floats) -> Bools:
    """With the near cells that no edge parts from it: drift is followed, steps are not."""
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
    at, side = np.nonzero(np.pad(mask, 1)[row[:, None] + SIDES[:, 0] + 1, column[:, None] + SIDES[:, 1] + 1])
    own = np.stack([row[at], column[at]])
    cells = np.concatenate([own, own + SIDES[side].T], axis=1)
    core = blocks[cells[0], cells[1], CORE, CORE, :3].reshape(2, len(at), len(_IN) ** 2, 3)
    step = np.subtract(*_median(core))
    where = np.concatenate([_FACING[side], _OPPOSITE[side]])
    face = blocks[cells[0][:, None], cells[1][:, None], where[:, 0], where[:, 1], :3].reshape(2, len(at), len(_IN), 3)
    seen = _median((face[0] - face[1])[None])[0]
    near, whole = (np.bincount(at, values.sum(1), len(row)) for values in (seen * step, step**2))
    return near / np.maximum(whole, 1e-6)


def _median(values: Floats) -> Floats:
    """Along the third axis, of an even number; numpy's own takes its time over so few."""
    half = values.shape[2] // 2
    return np.sort(values, axis=2)[:, :, half - 1 : half + 1].sum(2) / 2
