"""`punks preview`: finished punks as an animation, or as sheets at print size."""

import argparse
from pathlib import Path

from punks.cli.options import output_path
from punks.cli.terminal import printable
from punks.errors import RecipeError

SUFFIXES = (".gif", ".webp", ".png")


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "Show the punks of a batch: as an animation (.gif, .webp), or on sheets at print size (.png)."
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of a batch")
    parser.add_argument("-o", "--output", type=output_path, required=True, metavar="FILE", help=", ".join(SUFFIXES))
    parser.add_argument("-n", "--count", type=int, default=60, metavar="N", help="punks in an animation (60)")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="X", help="how long each punk is shown (0.5)")
    parser.add_argument("--side", type=int, default=480, metavar="N", help="side of the animation in pixels (480)")
    parser.add_argument("--paper", default="a4", metavar="X", help="a5 to a2, letter, or WIDTHxHEIGHT in mm (a4)")
    parser.add_argument("--dpi", type=int, default=300, metavar="N", help="pixels an inch of paper (300)")
    parser.add_argument("--columns", type=int, default=6, metavar="N", help="punks side by side on paper (6)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes it and says where."""
    from punks.report.preview import write_animation, write_paper

    folder, path, suffix = args.folder, args.output, args.output.suffix.lower()
    if suffix not in SUFFIXES:
        raise RecipeError("output", str(path), f"use a name that ends in {', '.join(SUFFIXES)}")
    if suffix == ".png":
        said = write_paper(folder, path, paper=args.paper, dpi=args.dpi, columns=args.columns)
    else:
        said = write_animation(folder, path, count=args.count, seconds=args.seconds, side=args.side)
    print(printable(said))
    return 0
