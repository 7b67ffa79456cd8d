"""`punks batch`: many recipes into one folder; what was cut off goes on."""

import argparse
import dataclasses
import signal
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punks import variants
from punks.batch.jobs import Job, Jobs, prompt_jobs, read_jobs
from punks.batch.manifest import AGAIN, NAME
from punks.cli.generate import add_option, palette_text, present_variant
from punks.errors import RecipeError
from punks.files import weights
from punks.recipe import Recipe

if TYPE_CHECKING:
    from punks.batch.collection.draw import CollectionJobs
    from punks.batch.places.worker import Place

_LISTED = 20  # failed rows


def add(subparsers: Any) -> None:
    """Declares the command; the options of a recipe stand for what a row does not say."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "batch",
        help="paint many punks into a folder",
        description="Paint many punks into a folder. The same command again paints what is missing, failed or changed.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "jobs",
        nargs="?",
        type=Path,
        metavar="JOBS",
        help="a .csv or .jsonl file; each row is a recipe, any field a column",
    )
    parser.add_argument(
        "--prompt", metavar="TEMPLATE", help="instead of JOBS: one prompt with choices, {red|blue} hair"
    )
    parser.add_argument(
        "--traits", type=Path, metavar="FILE", help="instead of JOBS: a collection, its traits and weights in TOML"
    )
    parser.add_argument(
        "-n",
        "--count",
        type=int,
        metavar="N",
        help="of punks, for a prompt or a collection; by default every choice once",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder")
    parser.add_argument(
        "--on",
        default="local",
        metavar="WHERE",
        help="local (every GPU of this machine, or its CPU), ray, URL[,URL...] of Cog servers, replicate:OWNER/MODEL",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes, actors or requests at once")
    parser.add_argument("--overwrite", action="store_true", help="paint over the punks of another batch in the folder")
    parser.add_argument("--paintings", action="store_true", help="also keep what was painted, before restoration")
    parser.add_argument("--unique", action="store_true", help="another seed for a punk that equals one before it")
    parser.add_argument(
        "--palette-lock",
        type=int,
        nargs="?",
        const=64,
        metavar="N",
        help="hold one palette over all, of N colours (64)",
    )
    for field in dataclasses.fields(Recipe)[1:]:
        if field.name not in ("seed", "traits"):
            add_option(parser, field)
    parser.add_argument("--seed", type=int, metavar="X", help="of the first row (0); the others count up from it")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """0 when every row is done, 1 when some failed or it had to stop, 130 when it was interrupted."""
    jobs = _jobs(args)

    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from punks.batch.run import require_same
    from punks.batch.run import run as run_jobs
    from punks.report.show import show

    if not args.overwrite:
        require_same(args.output, jobs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    counts: Counter[str] = Counter()
    with (
        closing(_place(args)) as place,
        tqdm(desc="painting", total=len(jobs), unit="punk", dynamic_ncols=True) as bar,
        logging_redirect_tqdm(),
    ):

        def report(_job: Job, status: str) -> None:
            counts[status] += 1
            bar.postfix = ", ".join(f"{counts[one]} {one}" for one in ("kept", "failed", "again") if counts[one])
            if status in ("done", "failed"):
                bar.update()
            else:  # no part of the rate
                bar.total += {"kept": -1, "again": 1}[status]

        try:
            tally = run_jobs(
                jobs,
                args.output,
                place,
                unique=args.unique,
                palette_lock=args.palette_lock,
                report=report,
            )
        except KeyboardInterrupt:
            bar.close()
            print(f"punks: interrupted after {counts['done']} punks; {AGAIN}", file=sys.stderr)
            return 130
    for number, error in sorted(tally.failed.items())[:_LISTED]:
        print(f"row {number}: {error}", file=sys.stderr)
    if len(tally.failed) > _LISTED:
        print(f"and {len(tally.failed) - _LISTED} more in {args.output / NAME}", file=sys.stderr)
    painted = f"painted, {again} of them for another seed" if (again := counts["again"]) else "painted"
    counted = {painted: tally.done, "there already": tally.kept, "failed": len(tally.failed)}
    print(f"{args.output}: " + ", ".join(f"{count} {word}" for word, count in counted.items() if count))
    print(show(args.output, jobs))
    return 1 if tally.failed else 0


def _jobs(args: argparse.Namespace) -> "Jobs | CollectionJobs":
    """What is to be painted. On this machine the weights of the first row have to be there."""
    given = {name: getattr(args, name) for name in Recipe.__dataclass_fields__ if getattr(args, name) is not None}
    prompt, traits, seed = given.pop("prompt", None), given.pop("traits", None), given.pop("seed", None)
    if sum(one is not None for one in (args.jobs, prompt, traits)) != 1:
        args.usage_error("name a file of jobs, or give a --prompt, or the --traits of a collection")
    if args.jobs and args.count is not None:
        args.usage_error("--count goes with --prompt and --traits")
    if "palette" in given:
        given["palette"] = palette_text(given["palette"])
    if "image" in given:
        given["image"] = given["image"].resolve()
    if "variant" not in given and args.on == "local":
        given["variant"] = present_variant()
    if traits:
        from punks.batch.collection.file import read_collection

        collection = read_collection(traits, args.count, seed)
        for line in collection.notices():
            print(line, file=sys.stderr)
        jobs = collection.jobs(given)
    elif args.jobs:
        jobs = read_jobs(args.jobs, given, seed or 0)
    else:
        jobs = prompt_jobs(prompt, args.count, given, seed or 0)
    first = next(iter(jobs)).recipe
    if args.on == "local" and first is not None:
        weights.require(variants.variant(first.variant), first.epoch)
    return jobs


def _place(args: argparse.Namespace) -> "Place":
    if args.workers is not None and args.workers < 1:
        raise RecipeError("workers", args.workers, "use a whole number from 1 up")
    if args.palette_lock is not None and not 2 <= args.palette_lock <= 256:
        raise RecipeError("palette-lock", args.palette_lock, "use a whole number from 2 to 256")
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
