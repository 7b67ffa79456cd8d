"""`punks traits`: the words for a portrait that the LoRA was trained on."""

import argparse
import json
import textwrap
from typing import Any

from punks.traits import VOCABULARY


def add(subparsers: Any) -> None:
    """Declares the command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "traits",
        help="list the words for traits that the LoRA knows",
        description="List the words for traits that the LoRA was trained on. Others are painted too, less surely.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the vocabulary, a trait a paragraph."""
    if args.json:
        print(json.dumps(VOCABULARY))
        return 0
    width = max(len(name) for name in VOCABULARY) + 2
    for name, words in VOCABULARY.items():
        print(textwrap.fill(", ".join(words), 100, initial_indent=name.ljust(width), subsequent_indent=" " * width))
    return 0
