"""Punks of a folder are finished anew where only their finish changes: nothing is painted, and nothing else changes."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from punks.batch.folder import UNLOCKED
from punks.batch.jobs import Job, jobs_of, read_jobs
from punks.batch.manifest import NAME, entries
from punks.batch.run import finish_folder, require_same, run
from punks.errors import BatchError, RecipeError
from punks.finish import Finish
from punks.recipe import Recipe
from tests.support.batches import facts, pictures
from tests.support.drawn import Drawn, cells_of
from tests.support.recipes import recipe_in

ROWS = "prompt,seed,background,eyes\nlady,1,,\nlad,2,,\nlady,3,teal,green\n"


def _jobs(path: Path, text: str) -> list[Job]:
    path.write_text(text)
    return list(read_jobs(path, {"variant": "demo", "output_size": 48}))


def _finished(folder: Path) -> tuple[dict[str, bytes], list[Any]]:
    """All but the paintings, which say how they were finished at first."""
    files = {name: content for name, content in pictures(folder).items() if not name.startswith("paintings/")}
    return files, [{**entry, "sha256": 0, "bytes": 0} for entry in facts(folder)]


@pytest.mark.parametrize("paintings", [False, True])
def test_an_edited_column_of_the_finish_finishes_its_row_and_paints_nothing(tmp_path: Path, paintings: bool):
    folder = tmp_path / "out"
    run(_jobs(tmp_path / "a.csv", ROWS), folder, Drawn(paintings=paintings))
    before, seconds = pictures(folder), [entry["seconds"] for entry in entries(folder)]
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("paintings/*")}
    said: list[tuple[str, str]] = []
    place = Drawn(paintings=paintings)
    jobs = _jobs(tmp_path / "a.csv", ROWS.replace("lad,2,,", "lad,2,dark blue,"))
    tally = run(jobs, folder, place, report=lambda job, status: said.append((job.name, status)))
    assert (tally.finished, tally.kept, tally.done, tally.failed, place.painted) == (1, 2, 0, {}, [])
    assert sorted(said) == [("000001", "kept"), ("000002", "finished"), ("000003", "kept")]
    now = pictures(folder)
    assert {name for name in now if now[name] != before[name]} == {"images/000002.png", "pixels/000002.png"}
    assert len(times) == 3 * paintings
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert [entry["seconds"] for entry in entries(folder)] == seconds
    # it is what painting with that finish gives, to the byte
    run(jobs, tmp_path / "anew", Drawn(paintings=paintings))
    assert _finished(folder) == _finished(tmp_path / "anew")
    assert recipe_in(folder / "images/000002.png") == (jobs[1].recipe, jobs[1].finish)


def test_a_picture_that_the_disk_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(_number: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    jobs, way = _jobs(tmp_path / "a.csv", ROWS), "; run the same command again to go on"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(BatchError, match=rf"00000\d\.png: cannot be written \(Disk quota exceeded\){way}"):
            run(jobs, tmp_path / "out", Drawn())
    assert run(jobs, tmp_path / "out", Drawn()).done == 3


def test_what_decides_the_painting_is_painted(tmp_path: Path):
    folder = tmp_path / "out"
    run(_jobs(tmp_path / "a.csv", ROWS), folder, Drawn())
    place = Drawn()
    run(_jobs(tmp_path / "a.csv", ROWS.replace("lad,2", "lad,5").replace("lady,1,,", "lady,1,lime,")), folder, place)
    assert place.painted == ["000002"]
    place = Drawn(paintings=True)  # a painting that was not kept has to be painted
    run(_jobs(tmp_path / "a.csv", ROWS), folder, place)
    assert place.painted == ["000001", "000002", "000003"]


def test_a_unique_punk_keeps_its_other_seed_when_it_is_finished_anew(tmp_path: Path):
    def jobs(background: str) -> list[Job]:
        recipes = [Recipe(prompt="lady", variant="demo", seed=1)] * 2
        return [replace(job, finish=Finish(background=background, eyes="keep")) for job in jobs_of(recipes)]

    run(jobs("keep"), tmp_path, Drawn(), unique=True)
    seeds = [entry["recipe"]["seed"] for entry in entries(tmp_path)]
    assert seeds[0] != seeds[1]
    place = Drawn()
    assert run(jobs("teal"), tmp_path, place, unique=True).finished == 2
    assert place.painted == []
    assert [entry["recipe"]["seed"] for entry in entries(tmp_path)] == seeds
    assert recipe_in(tmp_path / "images/000002.png")[0].seed == seeds[1]


def test_a_whole_folder_is_finished_anew(tmp_path: Path):
    folder = tmp_path / "out"
    jobs = [*_jobs(tmp_path / "a.csv", ROWS), Job(number=4, error="seed: 'x' is not allowed")]
    run(jobs, folder, Drawn(paintings=True))
    paintings = {path: path.read_bytes() for path in folder.rglob("paintings/*")}
    steps: list[int] = []
    tally = finish_folder(folder, lambda finish: replace(finish, background="#6ae745"), lambda: steps.append(1))
    assert (tally.finished, tally.failed, len(steps)) == (3, {}, 3)
    assert {path: path.read_bytes() for path in folder.rglob("paintings/*")} == paintings
    wanted = [replace(job, finish=replace(job.finish, background="#6ae745")) for job in jobs]
    run(wanted, tmp_path / "anew", Drawn(paintings=True))
    assert _finished(folder) == _finished(tmp_path / "anew")
    place = Drawn(paintings=True)
    assert run(jobs, folder, place).finished == 3  # the batch makes every row what it says
    assert place.painted == []


def test_a_shared_palette_stays_while_something_else_is_changed(tmp_path: Path):
    folder, jobs = tmp_path / "out", _jobs(tmp_path / "a.csv", ROWS)
    run(jobs, folder, Drawn(), unique=True, shared_palette=6)
    palettes, digests = ([entry[key] for entry in entries(folder)] for key in ("palette", "cells"))
    finish_folder(folder, lambda finish: replace(finish, output_size=96), lambda: None)
    assert [entry["palette"] for entry in entries(folder)] == palettes
    assert [entry["cells"] for entry in entries(folder)] == digests
    assert {entry["recipe"]["output_size"] for entry in entries(folder)} == {96}
    place = Drawn()
    run(jobs, folder, place, unique=True, shared_palette=6)
    run(jobs, tmp_path / "anew", Drawn(), unique=True, shared_palette=6)
    assert place.painted == []
    assert (pictures(folder), facts(folder)) == (pictures(tmp_path / "anew"), facts(tmp_path / "anew"))


def test_a_punk_that_cannot_be_finished_keeps_its_files_and_ends_no_other(tmp_path: Path):
    folder = tmp_path / "out"
    rows = "prompt,seed\nlady #ff0000 #000000,1\nlad,2\nlady #00ff00 #ffffff,3\n"
    run(_jobs(tmp_path / "a.csv", rows), folder, Drawn(paintings=True))
    before, said = pictures(folder), facts(folder)
    tally = finish_folder(folder, lambda finish: replace(finish, palette="prompt"), lambda: None)
    assert tally.finished == 2
    assert list(tally.failed) == [2]
    assert tally.failed[2].startswith("palette: 'prompt' is not allowed; there is no hex code")
    now = pictures(folder)
    assert {name for name in now if now[name] == before[name]} == {
        *(name for name in before if "000002" in name or "paintings" in name)
    }
    assert facts(folder)[1] == said[1]
    assert set(facts(folder)[0]["palette"]) <= {"#ff0000", "#000000"}
    (folder / "pixels/000001.png").write_bytes(b"damaged")
    (folder / "paintings/000001.png").unlink()
    tally = finish_folder(folder, lambda finish: replace(finish, palette="auto"), lambda: None)
    assert list(tally.failed) == [1]
    assert "delete the file, and the same command paints it again" in tally.failed[1]
    assert (folder / "images/000001.png").is_file()
    with pytest.raises(RecipeError, match="dither: True is not allowed; give the palette to dither with"):
        finish_folder(folder, lambda finish: replace(finish, palette="auto", dither=True), lambda: None)


def test_a_folder_of_version_0_1_is_finished_from_its_24x24(tmp_path: Path):
    """Its pictures have no data for finishing, and its manifest other names."""
    folder, jobs = tmp_path / "out", _jobs(tmp_path / "a.csv", ROWS)
    run(jobs, folder, Drawn())
    lines: list[str] = []
    for entry in entries(folder):
        recipe = {name: value for name, value in entry["recipe"].items() if name not in ("dither", "steer_color")}
        del recipe["image_sha256"]
        lines.append(json.dumps({**entry, "recipe": {**recipe, "image": None}}) + "\n")
    (folder / NAME).write_text("".join(lines))
    place = Drawn()
    assert run(jobs, folder, place).kept == 3
    changed = [replace(jobs[0], finish=replace(jobs[0].finish, background="#000000")), *jobs[1:]]
    assert run(changed, folder, place).finished == 1
    assert place.painted == []
    assert "image_sha256" in next(entries(folder))["recipe"]
    assert not (folder / UNLOCKED).exists()


def test_a_folder_from_before_expression_and_lips_is_kept(tmp_path: Path):
    folder, rows = tmp_path / "out", "subject,hair,seed\nlady,red,1\nlad,black,2\n"
    jobs = _jobs(tmp_path / "a.csv", rows)
    run(jobs, folder, Drawn())
    was = list(entries(folder))
    for entry in was:
        del entry["recipe"]["traits"]["expression"], entry["recipe"]["traits"]["lips"]
    (folder / NAME).write_text("".join(json.dumps(entry) + "\n" for entry in was))
    require_same(folder, jobs)
    assert run(jobs, folder, Drawn()).kept == 2
    assert run(_jobs(tmp_path / "a.csv", rows.replace("hair", "lips")), folder, Drawn()).done == 2


def test_bad_rows_and_missing_files_do_as_before(tmp_path: Path):
    folder, jobs = tmp_path / "out", _jobs(tmp_path / "a.csv", ROWS)
    run(jobs, folder, Drawn())
    cells = [cells_of(folder, entry) for entry in entries(folder)]
    (folder / "images/000001.png").unlink()
    place = Drawn()
    tally = run([*jobs[:2], Job(number=3, error="seed: 'x'")], folder, place)
    assert (tally.done, tally.kept, tally.failed, place.painted) == (1, 1, {3: "seed: 'x'"}, ["000001"])
    assert len(list(folder.glob("*/000003.png"))) == 2  # a row that cannot be read deletes nothing
    assert (cells_of(folder, next(entries(folder))) == cells[0]).all()
