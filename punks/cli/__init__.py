"""The command line: `punks COMMAND`, also `python -m punks COMMAND`."""

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from punks.cli.options import Parser
from punks.errors import PunkError, RecipeError

FAILURE, USAGE, INTERRUPTED = 1, 2, 130
COMMANDS = {
    "generate": "paint punks from a prompt",
    "finish": "change the background, eyes, colors or size of finished punks",
    "studio": "make punks on a page in the browser",
    "batch": "paint many punks into a folder",
    "provenance": "verify the pictures of a collection against their provenance hash",
    "preview": "make an animation or a sheet to print of finished punks",
    "traits": "list the words for traits that the LoRA knows",
    "snap": "restore pictures made elsewhere to exact pixel art",
    "weights": "list, verify and fetch weights",
    "inspect": "describe a LoRA file, its training, and whether it can be served",
    "train-command": "print the command that trains a variant",
    "compare": "paint the same pictures over epochs, or another setting, and score them",
    "store": "bring results into a database, and export them from it",
    "serve": "serve over HTTP, as Replicate does",
}
_RENAMED = {"recipe": "train-command"}


def make_parser(command: str | None = None) -> Parser:
    """The commands; with the options of one of them, or of all."""
    parser = Parser(prog="punks", description="Prompts in, exact 24x24 pixel-art portraits out.")
    parser.add_argument("--version", action="version", version=f"punks {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        one = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        one.set_defaults(parser=one, command=name)
        if command in (None, name):
            import_module(f"punks.cli.{name.replace('-', '_')}").declare(one)
    return parser


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("punks")
    except PackageNotFoundError:
        return "(a checkout that was never installed)"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. 0: all went well; 1: it failed; 2: it was called wrongly; 130: Ctrl-C."""
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("punks: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(argv: Sequence[str]) -> int:
    from punks.cli.terminal import say
    from punks.files.own_variants import load_variants

    try:
        load_variants()
    except PunkError as error:
        say(f"punks: {error}")
        return FAILURE
    command = next((word for word in argv if not word.startswith("-")), None)
    parser = make_parser(command if command in COMMANDS else "")
    if command in _RENAMED:
        parser.error(f"`{command}` is called `{_RENAMED[command]}` now")
    if command and command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, 1)
        parser.error(f"unknown command {command}" + (f"; did you mean {near[0]}?" if near else ""))
    if not argv:
        parser.print_help(sys.stderr)
        return USAGE
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        args.parser.refuse(unknown)
    try:
        code = args.run(args)
        if sys.stdout:
            sys.stdout.flush()  # what cannot be written is an error now, not one of Python's own at its end
    except PunkError as error:
        say(f"punks: {error}")
        return USAGE if isinstance(error, RecipeError) else FAILURE
    except BrokenPipeError:  # whoever read our output has left
        _close_stdout()
        return FAILURE
    except OSError as error:  # a folder that may not be entered, a full disk behind stdout
        say(f"punks: {error.filename or 'output'}: {error.strerror or error}")
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
