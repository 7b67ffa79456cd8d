"""`punks batch`: many recipes into one folder; the same command goes on after an interruption."""

import argparse
import functools
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from punks import variants
from punks.batch.jobs import Jobs, prompt_jobs, read_jobs
from punks.batch.manifest import NAME
from punks.cli.options import add_fields, add_store, given, output_path, present_variant, say_demo, stored
from punks.cli.progress import run_jobs
from punks.cli.terminal import printable, say
from punks.errors import BatchError, ImageError, RecipeError
from punks.files import weights
from punks.lora.store import stack
from punks.request import FIELDS

if TYPE_CHECKING:
    from punks.batch.collection.draw import CollectionJobs
    from punks.batch.places.worker import Place
    from punks.batch.unlike import Others

_LISTED = 20  # failed rows
_COLORS = 64  # of a shared palette
CELLS = 576


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options; those of fields apply where a row says nothing."""
    parser.description = "Paint many punks into a folder. Run the same command again to paint what is missing."
    parser.add_argument(
        "jobs",
        nargs="?",
        type=Path,
        metavar="JOBS",
        help="a .csv or .jsonl file: a row a punk, a column a field",
    )
    parser.add_argument("--prompt", metavar="TEMPLATE", help="instead of JOBS: a prompt with choices, {red|blue} hair")
    parser.add_argument(
        "--collection", type=Path, metavar="FILE", help="instead of JOBS: a collection, traits and weights in TOML"
    )
    parser.add_argument(
        "-n", "--count", type=int, metavar="N", help="number of punks; by default every combination of a prompt once"
    )
    parser.add_argument("-o", "--output", type=output_path, required=True, metavar="DIR", help="the folder")
    parser.add_argument(
        "--on",
        default="local",
        metavar="WHERE",
        help="local (every GPU of this machine, or its CPU), ray, URL[,URL...] of Cog servers, replicate:OWNER/MODEL",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="number of processes, actors or parallel requests")
    parser.add_argument("--overwrite", action="store_true", help="replace the punks of another batch in the folder")
    parser.add_argument("--paintings", action="store_true", help="also keep the paintings")
    parser.add_argument("--verify", action="store_true", help="check every file, and repaint what is damaged")
    parser.add_argument("--unique", action="store_true", help="paint punks that equal an earlier one with another seed")
    parser.add_argument(
        "--unlike",
        type=Path,
        action="append",
        metavar="DIR",
        help="paint punks that are like one of this batch, or of these pictures, with another seed; repeat for more",
    )
    parser.add_argument(
        "--near", type=int, metavar="N", help="with --unlike: punks are alike if at most N of the 576 cells differ (24)"
    )
    parser.add_argument(
        "--keep",
        type=_numbers,
        default=(),
        metavar="A-B",
        help="numbers of painted punks, such as 1-4,9, that no run changes from now on",
    )
    parser.add_argument(
        "--repaint", choices=["rejected"], help="paint what `punks studio DIR` rejected with another seed, for good"
    )
    parser.add_argument(
        "--picks",
        type=output_path,
        metavar="DIR2",
        help="then copy what `punks studio DIR` kept to a folder of its own",
    )
    parser.add_argument(
        "--shared-palette",
        type=int,
        nargs="?",
        const=_COLORS,
        metavar="N",
        help=f"one palette for all punks, of N colors ({_COLORS})",
    )
    parser.add_argument("--seed", type=int, metavar="X", help="seed of the first row (0); the others count up from it")
    add_store(parser)
    add_fields(parser, [name for name in FIELDS if name not in ("prompt", "seed")])
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when every row is done, 1 when some failed or it had to stop, 130 when it was interrupted."""
    jobs = _jobs(args)

    from punks.batch.collection.draw import CollectionJobs
    from punks.batch.collection.drawn import write_drawn
    from punks.batch.picks import export_kept
    from punks.batch.run import require_same
    from punks.report.show import show, show_folder

    unlike = _others(args)
    if not args.overwrite and not args.collection:
        require_same(args.output, jobs)
    with stored(args, args.output), closing(_place(args)) as place:
        say_demo(args)
        try:
            options = {"unique": args.unique, "shared_palette": args.shared_palette, "verify": args.verify}
            options |= {"repaint_rejected": args.repaint == "rejected", "keep": args.keep, "unlike": unlike}
            if isinstance(jobs, CollectionJobs):
                options["begin"] = functools.partial(write_drawn, args.output, jobs.collection, jobs.columns)
            tally, counts = run_jobs(jobs, args.output, place, **options)
        except KeyboardInterrupt:
            return 130
    again = {number: f"{why}; painted with another seed" for number, why in tally.alike.items()}
    for rows in (again, tally.failed):
        for number, said in sorted(rows.items())[:_LISTED]:
            say(f"row {number}: {said}")
        if len(rows) > _LISTED:
            say(f"and {len(rows) - _LISTED} more in {args.output / NAME}")
    painted = f"painted, {counts['again']} of them with another seed" if counts["again"] else "painted"
    counted = {painted: tally.done, "finished": tally.finished, "kept": tally.kept, "failed": len(tally.failed)}
    print(printable(f"{args.output}: " + ", ".join(f"{count} {word}" for word, count in counted.items() if count)))
    try:
        print(printable(show(args.output, jobs)))
    except ImageError as error:
        raise BatchError(f"{error}; run the same command with --verify to repaint what is damaged") from error
    if args.picks is not None:
        count = export_kept(args.output, args.picks)
        print(printable(f"{args.picks}: {count} kept punks\n{show_folder(args.picks)}"))
    return 1 if tally.failed else 0


def _jobs(args: argparse.Namespace) -> "Jobs | CollectionJobs":
    """What is to be painted. On this machine the weights of the first row have to be there."""
    values = given(args, [name for name in FIELDS if name not in ("prompt", "seed")])
    if Path(values.get("traits", "")).suffix.lower() == ".toml":
        args.parser.error("--traits FILE is called --collection FILE now")
    if sum(one is not None for one in (args.jobs, args.prompt, args.collection)) != 1:
        args.parser.error("name a file of JOBS, or give --prompt or --collection")
    if args.jobs and args.count is not None:
        args.parser.error("--count needs --prompt or --collection")
    if args.image is not None:
        values["image"] = args.image.resolve()
    if "variant" not in values and args.on == "local":
        values["variant"] = present_variant(args)
    if args.collection:
        from punks.batch.collection.drawn import jobs_into
        from punks.batch.collection.file import read_collection

        collection = read_collection(args.collection, args.count, args.seed)
        jobs = jobs_into(args.output, collection, values, args.keep, overwrite=args.overwrite)
        for line in jobs.notices():
            print(line, file=sys.stderr)
    elif args.jobs:
        jobs = read_jobs(args.jobs, values, args.seed or 0)
    else:
        jobs = prompt_jobs(args.prompt, args.count, values, args.seed or 0)
    first = next(iter(jobs)).recipe
    if args.on == "local" and first is not None:
        weights.require(variants.variant(first.variant), first.epoch)
        stack(first)
    return jobs


def _others(args: argparse.Namespace) -> "Others | None":
    """What the punks must not be like."""
    if args.near is not None and not args.unlike:
        args.parser.error("--near needs --unlike")
    if not args.unlike:
        return None
    from punks.batch.unlike import NEAR, read_others

    if args.near is not None and not 0 <= args.near < CELLS:
        raise RecipeError("near", args.near, f"use a number of cells from 0 to {CELLS - 1}")
    if any(one.resolve() == args.output.resolve() for one in args.unlike):
        raise RecipeError("unlike", str(args.output), "this is the folder of the batch itself; --unique compares those")
    return read_others(args.unlike, NEAR if args.near is None else args.near)


def _numbers(text: str) -> frozenset[int]:
    """`1-4,9` -> 1, 2, 3, 4, 9."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,7})\s*(?:-\s*(\d{1,7}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last:
            raise argparse.ArgumentTypeError(f"{text!r} is not allowed; use numbers from 1 up, such as 1-4,9")
        found.update(range(first, last + 1))
    return frozenset(found)


def _place(args: argparse.Namespace) -> "Place":
    if args.workers is not None and args.workers < 1:
        raise RecipeError("workers", args.workers, "use a whole number of 1 or more")
    if args.shared_palette is not None and not 2 <= args.shared_palette <= 256:
        raise RecipeError("shared-palette", args.shared_palette, "use a whole number from 2 to 256")
    if args.on == "local":
        from punks.batch.places.local import Local

        return Local(workers=args.workers, paintings=args.paintings)
    if args.on == "ray":
        from punks.batch.places.ray import OnRay

        return OnRay(workers=args.workers, paintings=args.paintings)
    if args.on.startswith("replicate:"):
        from punks.batch.places.replicate import at_model

        model = args.on.removeprefix("replicate:")
        return at_model(model, args.output, workers=args.workers, paintings=args.paintings)
    urls = args.on.split(",")
    if all(url.startswith(("http://", "https://")) for url in urls):
        from punks.batch.places.cog import at_urls

        return at_urls(urls, paintings=args.paintings)
    raise RecipeError("on", args.on, "use local, ray, the URLs of Cog servers, or replicate:OWNER/MODEL")
