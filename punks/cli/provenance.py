"""`punks provenance`: whether the pictures of a collection are still those of its provenance hash."""

import argparse
from pathlib import Path

from punks.cli.terminal import say


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "Compare the pictures of a collection with its provenance hash, and with a published one."
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of `punks batch --collection`")
    parser.add_argument("published", nargs="?", metavar="HASH", help="the hash that was published")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 where all pictures are as they were, 1 where not."""
    from punks.report.provenance import METHOD, verify

    found, wrong = verify(args.folder, args.published)
    for line in wrong:
        say(f"punks: {line}")
    if wrong:
        return 1
    print(f"{found}\n{METHOD}: {args.folder / 'provenance.json'}")
    return 0
