"""Animations and sheets to print: every punk, cell for cell, in its order and at its size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from bench.batch_folder import write_folder
from punks.batch.manifest import entries
from punks.cli import main
from punks.report.sheet import read_pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preview")
    write_folder(path, 7, images=False, failures=1)
    return path


def arts(folder: Path) -> list[Image.Image]:
    return [read_pixels(folder / one["files"]["pixels"]) for one in entries(folder) if one["status"] == "done"]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_shows_each_punk_cell_for_cell(suffix: str, folder: Path, tmp_path: Path):
    path = tmp_path / f"a{suffix}"
    assert main(["preview", str(folder), "-o", str(path), "--side", "96", "--seconds", "0.25", "-n", "5"]) == 0
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        frames = [(frame.convert("RGB"), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]
    assert [duration for _, duration in frames] == [250] * 5
    for (frame, _), art in zip(frames, arts(folder)[:5], strict=True):
        assert (np.asarray(frame) == np.asarray(art).repeat(4, 0).repeat(4, 1)).all()


def test_sheets_have_the_size_of_the_paper_and_all_punks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = ["--paper", "60x80", "--dpi", "100", "--columns", "2", "-o", str(tmp_path / "p.png")]
    assert main(["preview", str(folder), *options]) == 0
    assert "7 punks on 60x80, 236x315 px at 100 dpi" in capsys.readouterr().out
    found: list[tuple[int, int]] = []
    paths = [tmp_path / "p.png", *sorted(tmp_path.glob("p-*.png"))]
    for path in paths:
        with Image.open(path) as image:
            assert (image.width, image.height) == (236, 315)
            assert image.info["dpi"] == pytest.approx((100, 100), abs=0.1)
            pixels = np.asarray(image)
        for number, art in enumerate(arts(folder)):
            enlarged = np.asarray(art).repeat(3, 0).repeat(3, 1)
            places = np.argwhere((pixels[:-71, :-71] == enlarged[0, 0]).all(-1))
            found += [
                (number, x)
                for y, x in places
                if pixels[y : y + 72, x : x + 72].shape == enlarged.shape
                and (pixels[y : y + 72, x : x + 72] == enlarged).all()
            ]
    assert [number for number, _ in sorted(found)] == list(range(7))
    columns = sorted({x for _, x in found})
    assert len(columns) == 2
    assert columns[0] == pytest.approx(236 - columns[1] - 72, abs=1)  # in the middle of the paper


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "a.jpg"], "output: 'a.jpg' is not allowed; use a name that ends in .gif, .webp, .png"),
        (["-o", "a.png", "--paper", "a9"], "paper: 'a9'"),
        (["-o", "a.png", "--dpi", "10"], "dpi: 10"),
        (["-o", "a.png", "--columns", "0"], "columns: 0"),
        (["-o", "a.png", "--columns", "500"], "columns: 500"),
        (["-o", "a.gif", "--seconds", "0"], "seconds: 0.0"),
        (["-o", "a.gif", "--side", "9999"], "side: 9999"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    options: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["preview", str(folder), *options]) == 2
    assert f"punks: {message}" in capsys.readouterr().err
