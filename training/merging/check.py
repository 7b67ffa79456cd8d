"""How the model restores truth that it has not seen: `python -m training.merging.check --pictures 240`.

A picture counts as right if every cell is within CIEDE2000 3 of the truth, with no more colors than the truth, and a
plain backdrop in one color. Lost are the cells in a group of which most have a true color further than that from their
own. The threshold of `punks.snap.grouping` is chosen by this.
"""

import argparse
import multiprocessing
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers are many

import numpy as np
from PIL import Image

from punks.snap.color import ciede2000, lab
from punks.snap.model import read, weights
from punks.snap.restore import restore
from training.merging.damage import KINDS, damage
from training.merging.truth import make

SEED = 970_001
Row = tuple[bool, int, int, float]


def check(kind: str, number: int) -> Row:
    """Right, colors, true colors, share of cells lost."""
    rng = np.random.default_rng([SEED, number])
    truth = make(rng, drawn=kind == "demo", faint=kind in ("painted", "exact"))
    values, owner = np.unique(truth.cells.reshape(-1, 3), axis=0, return_inverse=True)
    points = lab(values)
    groups = restore(Image.fromarray(damage(truth, kind, rng))).painted
    cells, count = groups.cells, len(groups.colors)
    table = np.zeros((count, len(values)))
    np.add.at(table, (groups.index.ravel(), owner.ravel()), 1)
    lost = ciede2000(points[owner.ravel()], points[table.argmax(1)][groups.index.ravel()]) >= 3
    near = bool((ciede2000(lab(cells), lab(truth.cells)) < 3).all())
    solid = not truth.plain or bool((cells[truth.mask] == cells[truth.mask][0]).all())
    return near and solid and count <= len(values), count, len(values), float(lost.mean())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=240)
    parser.add_argument("--weights", type=Path, help="other than the package's own")
    args = parser.parse_args()
    if args.weights:
        weights().update(read(args.weights))
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        for kind in KINDS:
            rows = np.array(pool.map(partial(check, kind), range(args.pictures)))
            right, lost, more = 100 * rows[:, 0].mean(), 100 * rows[:, 3].mean(), np.median(rows[:, 1] - rows[:, 2])
            print(f"{kind:8} {right:5.1f}% right, {lost:.2f}% of cells lost, {more:+.0f} colors", flush=True)


if __name__ == "__main__":
    main()
