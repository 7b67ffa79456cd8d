"""Pictures made elsewhere on the command line: many at once, nothing replaced, one that fails ends no other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.cli import main
from punks.files.pictures import open_picture


def punks_snap(*words: object) -> int:
    return main(["snap", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        cells = rng.integers(0, 256, (6, 3), np.uint8)[rng.integers(0, 6, (24, 24))]
        Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST).save(tmp_path / f"{name}.png")
    return tmp_path


def test_folders_globs_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert punks_snap(folder, "-o", folder / "out", "--size", 96) == 0
    said, counted = capsys.readouterr()
    assert [line.split("  ")[0] for line in said.splitlines()] == [str(folder / "out" / f"{name}.png") for name in "ab"]
    assert counted == "punks: 2 written\n"
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.png", "b.png"]
    assert open_picture(folder / "out" / "a.png").size == (96, 96)
    assert punks_snap(folder / "*.png", "-o", folder / "two", "--shared-palette", "--colors", 4) == 0
    found = [np.asarray(open_picture(path)).reshape(-1, 3) for path in (folder / "two").iterdir()]
    assert len(np.unique(np.concatenate(found), axis=0)) <= 4
    assert punks_snap(folder / "a.png", "-o", folder / "one.png", "--palette", "#000,#fff", "--dither") == 0


def test_nothing_is_overwritten_silently(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "a.png").read_bytes()
    assert punks_snap(folder / "a.png", "-o", folder / "b.png") == 2
    assert "it exists; use another name, --skip-existing or --force" in capsys.readouterr().err
    for target in (folder, folder / "a.png"):
        assert punks_snap(folder / "a.png", "-o", target, "--force") == 2
        assert "this is the picture itself; use another name or folder" in capsys.readouterr().err
    assert (folder / "a.png").read_bytes() == before
    assert punks_snap(folder / "a.png", "-o", folder / "b.png", "--skip-existing") == 0
    assert capsys.readouterr().out == ""
    assert punks_snap(folder / "a.png", "-o", folder / "b.png", "--force") == 0
    (folder / "c").mkdir()
    (folder / "c/a.webp").write_bytes(before)
    assert punks_snap(folder / "a.png", folder / "c/a.webp", "-o", folder / "out") == 2
    assert f"both would become {folder / 'out/a.png'}; do one folder at a time" in capsys.readouterr().err


def test_failures_are_listed_and_the_rest_is_done(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "c.png").write_bytes(b"nothing")
    Image.new("RGB", (512, 400)).save(folder / "d.png")
    soft = Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8))
    soft.resize((512, 512), Image.Resampling.BICUBIC).save(folder / "e.png")
    assert punks_snap(folder, "-o", folder / "out") == 1
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.png", "b.png"]
    said = capsys.readouterr().err
    for word in (
        "c.png: not a picture that can be read",
        "d.png: 512x400 px is not square; crop it first",
        "e.png: no 24x24 grid found (confidence 0.",
        "punks: 2 written, 3 failed\n",
    ):
        assert word in said
    assert said.count("c.png") == 1


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder where not even root can write")
def test_a_folder_that_takes_no_file_is_said_before_any_is_restored(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = folder / "a.png"
    for output, where in (("/proc", "/proc"), ("/proc/new/out.png", "/proc"), (inside / "out", inside)):
        assert punks_snap(inside, "-o", output) == 1
        assert capsys.readouterr().err.startswith(f"punks: {where}: cannot be written (")


def test_impossible_wishes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--dither"], "dither: True is not allowed; give the palette to dither with"),
        (["--size", 9], "output_size: 9 is not allowed; use a whole number from 24 to 4096"),
        (["--palette", "nope"], "palette: 'nope' is not allowed"),
        (["--background", "nope"], "background: 'nope' is not allowed"),
    ):
        assert punks_snap(folder / "a.png", "-o", folder / "out.png", *words) == 2
        assert said in capsys.readouterr().err
    assert punks_snap(folder, "-o", folder / "out.png") == 2
    assert "name a folder for 2 pictures" in capsys.readouterr().err
    assert not (folder / "out.png").exists()


def test_an_output_that_is_neither_a_picture_nor_a_folder_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").touch()
    for name in ("out.jpg", "out.GIF", "file"):
        assert punks_snap(folder / "a.png", "-o", folder / name) == 2
        assert "use a name that ends in .png, .webp, .svg, or a folder" in capsys.readouterr().err
    assert not (folder / "out.jpg").exists()
    assert punks_snap(folder / "a.png", "-o", folder / "v1.2") == 0
    assert (folder / "v1.2" / "a.png").is_file()
    assert punks_snap(folder / "a.png", "-o", folder / "a.webp") == 0
    assert (np.asarray(open_picture(folder / "a.webp")) == np.asarray(open_picture(folder / "v1.2/a.png"))).all()
