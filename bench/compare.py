"""Whether the epoch that `punks compare` recommends is the best for another reader: `python -m bench.compare DIR`.

Paints the demo's epochs twice: the default prompts as the command does, and held-out prompts of the portrait generator,
which are read cell by cell by its own reader (training/reading.py) that shares nothing with the scorecard. Resumes.
"""

import argparse
from pathlib import Path

import numpy as np

from bench.demo import flags, held_out
from punks.batch.manifest import entries
from punks.batch.places.local import Local
from punks.batch.run import run
from punks.report.compare.grid import PROMPTS, Axis, Grid, epochs_axis, make_grid
from punks.report.compare.result import result, show
from punks.report.sheet import read_pixels
from training.captions import prompt
from training.reading import read


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1, help="of each default prompt")
    parser.add_argument("--prompts", type=int, default=32, help="held-out ones")
    parser.add_argument("--workers", type=int)
    args = parser.parse_args()
    axis, fields = epochs_axis("demo"), {"variant": "demo"}
    rows = Axis(name="seed", values=tuple(range(args.seeds))) if args.seeds > 1 else None
    grid = make_grid(axis, rows, PROMPTS, fields)
    painted(grid, args.folder / "default", args.workers)
    found = result(args.folder / "default", grid)
    show(args.folder / "default", found, "demo epochs")
    print("\n".join(found.verdict.reasons))

    traits = held_out(args.prompts)
    others = make_grid(axis, None, [prompt(one) for one in traits], fields)
    painted(others, args.folder / "held-out", args.workers)
    done = {entry["name"]: entry for entry in entries(args.folder / "held-out") if entry["status"] == "done"}
    print(f"\nheld-out prompts, the generator's own reader, {args.prompts} a column:")
    shares: list[float] = []
    for at, column in enumerate(others.columns):
        right: list[bool] = []
        for row, one in enumerate(traits):
            pixels = args.folder / "held-out" / done[others.cells[at][row].name]["files"]["pixels"]
            right += flags(read(np.asarray(read_pixels(pixels).convert("RGB")), one), one)
        shares.append(float(np.mean(right)))
        mark = "recommended" if at == found.verdict.column else ""
        print(f"  {column.title:<10} {100 * shares[-1]:.1f}% of {len(right)} traits right   {mark}")
    best = [column.title for column, share in zip(others.columns, shares, strict=True) if share == max(shares)]
    print(f"best there: {', '.join(best)}")


def painted(grid: Grid, folder: Path, workers: int | None) -> None:
    """Paints what is missing."""
    tally = run(grid.jobs(), folder, Local(workers=workers, paintings=True))
    print(f"{folder}: {tally.done} painted, {tally.kept} kept, {len(tally.failed)} failed", flush=True)


if __name__ == "__main__":
    main()
