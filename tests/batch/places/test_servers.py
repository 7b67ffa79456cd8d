"""Batches painted by real Cog servers: two at once, one that dies, one behind a bad line, one that speaks Replicate."""

import os
import re
import shutil
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from punks.batch.jobs import Job, jobs_of
from punks.batch.manifest import NAME, entries
from punks.batch.places.cog import at_urls
from punks.batch.places.local import Local
from punks.batch.places.replicate import LEDGER, at_model
from punks.batch.run import Tally, run
from punks.cli import main
from punks.errors import BatchError
from punks.finish import Finish
from punks.recipe import Recipe
from punks.service.server import free_port, server
from tests.support.batches import facts, pictures
from tests.support.cog_server import FAST, Cog, wait
from tests.support.fault_proxy import Proxy, Replicate, running

COUNT = 12


@pytest.fixture
def jobs() -> list[Job]:
    hair = ("red", "blue", "green")
    fixed: dict[str, Any] = {"variant": "sd15-perfect", **FAST}
    recipes = [Recipe(prompt=f"lady, {hair[i % 3]} hair", seed=i, **fixed) for i in range(COUNT)]
    return jobs_of(recipes, Finish(output_size=48, background="teal"))


def painted(jobs: Sequence[Job], folder: Path, *urls: str, **options: Any) -> Tally:
    with closing(at_urls(urls)) as place:
        return run(jobs, folder, place, **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


def test_of_two_servers_one_is_killed_and_comes_back(
    service: Cog, served_weights: Path, jobs: list[Job], folders: Path, tmp_path: Path
):
    port, done = free_port(), list[str]()
    url = f"http://127.0.0.1:{port}"
    extra = {"PUNKS_WEIGHTS": str(served_weights), "PUNKS_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}

    with ExitStack() as stack:

        def begin(name: str) -> int:
            (tmp_path / name).mkdir()
            log = stack.enter_context((tmp_path / f"{name}.log").open("wb"))
            process = stack.enter_context(server(tmp_path / name, port, extra=extra, log=log))
            assert wait(process, url)["status"] in ("READY", "BUSY")  # the run may have found it first
            return process.pid

        first = begin("first")

        def report(_job: Job, status: str) -> None:
            done.append(status)
            if len(done) == 4:
                os.killpg(first, signal.SIGKILL)
                threading.Thread(target=begin, args=("second",)).start()
            # the other one is slow, and then busy until the first is back and has painted
            if len(done) == 8:
                proxy.faults = ["503"] * 999
            elif len(done) == 10:
                proxy.faults = []

        slow, proxy = stack.enter_context(running(Proxy, target=service.url, faults=["slow"] * 99, asked=[]))
        tally = painted(jobs, folders / "two", url, slow, report=report)
    assert (tally.done, tally.failed) == (COUNT, {})
    assert [entry["name"] for entry in entries(folders / "two")] == [job.name for job in jobs]
    for name in ("first", "second"):
        assert "Prediction worker completed" in (tmp_path / f"{name}.log").read_text()


def test_a_server_that_spoils_answers_by_turns(service: Cog, jobs: list[Job], folders: Path):
    faults = ["409", "429", "500", "truncated", "lost", "garbage", "slow", "crashed", "503", "lost", "truncated"]
    poison = Recipe(prompt="poison", variant="sd15-perfect", seed=1)
    long = Recipe(prompt="abcd, " * 300, variant="sd15-perfect", seed=1)
    more = [Job(number=COUNT + i, recipe=recipe) for i, recipe in enumerate((poison, long), 1)]
    with running(Proxy, target=service.url, faults=list(faults), asked=list[tuple[str, str]]()) as (url, proxy):
        tally = painted([*jobs, *more], folders / "faults", url)
        first = list(proxy.asked)
        again = painted([*jobs, *more[1:]], folders / "faults", url)
    assert tally.done == COUNT
    assert tally.failed[COUNT + 1] == "given up after 5 tries: an error of the server (HTTP 500)"
    assert re.fullmatch(r"prompt: '\d+ tokens' is not allowed; at most 225 tokens fit; .*", tally.failed[COUNT + 2])
    assert len(tally.failed) == 2
    # asked again as often as it was spoiled, and under the same id; the refused row once
    assert len(first) == COUNT + len(faults) - 1 + 5 + 1
    assert len({path for path, _ in first}) == COUNT + 2
    assert (again.kept, again.done, len(again.failed)) == (COUNT, 0, 1)


def test_the_same_jobs_give_the_same_punks_everywhere(
    service: Cog, jobs: list[Job], folders: Path, served_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert pictures(folders / "faults") == pictures(folders / "two")
    monkeypatch.setenv("PUNKS_WEIGHTS", str(served_weights))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the server's, or paintings differ by one level here and there
    some = [jobs[0], jobs[5]]
    with closing(Local(paintings=True)) as place:
        run(some, tmp_path, place)
    two = pictures(folders / "two")
    here = pictures(tmp_path)
    assert {name: here[name] for name in here if not name.startswith("paintings")} == {
        f"{kind}/{job.name}.png": two[f"{kind}/{job.name}.png"] for job in some for kind in ("images", "pixels")
    }
    shutil.rmtree(tmp_path / "images")
    with closing(at_urls([service.url], paintings=True)) as place:
        run(some, tmp_path, place)
    assert pictures(tmp_path) == here


def test_replicate_is_paid_once(
    service: Cog, jobs: list[Job], folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state: dict[str, Any] = {"target": service.url, "token": "r8_secret", "predictions": {}, "files": {}}
    some = jobs[:3]

    def paid() -> tuple[int, Tally]:
        before = len(replicate.predictions)
        with closing(at_model("owner/punks", tmp_path, workers=2)) as place:
            tally = run(some, tmp_path, place)
        return len(replicate.predictions) - before, tally

    with running(Replicate, **state) as (url, replicate):
        monkeypatch.setenv("REPLICATE_API_BASE_URL", url)
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_wrong")
        with pytest.raises(BatchError, match="HTTP 401"):
            paid()
        monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_secret")
        count, tally = paid()
        assert (count, tally.done) == (3, 3)
        first = facts(tmp_path)
        # killed before any of it was written: the predictions are known, and only fetched
        (tmp_path / NAME).unlink()
        with (tmp_path / LEDGER).open("ab") as file:
            file.write(b'\n{"torn')
        assert paid()[0] == 0
        assert facts(tmp_path) == first
        # their files are no longer kept
        (tmp_path / NAME).unlink()
        replicate.files.clear()
        assert paid()[0] == 3
        assert facts(tmp_path) == first
    two = pictures(folders / "two")
    assert all(two[name] == content for name, content in pictures(tmp_path).items() if name != LEDGER)


def test_a_collection_from_the_command_line(
    service: Cog, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "c.toml").write_text("count = 9\n[traits.subject]\nlady = 1\n[traits.hair]\nred = 1\nblack = 1\n")
    fast = ["--steps", "1", "--guidance", "1", "--scheduler", "ddim", "--size", "48"]
    where = ["--collection", str(tmp_path / "c.toml"), "--count", "2", "--on", service.url, "-o", str(tmp_path / "out")]
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert main(["batch", *fast, *where]) == 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    said = capsys.readouterr().out
    assert "2 painted" in said
    assert "50.00%" in said
    assert [entry["recipe"]["traits"]["subject"] for entry in entries(tmp_path / "out")] == ["lady"] * 2
    for name in ("index.html", "sheet.png", "rarity.json", "metadata/1.json", "metadata/2.json"):
        assert (tmp_path / "out" / name).is_file()


def test_a_server_that_is_not_this_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    with running(Replicate, target="", token="", predictions={}, files={}) as (url, _):
        assert main(["batch", "--prompt", "lady", "--on", url, "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"punks: {url}: refused (HTTP 401): {{}}; check the address\n"
