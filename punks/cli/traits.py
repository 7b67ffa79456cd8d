"""`punks traits`: the words for a portrait that the LoRA was trained on."""

import argparse
import json
import textwrap

from punks.vocabulary import TRAITS


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "List the words for traits that the LoRA was trained on. Others are painted too, less surely."
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the vocabulary, a trait a paragraph."""
    if args.json:
        print(json.dumps(TRAITS))
        return 0
    width = max(len(name) for name in TRAITS) + 2
    for name, words in TRAITS.items():
        print(textwrap.fill(", ".join(words), 100, initial_indent=name.ljust(width), subsequent_indent=" " * width))
    return 0
