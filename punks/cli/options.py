"""The options of all commands: one for each field of a recipe and a finish, and what their values become."""

import argparse
import difflib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from punks import fast
from punks.errors import ImageError, RecipeError, StoreError
from punks.fields import bounds, parse_value
from punks.palette import Palette
from punks.request import ALIASES, FIELDS

PALETTE_FILES = (".hex", ".gpl", ".pal", ".txt", ".ase", ".act", ".gif", ".png", ".webp")
# options of version 0.1 and what they are called today
RENAMED = {"--palette-lock": "--shared-palette", "--lock-palette": "--shared-palette"}
log = logging.getLogger(__name__)
_IMAGE = "image_sha256"  # on the command line the file itself is given


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where the options are listed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride] - it has overloads
        self, args: Any = None, namespace: Any = None
    ) -> Any:
        """Reads `--fast "lady, red hair"` as the switch and a prompt, `--fast lcm` as its name."""
        words = list(sys.argv[1:] if args is None else args)
        for at, word in enumerate(words):
            if word == "--fast" and words[at + 1 : at + 2] and words[at + 1] not in fast.CHOICES:
                words[at] = f"--fast={fast.ON}"
        return super().parse_known_args(words, namespace)

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
        if name == "fast":
            add_fast(parser, f"{limits.about} One of {', '.join(limits.choices or ())}.")
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


def add_fast(parser: Any, about: str) -> None:
    """Declares --fast, which takes a name or stands alone."""
    parser.add_argument("--fast", nargs="?", const=fast.ON, choices=fast.CHOICES, metavar="NAME", help=about)


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


def add_store(parser: argparse.ArgumentParser) -> None:
    """Declares --store."""
    parser.add_argument(
        "--store",
        metavar="URL",
        help="also keep the results in a database: an SQLite file, sqlite:///FILE or "
        "postgresql://USER:PASSWORD@HOST/NAME; by default PUNKS_STORE, which no other user of the machine sees",
    )


def store_url(args: argparse.Namespace) -> str | None:
    """The address of the database, if one was given. Raises StoreError where the package for it is missing."""
    url: str | None = args.store or os.environ.get("PUNKS_STORE")
    if url and find_spec("sqlalchemy") is None:
        raise StoreError("a store needs sqlalchemy; pip install 'punks[store]'")
    return url


def stored(args: argparse.Namespace, folder: Path) -> AbstractContextManager[None]:
    """Within it what is made in the folder is kept in the database too, if one was given."""
    if (url := store_url(args)) is None:
        return nullcontext()
    from punks.cli.terminal import printable
    from punks.store.folder import kept

    return kept(folder, url, lambda line: log.warning("%s", printable(line)))


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


def present_variant(args: argparse.Namespace) -> str:
    """The default variant where its weights are, else the demo, as `say_demo` says once nothing is refused."""
    from punks import variants
    from punks.files import weights

    row = variants.variant(variants.DEFAULT)
    if weights.available(row):
        return row.name
    args.instead = (
        f"{row.name} is not installed; painting with the small demo model instead",
        f"to install it: {weights.fetch_command(row)}",
    )
    return "demo"


def say_demo(args: argparse.Namespace) -> None:
    """Says that the demo paints, where `present_variant` chose it."""
    for line in getattr(args, "instead", ()):
        print(line, file=sys.stderr)
