"""Colors have one meaning everywhere, and the difference between two is that of snap's own arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from punks.errors import RecipeError
from punks.palette import MAX_COLORS, Palette, background_color, difference, hex_codes, parse_color
from punks.snap.color import ciede2000, lab
from punks.vocabulary import COLORS

RGB = st.tuples(*[st.integers(0, 255)] * 3)


@pytest.mark.parametrize("code", ["#6ae745", "6AE745", " #6ae745 ", "BRIGHT neon green"])
def test_codes_and_words(code: str):
    assert parse_color(code) == (106, 231, 69)


def test_the_words_of_the_captions_come_before_css():
    assert parse_color("teal") == COLORS["teal"] == parse_color("Teal")
    assert parse_color("darkblue") == parse_color("dark blue") == COLORS["dark blue"]
    assert parse_color("tomato") == (255, 99, 71)
    assert parse_color("light grey") == parse_color("lightgray") == (211, 211, 211)
    assert parse_color("#abc") == (170, 187, 204)


@pytest.mark.parametrize("text", ["", "#12345", "puce-ish", "rgb(1,2,3)", "#ff00000g", "teal,"])
def test_other_words_are_refused(text: str):
    with pytest.raises(RecipeError, match=r"color: .* use a hex code such as #6ae745 or a color name such as teal"):
        parse_color(text)


@pytest.mark.parametrize(
    ("words", "color"),
    [
        ("teal", (20, 138, 140)),
        ("navy", (0, 0, 128)),
        ("light sea green", (32, 178, 170)),
        ("solid teal background", (20, 138, 140)),
        ("sea green (#2E8B57)", (46, 139, 87)),
        ("blue and red split", None),
        ("a sunset over the sea", None),
        ("()", None),
    ],
)
def test_the_color_of_a_background(words: str, color: tuple[int, int, int] | None):
    assert background_color(words) == color


@pytest.mark.parametrize("text", ["#fff,#000", "#fff #000", "fff 000", "white (no)", "#fff;#000", "#fff\n#000"])
def test_palettes_in_text(text: str):
    if "(" in text:
        with pytest.raises(RecipeError, match="palette: "):
            Palette.parse(text)
    else:
        assert Palette.parse(text).hexes == ["#ffffff", "#000000"]


def test_palettes_keep_their_order_and_each_color_once():
    palette = Palette.parse(["#6ae745", "black", (189, 213, 197), "#6AE745"])
    assert str(palette) == "#6ae745,#121016,#bdd5c5"
    assert Palette.parse(str(palette)) == Palette.parse(np.array(palette.colors, np.uint8)) == palette
    assert Palette.parse("dark blue, teal").colors == (COLORS["dark blue"], COLORS["teal"])


def test_limits_of_a_palette():
    codes = [(i >> 8, i & 255, 0) for i in range(MAX_COLORS + 1)]
    assert len(Palette.parse(codes[:-1]).colors) == MAX_COLORS
    for bad in (codes, [], [(1, 2)], [(1, 2, 256)], [None]):
        with pytest.raises(RecipeError, match="palette: "):
            Palette.parse(bad)


def test_hex_codes_in_order_and_once():
    text = "bright green background (#6AE745), palette: #6ae745, #bdd5c5 #fff, #12345 and #1234567"
    assert hex_codes(text) == [(106, 231, 69), (189, 213, 197), (255, 255, 255)]


@given(one=RGB, two=RGB)
def test_the_difference_is_ciede2000(one: tuple[int, int, int], two: tuple[int, int, int]):
    arrays = ciede2000(lab(np.array(one, np.uint8)), lab(np.array(two, np.uint8)))
    assert difference(one, two) == pytest.approx(float(arrays), abs=0.02)
