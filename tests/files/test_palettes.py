from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from punks.errors import ImageError, RecipeError
from punks.files.palettes import parse_color, parse_palette, read_palette

COLORS = [(106, 231, 69), (0, 0, 0), (189, 213, 197)]


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_hex_codes_round_trip(color: tuple[int, int, int]) -> None:
    code = "{:02x}{:02x}{:02x}".format(*color)
    assert parse_color(code) == parse_color(f"#{code.upper()}") == color


def test_names_and_short_codes() -> None:
    assert parse_color("Teal") == (0, 128, 128)
    assert parse_color("#abc") == (170, 187, 204)


@pytest.mark.parametrize("text", ["", "#12345", "#gggggg", "rgb(1,2,3)", "puce-ish", "transparent", "hsl(1,2%,3%)"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="colour"):
        parse_color(text)


def test_parse_palette() -> None:
    assert parse_palette(["#6ae745", "black", (189, 213, 197), "#6AE745"]).tolist() == [list(c) for c in COLORS]
    for bad in ([], [(1, 2)], [(0, 0, 256)], ["nope"], [(i, j, 0) for i in range(30) for j in range(30)]):
        with pytest.raises(RecipeError):
            parse_palette(bad)


def test_palette_files(tmp_path: Path) -> None:
    (tmp_path / "a.hex").write_text("6ae745\n000000\nbdd5c5\n")
    lines = "".join(f"{r:3} {g:3} {b:3}\tcolour\n" for r, g, b in COLORS)
    (tmp_path / "a.gpl").write_text(f"GIMP Palette\nName: mine\nColumns: 3\n# a comment\n{lines}")
    Image.fromarray(np.array([COLORS], np.uint8)).save(tmp_path / "a.png")
    for name in ("a.hex", "a.gpl", "a.png"):
        assert read_palette(tmp_path / name).tolist() == [list(c) for c in COLORS]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.hex", "nope"), ("a.hex", ""), ("a.gpl", "1 2 3"), ("a.gpl", "GIMP Palette\nx y z"), ("a.txt", "#000000")],
)
def test_bad_palette_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ImageError, match=name):
        read_palette(tmp_path / name)
    with pytest.raises(ImageError):
        read_palette(tmp_path / "missing.hex")
