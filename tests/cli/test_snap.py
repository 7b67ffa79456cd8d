"""`punks snap`: pictures made elsewhere, some of them bad."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.cli import main
from punks.files.pictures import open_picture


def punks_snap(*words: object) -> int:
    return main(["snap", *map(str, words)])


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What is said of a call that has to be refused."""

    def call(*words: object, code: int = 2) -> str:
        capsys.readouterr()
        assert punks_snap(*words) == code
        said = capsys.readouterr()
        assert not said.out
        return said.err

    return call


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
    assert punks_snap(folder / "*.png", "-o", folder / "two", "--shared-palette", "--colors", 4) == 0
    found = [np.asarray(open_picture(p)).reshape(-1, 3) for p in (folder / "two").iterdir()]
    assert len(np.unique(np.concatenate(found), axis=0)) <= 4
    assert punks_snap(folder / "a.png", "-o", folder / "one.png", "--palette", "#000,#fff", "--dither") == 0


def test_nothing_is_overwritten_silently(folder: Path, refused: Callable[..., str]) -> None:
    before = (folder / "a.png").read_bytes()
    assert "it exists; use another name" in refused(folder / "a.png", "-o", folder / "b.png")
    for target in (folder, folder / "a.png"):
        assert "this is the picture itself; use another" in refused(folder / "a.png", "-o", target, "--force")
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
    for word in ("c.png: cannot be read as a PNG or WebP", "d.png: 512x400", "e.png: no 24x24 grid"):
        assert word in said


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs a folder where not even root can write")
def test_a_folder_that_takes_no_file_is_said_before_any_is_restored(folder: Path, refused: Callable[..., str]) -> None:
    inside = folder / "a.png"
    for output, where in (("/proc", "/proc"), ("/proc/new/out.png", "/proc"), (inside / "out", inside)):
        assert f"{where}: cannot be written" in refused(inside, "-o", output, code=1)


def test_impossible_wishes(folder: Path, refused: Callable[..., str]) -> None:
    for name, *value in (["dither"], ["size", 9], ["palette", "nope"], ["background", "nope"]):
        assert name in refused(folder / "a.png", "-o", folder / "out.png", f"--{name}", *value)
    assert "name a folder" in refused(folder, "-o", folder / "out.png")
    assert not (folder / "out.png").exists()


def test_an_output_that_is_neither_a_picture_of_ours_nor_a_folder_is_refused(
    folder: Path, refused: Callable[..., str]
) -> None:
    (folder / "file").touch()
    for name in ("out.jpg", "out.GIF", "file"):
        said = refused(folder / "a.png", "-o", folder / name)
        assert "use a name that ends in .png" in said
    assert not (folder / "out.jpg").exists()
    assert punks_snap(folder / "a.png", "-o", folder / "v1.2") == 0
    assert (folder / "v1.2" / "a.png").is_file()
