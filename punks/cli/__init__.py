"""The command line: `punks COMMAND`, also `python -m punks COMMAND`."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from punks.cli import batch, compare, generate, inspect, serve, snap, train_command, traits, weights
from punks.errors import PunkError, RecipeError

FAILURE, USAGE, INTERRUPTED = 1, 2, 130


def make_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="punks", description="Prompts in, exact 24x24 pixel-art portraits out.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"punks {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (generate, batch, traits, snap, weights, inspect, train_command, compare, serve):
        command.add(commands)
    for one in commands.choices.values():
        one.set_defaults(parser=one)
    return parser


def _version() -> str:
    try:
        return version("punks")
    except PackageNotFoundError:
        return "(a checkout that was never installed)"


def _refuse(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> None:
    """Ends the program, naming the option that an unknown one may have meant."""
    known = re.findall(r"--[\w-]+", parser.format_help())
    near = difflib.get_close_matches(unknown[0].partition("=")[0], known, 1)
    parser.error(f"unrecognized arguments: {' '.join(unknown)}" + (f"; did you mean {near[0]}?" if near else ""))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. 0: all went well; 1: it failed; 2: it was called wrongly; 130: Ctrl-C."""
    args, unknown = make_parser().parse_known_args(argv)
    if unknown:
        _refuse(args.parser, unknown)
    try:
        code = args.run(args)
        if sys.stdout:
            sys.stdout.flush()  # what cannot be written is an error now, not one of Python's own at its end
    except RecipeError as error:
        print(f"punks: {error}", file=sys.stderr)
        return USAGE
    except PunkError as error:
        print(f"punks: {error}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print("punks: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has left
        _close_stdout()
        return FAILURE
    except OSError as error:  # a folder that may not be entered, a full disk behind stdout
        print(f"punks: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        _close_stdout()
        return FAILURE
    return code


def _close_stdout() -> None:
    """Says what still can be said: what is left Python would try once more at its end, and complain."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
