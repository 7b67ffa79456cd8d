"""Whatever is wrong with a picture, it is read or refused by name, and the others are read."""

import builtins
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.cli import main
from punks.errors import ImageError
from punks.files.formats import FAULTS
from punks.files.pictures import convert, read_picture
from tests.support import icc, malformed

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8))
BUGS = {
    "ImportError",
    "NameError",
    "ReferenceError",
    "StopIteration",
    "StopAsyncIteration",
    "ExceptionGroup",
    "Warning",
}


def test_every_error_that_bad_data_can_cause_is_a_fault() -> None:
    known = {kind.__name__: kind for kind in vars(builtins).values() if isinstance(kind, type)}
    direct = {name for name, kind in known.items() if issubclass(kind, Exception) and kind.__base__ is Exception}
    assert direct - {fault.__name__ for fault in FAULTS} == BUGS & direct


@pytest.mark.parametrize("seed", range(2))
def test_malformed_pictures(tmp_path: Path, seed: int) -> None:
    path, counts = tmp_path / "picture", {"read": 0, "refused": 0}
    with warnings.catch_warnings(action="error"):
        for what, data in malformed.structures(PICTURE, random.Random(seed)):
            path.write_bytes(data)
            try:
                found = read_picture(path)
            except ImageError:
                counts["refused"] += 1
            else:
                assert found.image.mode in ("RGB", "RGBA"), what
                counts["read"] += 1
    assert min(counts.values()) > 300


def test_malformed_profiles() -> None:
    draw = random.Random(0)
    table = np.frombuffer(draw.randbytes(48), np.uint8).reshape(2, 2, 2, 2, 3)
    profiles = [icc.matrix_profile(icc.DISPLAY_P3), icc.gray_profile(icc.gamma(1.8)), icc.cmyk_profile(table)]
    warned = 0
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK"):
        for profile in profiles:
            for _ in range(10):
                at = draw.randrange(len(profile))
                image = PICTURE.convert(mode)
                image.info["icc_profile"] = profile[:at] + draw.choice([b"", b"\0", b"\xff"]) + profile[at + 1 :]
                found = convert(image)
                assert found.image.size == PICTURE.size
                warned += bool(found.warnings)
    assert warned > 50


def test_none_of_them_ends_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, draw = tmp_path / "in", random.Random(3)
    folder.mkdir()
    cells = np.random.default_rng(0).integers(0, 256, (6, 3), np.uint8)[
        np.random.default_rng(1).integers(0, 6, (24, 24))
    ]
    good = Image.fromarray(cells).resize((96, 96), Image.Resampling.NEAREST)
    every = list(malformed.structures(good, draw))
    for number, (_, data) in enumerate(draw.sample(every, 100)):
        (folder / f"{number:03}.png").write_bytes(data)
    good.save(folder / "zzz.png")
    assert main(["snap", str(folder), "-o", str(tmp_path / "out")]) == 1
    with Image.open(tmp_path / "out" / "zzz.png") as image:
        assert np.array_equal(np.asarray(image.resize((24, 24), Image.Resampling.NEAREST)), cells)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    written = len(list((tmp_path / "out").iterdir()))
    assert said.count(str(folder)) == 101 - written
    assert written > 10


def test_what_reading_lost_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = Image.new("RGBA", (24, 24), (0, 0, 0, 0))
    figure.paste((200, 30, 60, 255), (6, 6, 18, 24))
    figure.paste((30, 200, 60, 120), (8, 8, 12, 10))
    figure.resize((480, 480), Image.Resampling.NEAREST).save(tmp_path / "a.png", icc_profile=b"no profile")
    assert main(["snap", str(tmp_path / "a.png"), "-o", str(tmp_path / "out.png")]) == 0
    said = capsys.readouterr().err
    assert "8 cells with alpha under 128 become transparent" in said
    assert "its color profile is broken" in said


def test_an_empty_picture_is_never_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = Image.new("RGBA", (480, 480), (0, 0, 0, 0))
    figure.paste((200, 30, 60, 120), (100, 100, 400, 480))
    figure.save(tmp_path / "a.png")
    assert main(["snap", str(tmp_path / "a.png"), "-o", str(tmp_path / "out.png")]) == 1
    assert "a.png: nothing would be left: alpha is under 128 everywhere" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_a_frame_is_chosen(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (96, 96), color) for color in ("red", "lime")]
    for number, image in enumerate(frames):
        image.paste("black", (0, 48, 48, 96 - 4 * number))
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert main(["snap", str(tmp_path / "a.gif"), "-o", str(tmp_path / "out.png")]) == 1
    assert main(["snap", str(tmp_path / "a.gif"), "--frame", "1", "-o", str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as image:
        assert image.convert("RGB").getpixel((1000, 10)) == (0, 255, 0)
