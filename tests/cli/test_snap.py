import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.cli import snap as command
from punks.errors import ImageError, RecipeError
from punks.files.pictures import open_picture


def punks_snap(*words: object) -> int:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    args = parser.parse_args(["snap", *map(str, words)])
    return args.run(args)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        cells = rng.integers(0, 256, (6, 3), np.uint8)[rng.integers(0, 6, (24, 24))]
        Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST).save(tmp_path / f"{name}.png")
    return tmp_path


def test_folders_globs_and_files(folder: Path) -> None:
    assert punks_snap(folder, "-o", folder / "out", "--size", 96) == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["a.png", "b.png"]
    assert open_picture(folder / "out" / "a.png").size == (96, 96)
    assert punks_snap(folder / "*.png", "-o", folder / "two", "--lock-palette", "--colors", 4) == 0
    found = [np.asarray(open_picture(p)).reshape(-1, 3) for p in (folder / "two").iterdir()]
    assert len(np.unique(np.concatenate(found), axis=0)) <= 4
    assert punks_snap(folder / "a.png", "-o", folder / "one.png", "--palette", "#000,#fff", "--dither") == 0


def test_nothing_is_overwritten_silently(folder: Path) -> None:
    before = (folder / "a.png").read_bytes()
    with pytest.raises(RecipeError, match="exists"):
        punks_snap(folder / "a.png", "-o", folder / "b.png")
    for target in (folder, folder / "a.png"):
        with pytest.raises(RecipeError, match="it is the picture to restore; use another"):
            punks_snap(folder / "a.png", "-o", target, "--force")
    assert (folder / "a.png").read_bytes() == before
    assert punks_snap(folder / "a.png", "-o", folder / "b.png", "--force") == 0


def test_failures_are_listed_and_the_rest_is_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.png").write_bytes(b"nothing")
    Image.new("RGB", (512, 400)).save(folder / "d.png")
    soft = Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8))
    soft.resize((512, 512), Image.Resampling.BICUBIC).save(folder / "e.png")
    assert punks_snap(folder, "-o", folder / "out") == 1
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["a.png", "b.png"]
    said = capsys.readouterr().err
    for word in ("c.png: not a picture", "d.png: 512x400", "e.png: no 24x24 grid"):
        assert word in said


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder where not even root can write")
def test_a_folder_that_takes_no_file_is_said_before_any_is_restored(folder: Path) -> None:
    inside = folder / "a.png"
    for output, where in (("/proc", "/proc"), ("/proc/new/out.png", "/proc"), (inside / "out", inside)):
        with pytest.raises(ImageError, match=f"{where}: cannot be written"):
            punks_snap(inside, "-o", output)


def test_impossible_wishes(folder: Path) -> None:
    for words in (["--dither"], ["--size", 9], ["--palette", "nope"], ["--background", "nope"]):
        with pytest.raises(RecipeError):
            punks_snap(folder / "a.png", "-o", folder / "out.png", *words)
    with pytest.raises(RecipeError, match="folder"):
        punks_snap(folder, "-o", folder / "out.png")


def test_an_output_that_is_neither_a_png_nor_a_folder_is_refused(folder: Path) -> None:
    (folder / "file").touch()
    for name in ("out.jpg", "out.WEBP", "file"):
        with pytest.raises(RecipeError, match=r"use a file name that ends in \.png, or a folder"):
            punks_snap(folder / "a.png", "-o", folder / name)
    assert not (folder / "out.jpg").exists()
    assert punks_snap(folder / "a.png", "-o", folder / "v1.2") == 0
    assert (folder / "v1.2" / "a.png").is_file()
