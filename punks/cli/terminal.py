"""What commands print: text that is safe for a terminal, palettes as swatches, and where one can be drawn."""

import os
import sys
from collections.abc import Iterable

MOST = 32  # swatches on a line


def printable(text: str) -> str:
    """Text without control characters: names and files from outside cannot drive the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def say(text: str) -> None:
    """Prints a line to stderr, where messages go."""
    print(printable(text), file=sys.stderr, flush=True)


def swatches(colors: Iterable[tuple[int, int, int]]) -> str:
    """The colors as small blocks; empty where the terminal shows none. https://no-color.org"""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not (sys.stdout and sys.stdout.isatty()):
        return ""
    shown = list(colors)
    blocks = "".join(f"\x1b[48;2;{r};{g};{b}m \x1b[0m" for r, g, b in shown[:MOST])
    return blocks + (" ..." if len(shown) > MOST else "")
