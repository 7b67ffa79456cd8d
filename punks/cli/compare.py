"""`punks compare`: the same pictures over epochs or another field, side by side, scored and judged."""

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from punks.cli.options import add_fields, add_store, given, output_path, present_variant, say_demo, stored
from punks.cli.progress import run_jobs
from punks.cli.terminal import say
from punks.errors import BatchError
from punks.request import FIELDS

if TYPE_CHECKING:
    from punks.report.compare.grid import Grid

# what the grid decides
_FIXED = ("prompt", "traits", "seed", "vary", "vary_seed", "image_sha256", "prompt_strength")
_OPTIONS = [name for name in FIELDS if name not in _FIXED]


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options; those of fields apply to all pictures."""
    parser.description = (
        "Paint the same pictures over epochs, or another setting; score them; recommend one by what is "
        "measured. Run the same command again to paint what is missing and to read ratings.json."
    )
    parser.epilog = (
        "NAME is one of epoch, variant, lora (files), lora_scale, seed, guidance, scheduler, steps, fast. "
        "Plots need matplotlib: pip install 'punks[compare]'"
    )
    parser.add_argument("prompts", nargs="*", metavar="PROMPT", help="by default eight that tell epochs apart")
    parser.add_argument("-o", "--output", type=output_path, required=True, metavar="DIR", help="the folder")
    parser.add_argument("--columns", metavar="NAME=X,X", help="by default every epoch that is installed")
    parser.add_argument("--rows", metavar="NAME=X,X", help="each prompt with each of these; by default one seed")
    parser.add_argument("--base", action="store_true", help="add a column without LoRA")
    parser.add_argument("--seed", type=int, default=0, metavar="X", help="seed of the first prompt; then it counts up")
    parser.add_argument("--ratings", type=Path, metavar="FILE", help="add ratings that the page saved")
    parser.add_argument("--workers", type=int, metavar="N", help="number of painting processes")
    parser.add_argument("--json", action="store_true", help="print scores.json instead of a table")
    add_store(parser)
    add_fields(parser, _OPTIONS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when all is painted, 1 when some failed, 130 when it was interrupted."""
    grid = _grid(args)

    from punks.report.compare.ratings import take_in
    from punks.report.compare.result import require_own, result, scores_of, show

    require_own(args.output, grid)
    with stored(args, args.output):
        try:
            failed = _paint(args, grid)
        except KeyboardInterrupt:
            return 130
        if args.ratings:
            take_in(args.ratings, args.output)
        found = result(args.output, grid)
        written = show(args.output, found, args.output.resolve().name)
    if args.json:
        print(json.dumps(scores_of(found), indent=2, ensure_ascii=False))
        return 1 if failed else 0
    rows = found.table()
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([row[0].ljust(len(first)), *others]))
    print("\n" + "\n".join(found.verdict.reasons) + "\n")
    if not any(path.name == "plot.png" for path in written):
        say("no plot: it needs matplotlib; pip install 'punks[compare]'")
    print(f"look at it: {written[-1]}")
    return 1 if failed else 0


def _grid(args: argparse.Namespace) -> "Grid":
    from punks.report.compare.grid import PROMPTS, epochs_axis, make_grid, parse_axis

    values = given(args, _OPTIONS)
    rows = parse_axis(args.rows, "rows") if args.rows else None
    columns = parse_axis(args.columns, "columns") if args.columns else None
    if "variant" not in values and not {"variant", "lora"} & {axis.name for axis in (columns, rows) if axis}:
        values["variant"] = present_variant(args)
    if columns is None:
        if "variant" not in values:
            args.parser.error("--rows varies the variant, so say what the --columns are")
        columns = epochs_axis(values["variant"])
    return make_grid(columns, rows, args.prompts or PROMPTS, values, seed=args.seed, base=args.base)


def _paint(args: argparse.Namespace, grid: "Grid") -> int:
    """Paints what is missing. -> how many failed."""
    from punks.batch.places.local import Local

    if args.workers is not None and args.workers < 1:
        args.parser.error("--workers: use a whole number of 1 or more")
    say_demo(args)
    jobs = grid.jobs()
    with closing(Local(workers=args.workers, paintings=True)) as place:
        tally, _ = run_jobs(jobs, args.output, place)
    if len(tally.failed) == len(jobs):
        raise BatchError(f"no picture could be painted: {next(iter(tally.failed.values()))}")
    for number, error in tally.failed.items():
        title = grid.columns[(number - 1) // len(grid.rows)].title
        say(f"{title}, {grid.rows[(number - 1) % len(grid.rows)].title}: {error}")
    return len(tally.failed)
