"""`--unlike`: no punk is like one of another batch or of the originals; what was is painted with another seed."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.batch.jobs import Job, jobs_of
from punks.batch.manifest import entries
from punks.batch.run import SEEDS, run
from punks.batch.unlike import NEAR, Others, read_others
from punks.cli import main
from punks.errors import BatchError
from punks.recipe import Recipe
from tests.support.drawn import Drawn, exact, portrait


def rows(*seeds: int) -> list[Job]:
    return jobs_of(Recipe(prompt=f"lady {seed}", variant="demo", seed=seed) for seed in seeds)


def seeds(folder: Path) -> list[int]:
    return [entry["recipe"]["seed"] for entry in entries(folder)]


def changed(seed: int, cells: int) -> Image.Image:
    """A portrait of which so many cells have another color."""
    art = portrait(seed).copy()
    flat = art.reshape(-1, 3)
    flat[:cells] = flat[:cells] ^ 128
    return Image.fromarray(art)


def test_punks_of_another_batch_are_not_painted_again(tmp_path: Path):
    run(rows(1, 2, 3), tmp_path / "old", Drawn(exact))
    others = read_others([tmp_path / "old"], 0)
    assert len(others) == 3
    tally = run(rows(3, 4), tmp_path / "new", Drawn(exact), unlike=others)
    assert tally.alike == {1: f"like {tmp_path / 'old/pixels/000003.png'} (no cell differs)"}
    assert tally.done == 3
    assert seeds(tmp_path / "new")[0] not in (1, 2, 3)
    assert seeds(tmp_path / "new")[1] == 4
    # the same command paints nothing anew, and another batch to be unlike is heeded later
    place = Drawn(exact)
    again = run(rows(3, 4), tmp_path / "new", place, unlike=others)
    assert (place.painted, again.kept) == ([], 2)
    run(rows(4), tmp_path / "other", Drawn(exact))
    both = read_others([tmp_path / "old", tmp_path / "other"])
    assert run(rows(3, 4), tmp_path / "new", Drawn(exact), unlike=both).alike.keys() == {2}


@pytest.mark.parametrize(("cells", "near"), [(0, 0), (24, 24), (25, 24), (25, 25), (300, 299), (300, 300)])
def test_how_near_is_the_number_of_cells_that_differ(cells: int, near: int, tmp_path: Path):
    (tmp_path / "art").mkdir()
    changed(5, cells).resize((240, 240), Image.Resampling.NEAREST).save(tmp_path / "art/a.png")
    tally = run(rows(5), tmp_path / "out", Drawn(exact), unlike=read_others([tmp_path / "art"], near))
    assert bool(tally.alike) == (cells <= near)
    if tally.alike and cells:
        assert tally.alike[1].endswith(f"a.png ({cells} cells differ)")


def test_colors_a_few_levels_apart_are_the_same_and_transparent_cells_too(tmp_path: Path):
    run(rows(5), tmp_path / "out", Drawn(exact))
    (entry,) = entries(tmp_path / "out")
    nearly = np.clip(portrait(5).astype(int) + 5, 0, 255).astype(np.uint8)
    alpha = np.full((24, 24, 1), 255, np.uint8)
    art = np.concatenate([nearly, alpha], 2)
    assert Others([("a", art)], 0).like(tmp_path / "out", entry) == "like a (no cell differs)"
    assert Others([("a", art * 0)], 575).like(tmp_path / "out", entry) == ""


def test_a_row_that_is_like_others_with_every_seed_fails(tmp_path: Path):
    def same(seed: int) -> Image.Image:
        return exact(1)

    run(rows(1), tmp_path / "old", Drawn(same))
    place = Drawn(same)
    tally = run(rows(7), tmp_path / "new", place, unlike=read_others([tmp_path / "old"]))
    assert len(place.painted) == SEEDS
    assert tally.alike == {}
    assert tally.failed[1].endswith(f"(no cell differs) with each of {SEEDS} seeds; change its prompt")


def test_kept_punks_are_left_as_they_are(tmp_path: Path):
    run(rows(1), tmp_path / "old", Drawn(exact))
    run(rows(1, 2), tmp_path / "new", Drawn(exact))
    tally = run(rows(1, 2), tmp_path / "new", Drawn(exact), keep=[1], unlike=read_others([tmp_path / "old"]))
    assert (tally.kept, tally.alike, seeds(tmp_path / "new")) == (2, {}, [1, 2])


def test_a_picture_that_cannot_be_read_is_said_and_the_others_count(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    changed(5, 0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        assert len(read_others([tmp_path], NEAR)) == 1
    assert "b.png: not a picture" in caplog.text
    (tmp_path / "a.png").unlink()
    with pytest.raises(BatchError, match="no picture in it can be compared; correct --unlike"):
        read_others([tmp_path])


def test_options_that_make_no_sense_are_refused(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PUNKS_WEIGHTS", str(tiny_weights))
    command = ["batch", "--prompt", "lady", "--variant", "tiny", "-o", str(tmp_path)]
    for options, said in (
        (["--near", "3"], "--near needs --unlike"),
        (["--keep", "4-1"], "'4-1' is not allowed; use numbers from 1 up, such as 1-4,9"),
    ):
        with pytest.raises(SystemExit):
            main([*command, *options])
        assert said in capsys.readouterr().err
    assert main([*command, "--unlike", str(tmp_path), "--near", "576"]) == 2
    assert "near: 576 is not allowed; use a number of cells from 0 to 575" in capsys.readouterr().err
    assert main([*command, "--unlike", str(tmp_path)]) == 2
    assert "this is the folder of the batch itself; --unique compares those" in capsys.readouterr().err
