"""The options of all commands: one for each field of a recipe and a finish, and what their values become."""

import argparse
import difflib
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from punks.errors import ImageError, RecipeError
from punks.fields import bounds, parse_value
from punks.palette import Palette
from punks.request import ALIASES, FIELDS

PALETTE_FILES = (".hex", ".gpl", ".pal", ".txt", ".ase", ".act", ".gif", ".png", ".webp")
# options of version 0.1 and what they are called today
RENAMED = {"--palette-lock": "--shared-palette", "--lock-palette": "--shared-palette"}
_IMAGE = "image_sha256"  # on the command line the file itself is given


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where the options are listed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n{self.prog} --help lists the options\n")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Ends the program, with the option that an unknown one may stand for."""
        option = unknown[0].partition("=")[0]
        if not option.startswith("-"):
            self.error(f"unexpected argument {unknown[0]!r}; put quotes around a text with spaces")
        if option in RENAMED:
            self.error(f"{option} is called {RENAMED[option]} now")
        known = re.findall(r"--[\w-]+", self.format_help())
        near = difflib.get_close_matches(option, known, 1, 0.75)
        self.error(f"unknown option {option}" + (f"; did you mean {near[0]}?" if near else ""))


def add_fields(parser: Any, names: Iterable[str]) -> None:
    """Declares the options of these fields."""
    for name in names:
        field, limits = FIELDS[name], bounds(FIELDS[name])
        if name == _IMAGE:
            parser.add_argument("--image", type=Path, metavar="FILE", help="picture to start from (img2img)")
            continue
        if name == "loras":
            parser.add_argument(
                "--lora",
                action="append",
                metavar="SOURCE",
                help="LoRA beside the variant's own, or without --variant instead of it: FILE, https://... or "
                "hf:OWNER/REPO[/FILE], with :SCALE behind it; repeat for more",
            )
            continue
        words = [name, *(short for short, full in ALIASES.items() if full == name and "colour" not in short)]
        options = [f"--{word.replace('_', '-')}" for word in words]
        if field.type is bool:
            parser.add_argument(*options, action=argparse.BooleanOptionalAction, default=None, help=limits.about)
            continue
        about = limits.about
        if name == "palette":
            about += f" Or a file: {', '.join(PALETTE_FILES)}."
        elif limits.choices:
            about += f" One of {', '.join(limits.choices)}."
        elif limits.le is not None:
            about += f" {limits.ge} to {limits.le}."
        parser.add_argument(*options, type=_typed(name), dest=name, metavar="X", help=about)


def _typed(name: str) -> Any:
    def parsed(text: str) -> Any:
        try:
            return parse_value(FIELDS[name], text)
        except RecipeError as error:
            raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from error

    return parsed


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The values of those options that were given, the palette read from its file."""
    found = {name: value for name in names if (value := getattr(args, name, None)) is not None}
    if "palette" in found:
        found["palette"] = palette_of(found["palette"])
    if getattr(args, "lora", None):
        from punks.cli.terminal import say
        from punks.lora.store import with_loras

        found = with_loras(found, args.lora, say)
    return found


def palette_of(text: str) -> str:
    """A palette as a finish takes it, of that text or of a palette file. Raises ImageError, RecipeError."""
    if not re.search(r"[./]", text):  # no color has either
        return text
    from punks.files.palettes import read_palette
    from punks.files.pictures import local

    return str(Palette.parse(read_palette(local(text))))


def require_writable(folder: Path) -> None:
    """Raises ImageError where no file can be written; it is tried with one that has no name."""
    folder = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImageError(f"{folder}: cannot be written ({error.strerror or error})") from error


def free_path(path: Path) -> Path:
    """The path, or with a number behind the name where a file lies there already."""
    found, number = path, 2
    while found.exists():
        found, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return found


def output_path(text: str) -> Path:
    """The value of --output: a file or a folder. `-` would be a file of that name."""
    if text == "-":
        raise argparse.ArgumentTypeError("pictures are not written to stdout; name a file or a folder")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"there is no home folder for {text!r}; use a full path") from error


def present_variant() -> str:
    """The default variant where its weights are, else the demo, and a line that says so."""
    from punks import variants
    from punks.files import weights

    row = variants.variant(variants.DEFAULT)
    if weights.available(row):
        return row.name
    print(f"{row.name} is not installed; painting with the small demo model instead", file=sys.stderr)
    print(f"to install it: {weights.fetch_command(row)}", file=sys.stderr)
    return "demo"
