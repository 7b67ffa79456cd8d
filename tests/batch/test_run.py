"""Runs on this machine, in processes of their own: killed, cut off, short of room, and gone on with."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from punks.batch.jobs import jobs_of
from punks.batch.manifest import NAME, entries
from punks.batch.places.local import Local
from punks.batch.run import run
from punks.errors import BatchError
from punks.files.png import RECIPE, read_texts
from punks.generate import generate
from punks.recipe import Recipe
from punks.request import from_json
from tests.support.batches import PATIENCE, batch, facts, lines, pictures, start, until

ROWS = 24


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Jobs that differ in prompt and seed; the last two are bad."""
    path = tmp_path_factory.mktemp("jobs") / "jobs.csv"
    hair = ("red", "blue", "green", "black", "purple")
    lines = [f'"lady, {hair[i % 5]} hair, background {i}",' for i in range(ROWS)]
    path.write_text("\n".join(["prompt,seed", *lines, "lad,x", f'"{"abcd, " * 300}",', ""]))
    return path


@pytest.fixture(scope="module")
def undisturbed(rows: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in one go."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    ended = batch(rows, folder, weights=tiny_weights)
    assert ended.returncode == 1, ended.stderr
    assert f"{ROWS} painted, 2 failed" in ended.stdout
    assert "row 25: seed: 'x' is not allowed" in ended.stderr
    assert "row 26: prompt: " in ended.stderr
    assert f"look at it: {folder / 'index.html'}, sheet.png" in ended.stdout
    return folder


def test_a_run_that_is_cut_off_in_every_way_ends_as_one_that_is_not(
    rows: Path, undisturbed: Path, tiny_weights: Path, tmp_path: Path
):
    folder, chance = tmp_path / "out", random.Random(7)

    def begun(*options: str) -> "subprocess.Popen[str]":
        """A run that has come a random way."""
        process, before = start(rows, *options, folder, weights=tiny_weights), lines(folder)
        until(lambda: lines(folder) > before + chance.randrange(4))
        time.sleep(chance.random() / 10)
        return process

    # one of two processes that paint dies, and another takes its place
    process = begun("--workers", "2")
    family = psutil.Process(process.pid).children(recursive=True)
    next(one for one in family if "spawn_main" in " ".join(one.cmdline())).kill()
    now = lines(folder)
    until(lambda: lines(folder) > now + 2)
    # another run keeps out, and Ctrl-C ends this one
    other = batch(rows, folder, weights=tiny_weights)
    assert (other.returncode, "another run writes there" in other.stderr) == (1, True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "run the same command again to go on" in said
    assert "Traceback" not in said
    done = [entry["name"] for entry in entries(folder) if entry["status"] == "done"]
    assert {f"{kind}/{name}.png" for kind in ("images", "pixels") for name in done} == set(pictures(folder))

    # there is no room for three more lines
    room = (folder / NAME).stat().st_size + 5000

    def short() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    full = batch(rows, folder, weights=tiny_weights, preexec_fn=short)
    assert full.returncode == 1
    assert "cannot be written (File too large); run the same command again to go on" in full.stderr
    assert "Traceback" not in full.stderr
    assert (folder / NAME).read_bytes().endswith(b"}\n")

    # the whole run is killed
    process = begun()
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(family, PATIENCE)[1], "processes go on without the run"

    assert lines(folder) < ROWS
    ended = batch(rows, folder, weights=tiny_weights)
    assert ended.returncode == 1, ended.stderr
    assert f"{ROWS - int(ended.stdout.split()[1])} kept" in ended.stdout
    assert pictures(folder) == pictures(undisturbed)
    assert facts(folder) == facts(undisturbed)


def test_only_what_is_missing_failed_or_changed_is_painted(
    rows: Path, undisturbed: Path, tiny_weights: Path, tmp_path: Path
):
    folder = shutil.copytree(undisturbed, tmp_path / "out")
    before = lines(folder)
    (folder / "images/000003.png").unlink()
    (folder / "pixels/000004.png").write_bytes(b"torn")
    (folder / "images/.000005.png.0badcafe.part").write_bytes(b"left")
    with (folder / NAME).open("ab") as file:
        file.write((folder / NAME).read_bytes()[:99])
    changed = tmp_path / "jobs.csv"
    changed.write_text(rows.read_text().replace("background 9", "orange solid background").replace("lad,x", "lad,31"))
    ended = batch(changed, folder, weights=tiny_weights)
    assert f"4 painted, {ROWS - 3} kept, 1 failed" in ended.stdout
    new = [json.loads(line) for line in (folder / NAME).read_bytes().splitlines()[before:]]
    assert sorted(entry["job"] for entry in new) == [3, 4, 10, ROWS + 1, ROWS + 2]
    assert [one["status"] for one in facts(folder)] == ["done"] * (ROWS + 1) + ["failed"]
    was, now = pictures(undisturbed), pictures(folder)
    assert {name for name in now if now[name] != was.get(name)} == {
        f"{kind}/{name}.png" for kind in ("images", "pixels") for name in ("000010", f"{ROWS + 1:06d}")
    }
    # a finish that is asked for now: nothing is painted, and no process starts
    ended = batch(changed, "--background", "lime", folder, weights=tiny_weights, device="none")
    assert f"{ROWS + 1} finished, 1 failed" in ended.stdout


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the runs have it: sums in another order change a painting by a level here and there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_unique_punks_under_one_palette(tiny_weights: Path, tmp_path: Path):
    """Twins get other seeds, the first ones of theirs that no row before has; then all share six colors."""
    folder, jobs = tmp_path / "out", tmp_path / "jobs.csv"
    jobs.write_text("prompt,seed,background\nlady,1,keep\nlad,2,transparent\nlady,1,keep\nlady,1,keep\nlad,3,keep\n")
    assert batch(jobs, "--unique", folder, weights=tiny_weights).returncode == 0
    painted = facts(folder)
    assert [one["recipe"]["seed"] for one in painted] == [1, 2, 1 + 2654435761, 1 + 2 * 2654435761 - 2**32, 3]
    assert [one.get("asked") for one in painted] == [None, None, {"seed": 1}, {"seed": 1}, None]
    assert len({one["cells"] for one in painted}) == 5
    before = pictures(folder)

    shared = ("--unique", "--shared-palette", "6")
    assert "5 kept" in batch(jobs, *shared, folder, weights=tiny_weights).stdout
    found = facts(folder)
    # punks are told apart as they were painted, before and after
    assert [one["cells"] for one in found] == [one["cells"] for one in painted]
    palette = found[0]["recipe"]["palette"]
    assert len(palette.split(",")) == 6
    for one in found:
        assert one["recipe"]["palette"] == palette
        assert set(one["palette"]) <= set(palette.split(","))
        # the picture carries the recipe that paints it in these colors
        again = generate(*from_json(read_texts(folder / one["files"]["image"])[RECIPE]))
        with Image.open(folder / one["files"]["pixels"]) as picture:
            assert (np.asarray(picture) == again.art.cells).all()
    assert set(palette.split(",")) <= {color for one in painted for color in one["palette"]}

    # a punk more: the palette is found anew, from the punks as they were painted
    jobs.write_text(f"{jobs.read_text()}lady,8,keep\n")
    assert "1 painted, 5 kept" in batch(jobs, *shared, folder, weights=tiny_weights).stdout
    together = (facts(folder), pictures(folder))
    assert together[0][0]["recipe"]["palette"] != palette
    # without it each is again as it was painted, and nothing is painted for that
    assert "6 finished" in batch(jobs, "--unique", folder, weights=tiny_weights, device="none").stdout
    assert facts(folder)[:5] == painted
    assert before.items() <= pictures(folder).items()
    assert "6 kept" in batch(jobs, *shared, folder, weights=tiny_weights, device="none").stdout
    assert (facts(folder), pictures(folder)) == together


def test_another_batch_is_not_painted_over(undisturbed: Path, tiny_weights: Path, tmp_path: Path):
    folder, jobs = shutil.copytree(undisturbed, tmp_path / "out"), tmp_path / "other.csv"
    jobs.write_text("prompt\nlad\n")
    before = (pictures(folder), facts(folder))
    refused = batch(jobs, folder, weights=tiny_weights)
    way = "it holds another batch; use another folder, or --overwrite to paint over its punks"
    assert (refused.returncode, refused.stderr) == (1, f"punks: {folder}: {way}\n")
    assert (pictures(folder), facts(folder)) == before
    assert "1 painted" in batch(jobs, "--overwrite", folder, weights=tiny_weights).stdout


def test_ctrl_c_while_painters_start_is_one_line(tiny_weights: Path, tmp_path: Path):
    process = start("--prompt", "{lady|lad}", "--workers", "2", tmp_path / "out", weights=tiny_weights)
    until(lambda: len(psutil.Process(process.pid).children()) > 2)  # they, and Python's tracker of what they share
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "punks: interrupted after 0 punks; run the same command again to go on"
    assert "Traceback" not in said


def test_processes_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    site = 'import os, sys\nif any("spawn_main" in one for one in sys.orig_argv):\n    os._exit(3)\n'
    (tmp_path / "sitecustomize.py").write_text(site)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    jobs = jobs_of(Recipe(prompt="lady", variant="tiny", seed=seed) for seed in range(9))
    with (
        closing(Local(workers=2)) as place,
        pytest.raises(BatchError, match=r"3 painting processes in a row ended \(exit 3\)"),
    ):
        run(jobs, tmp_path / "out", place)
