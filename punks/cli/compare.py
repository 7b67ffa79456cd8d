"""`punks compare`: the same pictures over epochs or another field, side by side, scored and judged."""

import argparse
import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punks.batch.manifest import AGAIN
from punks.cli.generate import add_option, palette_text, present_variant
from punks.errors import BatchError
from punks.recipe import Recipe

if TYPE_CHECKING:
    from punks.batch.jobs import Job
    from punks.report.compare.grid import Grid

_FIXED = (
    "prompt",
    "traits",
    "seed",
    "vary",
    "vary_seed",
    "image",
    "prompt_strength",
)  # fields of a recipe that the grid decides


def add(subparsers: Any) -> None:
    """Declares the command; the options of a recipe stand for what the grid does not vary."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "compare",
        help="paint the same pictures over epochs, or another setting, and score them",
        description="Paint the same pictures over epochs, or another setting; score them; recommend one by what is "
        "measured. The same command again paints what is missing and reads ratings.json back.",
        epilog="NAME is one of epoch, variant, lora_scale, seed, guidance, scheduler, steps. "
        "Plots need matplotlib: pip install 'punks[compare]'",
        allow_abbrev=False,
    )
    parser.add_argument("prompts", nargs="*", metavar="PROMPT", help="by default eight that tell epochs apart")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder")
    parser.add_argument("--columns", metavar="NAME=X,X", help="by default every epoch that is here")
    parser.add_argument(
        "--rows", metavar="NAME=X,X", help="each prompt with each of these; by default one seed a prompt"
    )
    parser.add_argument("--base", action="store_true", help="add a column without LoRA")
    parser.add_argument("--seed", type=int, default=0, metavar="X", help="of the first prompt; the next has the next")
    parser.add_argument("--ratings", type=Path, metavar="FILE", help="take in ratings that the page downloaded")
    parser.add_argument("--workers", type=int, metavar="N", help="painting processes")
    parser.add_argument("--json", action="store_true", help="print scores.json instead of a table")
    for field in dataclasses.fields(Recipe):
        if field.name not in _FIXED:
            add_option(parser, field)
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """0 when all is painted, 1 when some failed, 130 when it was interrupted."""
    grid = _grid(args)

    from punks.report.compare.ratings import take_in
    from punks.report.compare.result import require_own, result, scores_of, show

    require_own(args.output, grid)
    failed = _paint(args, grid)
    if failed is None:
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
        print("no plot: matplotlib is not here; pip install 'punks[compare]'", file=sys.stderr)
    print(f"look at it: {written[-1]}")
    return 1 if failed else 0


def _grid(args: argparse.Namespace) -> "Grid":
    from punks.report.compare.grid import PROMPTS, epochs_axis, make_grid, parse_axis

    names = [one for one in Recipe.__dataclass_fields__ if one not in _FIXED]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if "palette" in given:
        given["palette"] = palette_text(given["palette"])
    rows = parse_axis(args.rows, "rows") if args.rows else None
    columns = parse_axis(args.columns, "columns") if args.columns else None
    if "variant" not in given and "variant" not in [axis.name for axis in (columns, rows) if axis]:
        given["variant"] = present_variant()
    if columns is None:
        if "variant" not in given:
            args.usage_error("--rows varies the variant, so say what the --columns are")
        columns = epochs_axis(given["variant"])
    return make_grid(columns, rows, args.prompts or PROMPTS, given, seed=args.seed, base=args.base)


def _paint(args: argparse.Namespace, grid: "Grid") -> int | None:
    """Paints what is missing. -> how many failed; None when it was interrupted."""
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from punks.batch.places.local import Local
    from punks.batch.run import run as run_jobs

    if args.workers is not None and args.workers < 1:
        args.usage_error("--workers: use a whole number from 1 up")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    jobs = grid.jobs()
    place = Local(workers=args.workers, paintings=True)
    with tqdm(desc="painting", total=len(jobs), unit="punk", dynamic_ncols=True) as bar, logging_redirect_tqdm():

        def report(_job: "Job", _status: str) -> None:
            bar.update()

        try:
            tally = run_jobs(jobs, args.output, place, report=report)
        except KeyboardInterrupt:
            bar.close()
            print(f"punks: interrupted; {AGAIN}", file=sys.stderr)
            return None
    if len(tally.failed) == len(jobs):
        raise BatchError(f"no picture could be painted: {next(iter(tally.failed.values()))}")
    for number, error in tally.failed.items():
        title = grid.columns[(number - 1) // len(grid.rows)].title
        print(f"{title}, {grid.rows[(number - 1) % len(grid.rows)].title}: {error}", file=sys.stderr)
    return len(tally.failed)
