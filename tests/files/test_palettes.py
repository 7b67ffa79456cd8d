import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import swatch
from hypothesis import given
from hypothesis import strategies as st
from PIL import GimpPaletteFile, Image

from punks.cli.options import PALETTE_FILES
from punks.errors import ImageError
from punks.files.palettes import SUFFIXES, read_palette, write_palette
from tests.support import icc

COLORS = [(106, 231, 69), (0, 0, 0), (189, 213, 197)]


LINES = "".join(f"{r:3} {g:3} {b:3}\tcolor\n" for r, g, b in COLORS)
ROWS = "".join(f"{r} {g} {b}\r\n" for r, g, b in COLORS)
TEXTS = {
    "plain.hex": "6ae745\n000000\nbdd5c5\n",
    "hashes.hex": "; lospec\n#6AE745\n\n#000\n#bdd5c5",
    "windows.HEX": "\ufeff6ae745\r\n000000\r\nbdd5c5\r\n",
    "gimp.gpl": f"GIMP Palette\nName: mine\nColumns: 3\n# a comment\n{LINES}",
    "old.gpl": "GIMP Palette\n" + LINES.replace("\tcolor", ""),
    "named by numbers.gpl": "GIMP Palette\n106 231 69 0\n0 0 0 50 percent\n189 213 197 7\n",
    "aseprite.gpl": "GIMP Palette\nChannels: RGBA\n#\n106 231 69 255 a\n  0   0 0 0 Clear\n0 0 0 255\n189 213 197 9\n",
    "jasc.pal": f"JASC-PAL\r\n0100\r\n3\r\n{ROWS}",
    "alpha.pal": "JASC-PAL\n0100\n4\n106 231 69 255\n9 9 9 0\n0 0 0 255\n189 213 197 128\n",
    "paint.txt": ";paint.net Palette File\r\n;Colors: 3\r\nFF6AE745\r\nFF000000\r\n00123456\r\nFFBDD5C5\r\n",
    "short.txt": "6AE745\n000000\nBDD5C5\n",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_text_files(tmp_path: Path, name: str, encoding: str) -> None:
    text = TEXTS[name].replace("color", "colouré").replace("\ufeff", "" if encoding != "utf-8" else "\ufeff")
    (tmp_path / name).write_bytes(text.encode(encoding))
    assert read_palette(tmp_path / name) == COLORS


def test_binary_files(tmp_path: Path) -> None:
    table = b"".join(map(bytes, COLORS))
    body = b"".join(bytes([*color, 0]) for color in COLORS)
    riff = (
        b"RIFF" + struct.pack("<I", 16 + len(body)) + b"PAL data" + struct.pack("<IHH", 4 + len(body), 0x300, 3) + body
    )
    clear = table[:3] + b"\7\7\7" + table[3:]
    files = {
        "microsoft.pal": riff,
        "photoshop.act": table.ljust(768, b"\0"),
        "counted.act": table.ljust(768, b"\0") + struct.pack(">HH", 3, 0xFFFF),
        "clear.act": clear.ljust(768, b"\0") + struct.pack(">HH", 4, 1),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        assert read_palette(tmp_path / name) == COLORS, name


def test_a_swatch_exchange_file_of_another_program(tmp_path: Path) -> None:
    def named(name: str, mode: str, *values: float) -> dict[str, object]:
        return {"name": name, "type": "Process", "data": {"mode": mode, "values": list(values)}}

    inside = [named("ü", "RGB", 0, 0, 0), named("é", "CMYK", 0, 1, 1, 0), named("", "Gray", 0.5)]
    group = {"name": "group", "type": "Color Group", "swatches": inside}
    swatch.write([named("loose", "RGB", 106 / 255, 231 / 255, 69 / 255), group], str(tmp_path / "a.ase"))
    assert read_palette(tmp_path / "a.ase") == [(106, 231, 69), (0, 0, 0), (255, 0, 0), (128, 128, 128)]
    for lab in ((50, 0, 0), (60, 40, -50), (80, -30, 60)):
        swatch.write([named("lab", "LAB", lab[0] / 100, *lab[1:])], str(tmp_path / "a.ase"))
        assert abs(np.array(read_palette(tmp_path / "a.ase")) - icc.lab_to_srgb(np.array(lab))).max() <= 2


@pytest.mark.parametrize("suffix", ["png", "gif", "webp"])
def test_pictures_give_the_colors_of_their_pixels(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.array([COLORS, COLORS[::-1]], np.uint8)).save(tmp_path / f"a.{suffix}", lossless=True)
    assert sorted(read_palette(tmp_path / f"a.{suffix}")) == sorted(COLORS)
    if suffix != "gif":  # a GIF has a table, which Pillow sorts
        assert read_palette(tmp_path / f"a.{suffix}") == COLORS


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_indexed_pictures_give_their_table_in_its_order(tmp_path: Path, suffix: str) -> None:
    image = Image.new("P", (3, 2), 2)
    image.putpalette([level for color in [*COLORS, (9, 9, 9)] for level in color])
    image.putpixel((0, 0), 3)
    image.save(tmp_path / f"a.{suffix}", optimize=False)
    assert read_palette(tmp_path / f"a.{suffix}") == [*COLORS, (9, 9, 9)]
    image.save(tmp_path / f"a.{suffix}", optimize=False, transparency=3)
    assert read_palette(tmp_path / f"a.{suffix}") == COLORS


def test_a_table_is_not_filled_up_with_black(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([200, 0, 0, 0, 200, 0] + [0] * 762)
    for suffix in ("png", "gif"):
        image.save(tmp_path / f"a.{suffix}", optimize=False)
        assert read_palette(tmp_path / f"a.{suffix}") == [(200, 0, 0), (0, 200, 0)]


def test_transparent_pixels_are_no_colors(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3, 255], [9, 9, 9, 0], [0, 0, 0, 0], [4, 5, 6, 1]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_palette(tmp_path / "a.png") == [(1, 2, 3), (4, 5, 6)]
    Image.fromarray(pixels[:, 1:3]).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="all 1 entries are transparent; a palette has 1 to 576"):
        read_palette(tmp_path / "a.png")


def test_tables_go_through_the_profile_and_are_never_turned(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1), 0)
    image.putpalette([level for color in COLORS for level in color])
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "a.png", exif=exif, icc_profile=icc.matrix_profile(icc.DISPLAY_P3))
    expected = icc.to_srgb(np.array(COLORS, np.uint8), icc.DISPLAY_P3)
    assert abs(np.array(read_palette(tmp_path / "a.png")) - expected).max() <= 1


@given(colors=st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=300, unique=True))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, colors: list[tuple[int, int, int]]) -> None:
    folder = tmp_path_factory.mktemp("palettes")
    for suffix in ("gpl", "hex", "pal", "ase"):
        write_palette(folder / f"a.{suffix}", colors, "my\npalette é🙂")
        assert read_palette(folder / f"a.{suffix}") == colors
    # by independent readers
    gimp = GimpPaletteFile.GimpPaletteFile.frombytes((folder / "a.gpl").read_bytes())
    assert gimp.palette == b"".join(map(bytes, colors))
    (group,) = swatch.parse(str(folder / "a.ase"))
    assert group["name"] == "my palette é🙂"
    assert [tuple(round(255 * v) for v in one["data"]["values"]) for one in group["swatches"]] == colors


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.txt: \.txt cannot be written; use \.gpl, \.hex, \.pal or \.ase"):
        write_palette(tmp_path / "a.txt", COLORS)
    with pytest.raises(ImageError, match="there are no colors to write"):
        write_palette(tmp_path / "a.hex", [])
    with pytest.raises(ImageError, match=r"absent.a\.hex: cannot be written"):
        write_palette(tmp_path / "absent" / "a.hex", COLORS)
    assert not list(tmp_path.iterdir())


ASE = b"ASEF\0\1\0\0\0\0\0\1\0\1"
GPL = "GIMP Palette\n"
JASC = "JASC-PAL\n0100\n"
BAD = {
    "a.hex": ["nope", "", "; nothing\n", "12345", "6ae745 000000", "6ae745,", "-1", "6ae745ff", "\0\0\0"],
    "a.txt": ["GG000000", "", "1 2 3", "00123456\n00FFFFFF", "FF00000"],
    "a.gpl": [
        *(
            "1 2 3",
            "",
            GPL,
            f"{GPL}x y z",
            f"{GPL}1 2",
            f"{GPL}1 2 256",
            f"{GPL}1 2 -3",
            f"{GPL}1.5 2 3",
            f"{GPL}1,2,3",
        ),
        *(f"{GPL}1 2 3x", f"{GPL}1 2 3000 a", f"{GPL}Channels: RGBA\n1 2 3 a", f"{GPL}Channels: RGBA\n1 2 3 256"),
        *(f"{GPL}Channels: RGBA\n1 2 3 0", "gimp palette\n1 2 3", f"{GPL}#ff0000", f"{GPL}1: 2 3 4"),
    ],
    "a.pal": [
        *("", "JASC-PAL", JASC, f"{JASC}1", f"{JASC}2\n1 2 3", f"{JASC}1\n1 2 3\n4 5 6", f"{JASC}one\n1 2 3"),
        *(f"{JASC}1\n1 2", f"{JASC}1\n1 2 256", f"{JASC}1\n1 2 3 4 5", f"{JASC}1\n1 2 x", f"{JASC}1\n1 2 3 0"),
        *(b"RIFF\x20\0\0\0PAL data\x14\0\0\0\0\3\xff\xff" + bytes(16), b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", bytes(768)),
    ],
    "a.act": [b"", bytes(767), bytes(768) + b"\0\0\xff\xff", bytes(769), bytes(768) + b"\0\1\0\0"],
    "a.ase": [
        *(b"", b"ASEF", b"ASEF\0\1\0\0\0\0\0\0", b"\0\0\0\0\xe0\xa5" + bytes(122), b"ASEF\0\1\0\0\xff\xff\xff\xff"),
        *(ASE, ASE + b"\0\0\0\x16\0\1\0\0RGB " + struct.pack(">ff", 1, 1)),
        *(ASE + b"\0\0\0\x16\0\1\0\0HSB " + bytes(14), ASE + b"\xff\xff\xff\xff\0\1\0\0Grey" + bytes(9)),
        ASE + b"\0\0\0\x16\xff\xff\0\0RGB " + bytes(14),
        *(
            ASE + b"\0\0\0\x16\0\1\0\0RGB " + struct.pack(">fffH", *values, 0)
            for values in ((0, 0, 1.5), (-1, 0, 0), (0, float("nan"), 0), (float("inf"), 0, 0))
        ),
    ],
    "a.png": [b"", b"words", b"\x89PNG\r\n\x1a\n"],
    "a.gif": [b"GIF89a", b"GIF89a\1\0\1\0\xf0\0\0\1\2\3\4\5\6"],
    "a.doc": ["#000000"],
    "palette": ["#000000"],
}


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, texts in BAD.items() for number in range(len(texts))]
)
def test_bad_palette_files(tmp_path: Path, name: str, number: int) -> None:
    bad = BAD[name][number]
    (tmp_path / name).write_bytes(bad if isinstance(bad, bytes) else bad.encode())
    with pytest.raises(ImageError, match=name):
        read_palette(tmp_path / name)


def test_the_command_line_knows_the_formats() -> None:
    assert set(PALETTE_FILES) == SUFFIXES


def test_refusals_name_formats_and_limits(tmp_path: Path) -> None:
    for name in ("a.doc", "a"):
        with pytest.raises(ImageError, match=r"not a palette format; use \.act, \.ase, \.gif, \.gpl, \.hex, \.pal"):
            read_palette(tmp_path / name)
    for name in ("missing.hex", "missing.png"):
        with pytest.raises(ImageError, match="cannot be read: No such file"):
            read_palette(tmp_path / name)
    (tmp_path / "many.hex").write_text("".join(f"{number:06x}\n" for number in range(577)))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (25, 25, 3), np.uint8)).save(tmp_path / "photo.png")
    for name, count in (("many.hex", 577), ("photo.png", 625)):
        with pytest.raises(ImageError, match=f"{name}: {count} colors; a palette has 1 to 576"):
            read_palette(tmp_path / name)
    (tmp_path / "sprite.ase").write_bytes(bytes(4) + b"\xe0\xa5" + bytes(122))
    with pytest.raises(ImageError, match="a sprite of Aseprite, not a palette; save the palette of the sprite as"):
        read_palette(tmp_path / "sprite.ase")


def mutations(draw: random.Random, data: bytes) -> Iterator[bytes]:
    lines = data.split(b"\n")
    for _ in range(60):
        some = list(lines)
        at = draw.randrange(len(some))
        match draw.randrange(5):
            case 0:
                del some[at]
            case 1:
                some.insert(at, draw.choice(lines))
            case 2:
                some[at] = draw.choice([b"", b" ", b"-1 0 0", b"300 0 0", b"1e3 0 0", b"\xff\xfe", b"\0", b"9" * 5000])
            case 3:
                words = some[at].split(b" ")
                words[draw.randrange(len(words))] = draw.choice([b"", b"256", b"x", b"0", b"0.5", b"+1", "٣".encode()])
                some[at] = b" ".join(words)
            case _:
                some[at] = some[at][: draw.randrange(len(some[at]) + 1)]
        yield b"\n".join(some)
    for _ in range(60):
        at = draw.randrange(len(data))
        yield data[:at] + draw.choice([bytes(2), b"\xff\xff", draw.randbytes(4)]) + data[at + draw.choice([0, 2]) :]


def test_malformed_files_are_read_right_or_refused(tmp_path: Path) -> None:
    draw, refused = random.Random(0), 0
    for suffix in ("gpl", "hex", "pal", "ase"):
        path = tmp_path / f"a.{suffix}"
        write_palette(path, COLORS, "a")
        for data in mutations(draw, path.read_bytes()):
            path.write_bytes(data)
            try:
                found = read_palette(path)
            except ImageError:
                refused += 1
            else:
                assert all(0 <= level <= 255 for color in found for level in color)
    assert refused > 100


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.hex").write_text("6ae745")
    assert read_palette(Path(f"~{os.sep}a.hex")) == COLORS[:1]
    write_palette(Path("~/b.hex"), COLORS)
    assert read_palette(tmp_path / "b.hex") == COLORS
