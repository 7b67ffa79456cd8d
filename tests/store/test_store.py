"""Results in PostgreSQL and in SQLite, the same tests on both: what is kept, when it is away, and once only."""

import dataclasses
import json
import logging
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bench.batch_folder import write_folder
from punks import Finish, Recipe, fast
from punks.batch.jobs import jobs_of
from punks.batch.manifest import NAME, entries
from punks.batch.picks import Pick, write_picks
from punks.batch.run import finish_folder, run
from punks.cli import main
from punks.errors import RecipeError
from punks.files import weights
from punks.lora.store import kept as keep_lora
from punks.recipe import Lora
from punks.store import database
from punks.store.database import connect, make_url, shown
from punks.store.folder import StoredFolder, kept
from punks.store.tables import VERSIONS
from punks.variants import VARIANTS
from tests.support.batches import until
from tests.support.databases import PASSWORD, QUOTED, Store
from tests.support.stand import Stand, bring, jobs


def said(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What a manifest's entry says, as its row has it."""
    return {"name": name, "seed": entry["recipe"]["seed"], "cells": entry["cells"], "palette": entry["palette"]}


def test_a_batch_of_a_thousand_while_the_database_is_stopped_and_started(store: Store, tmp_path: Path):
    heard: list[str] = []

    def meanwhile(number: int) -> None:
        if number == 300:
            until(lambda: store.rows("pictures"))
            store.server.stop()
        elif number == 600:
            until(lambda: heard)  # the batch goes on all the same
        elif number == 700:
            store.server.start()

    with kept(tmp_path / "batch", store.url, heard.append):
        tally = run(jobs(1000), tmp_path / "batch", Stand(meanwhile))
    assert (tally.done, tally.failed) == (1000, {})
    rows = store.rows("pictures")
    assert [row["name"] for row in sorted(rows, key=lambda row: row["name"])] == [f"{n:06d}" for n in range(1, 1001)]
    found = {row["name"]: {key: row[key] for key in ("name", "seed", "cells", "palette")} for row in rows}
    assert found == {entry["name"]: said(entry["name"], entry) for entry in entries(tmp_path / "batch")}
    assert len(heard) == 1
    assert heard[0].startswith("the store cannot be written (")
    assert "the rest is added when the store is back" in heard[0]
    assert PASSWORD not in heard[0]
    assert QUOTED not in heard[0]


def test_a_database_that_stays_away_loses_nothing(store: Store, tmp_path: Path):
    folder, heard = tmp_path / "batch", list[str]()
    with kept(folder, store.url, heard.append):
        run(jobs(1), folder, Stand())
    store.server.stop()
    try:
        with kept(folder, store.url, heard.append):
            tally = run(jobs(3), folder, Stand())
    finally:
        store.server.start()
    assert (tally.done, tally.kept) == (2, 1)
    assert [line.partition(" ")[2][:14] for line in heard] == ["store cannot b", "store does not"]
    assert f"`punks store import {folder}` adds the rest" in heard[1]
    assert len(store.rows("pictures")) == 1
    with kept(folder, store.url, heard.append):  # the next run adds what the last one could not
        run(jobs(3), folder, Stand())
    assert len(store.rows("pictures")) == 3
    assert len(heard) == 2


def test_what_is_brought_in_twice_changes_nothing(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    folder = tmp_path / "drawn"
    write_folder(folder, 30, images=False, failures=2)
    write_picks(folder, {"000002": Pick(choice="keep", rating=8), "000003": Pick(choice="reject")})
    tables = ("runs", "epochs", "pictures", "picks", "scores")
    assert bring(store, folder) == 0
    first = {table: store.rows(table) for table in tables}
    assert bring(store, folder) == 0
    assert capsys.readouterr().out == f"{folder}: 30 pictures\n" * 2
    assert {table: store.rows(table) for table in tables} == first
    assert len(first["pictures"]) == 30
    by_key = {row["key"]: row["name"] for row in first["pictures"]}
    assert {(by_key[row["picture"]], row["choice"], row["rating"]) for row in first["picks"]} == {
        ("000002", "keep", 8),
        ("000003", "reject", None),
    }
    # moved, it is the same batch at another address
    moved = folder.rename(tmp_path / "moved")
    assert bring(store, moved) == 0
    assert [row["key"] for row in store.rows("pictures")] == [row["key"] for row in first["pictures"]]
    assert {row["folder"] for row in store.rows("pictures")} == {str(moved)}
    assert store.rows("picks") == first["picks"]


def test_a_row_has_all_that_the_manifest_has(store: Store, tmp_path: Path):
    run(jobs(1), tmp_path, Stand())
    (entry,) = entries(tmp_path)
    assert bring(store, tmp_path) == 0
    (row,) = store.rows("pictures")
    assert {**row["recipe"], **row["finish"]} == entry["recipe"]
    assert (row["image_sha256"], row["pixels_sha256"]) == (entry["sha256"]["image"], entry["sha256"]["pixels"])
    assert (row["seconds"], row["stages"]) == (sum(entry["seconds"].values()), entry["seconds"])
    assert (row["warnings"], row["confidence"]) == (entry.get("warnings", ""), entry["confidence"])
    assert Path(row["address"]).read_bytes() == (tmp_path / "images/000001.png").read_bytes()
    (training,) = store.rows("runs")
    assert (row["run"], row["epoch"]) == ("demo", 10)
    assert (training["name"], training["base"], training["failed"]) == ("demo", "sd15", False)
    # as punks inspect reads them of the file
    assert training["parameters"]["network_dim"] == 32
    assert training["parameters"]["max_token_length"] == 225
    (epoch,) = store.rows("epochs")
    assert (epoch["run"], epoch["epoch"], epoch["points"]) == ("demo", 10, None)


def test_a_brought_lora_is_a_run_of_its_own(store: Store, tmp_path: Path, tiny_weights: Path):
    variant = VARIANTS["tiny"]
    lora = keep_lora(weights.lora_path(variant, 2), scale=0.7, say=str)
    faster = Lora(name="fast", sha256=fast.ROWS[0].sha256)
    how = [{"loras": (lora,)}, {"loras": (lora,), "lora_scale": 0.0}, {"loras": (faster, lora), "lora_scale": 0.0}]
    how += [{"loras": (faster,), "lora_scale": 0.0}]
    recipes = [Recipe(prompt="lady", variant="tiny", seed=1, **one) for one in how]
    run(jobs_of(recipes, Finish(output_size=24)), tmp_path, Stand())
    assert bring(store, tmp_path) == 0
    brought = f"{lora.name}-{lora.sha256[:8]}"
    found = sorted((row["name"], row["run"]) for row in store.rows("pictures"))
    assert [name for _, name in found] == ["tiny", brought, brought, None]
    by_name = {row["name"]: row for row in store.rows("runs")}
    assert by_name[brought]["parameters"]["network_dim"] == 4
    assert by_name[brought]["failed"] is None


def test_what_is_finished_or_picked_anew_replaces_what_was(store: Store, tmp_path: Path):
    folder = tmp_path / "batch"
    run(jobs(4), folder, Stand())
    write_picks(folder, {"000001": Pick(choice="keep"), "000002": Pick(rating=3)})
    stored = StoredFolder(folder)
    engine = connect(make_url(store.url))
    assert stored.sync(engine) == []
    before = store.rows("pictures")
    finish_folder(folder, lambda finish: dataclasses.replace(finish, background="lime"), lambda: None)
    write_picks(folder, {"000001": Pick(choice="reject")})
    assert stored.sync(engine) == []
    engine.dispose()
    after = store.rows("pictures")
    assert len(after) == 4
    assert {row["finish"]["background"] for row in after} == {"#00ff00"}
    assert {row["key"] for row in before}.isdisjoint(row["key"] for row in after)
    names = {row["key"]: row["name"] for row in after}
    assert [(names[row["picture"]], row["choice"], row["rating"]) for row in store.rows("picks")] == [
        ("000001", "reject", None)
    ]


def test_one_bad_line_or_file_never_ends_the_others(
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    folder, other = tmp_path / "one", tmp_path / "two"
    run(jobs(3), folder, Stand())
    run(jobs(2), other, Stand())
    lines = list(entries(folder))
    lines[0]["recipe"]["scheduler"] = "of-a-later-version"
    lines[1]["warnings"] = "a server\x00 said \ud800"
    (folder / NAME).write_text("".join(json.dumps(line) + "\n" for line in lines) + "torn\n")
    (folder / "picks.json").write_text("[]")
    assert bring(store, folder, tmp_path, other) == 1
    ended = capsys.readouterr()
    assert ended.out == f"{folder}: 2 pictures\n{other}: 2 pictures\n"
    assert "000001: scheduler: 'of-a-later-version' is not allowed" in ended.err
    assert f"{folder / 'picks.json'}: cannot be read" in ended.err
    assert f"{tmp_path}: no {NAME}" in ended.err
    assert sorted(row["warnings"] for row in store.rows("pictures"))[-1] == "a server\ufffd said ?"


def test_an_older_store_is_taken_forward_and_a_newer_one_is_refused(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    run(jobs(2), tmp_path / "batch", Stand())
    assert bring(store, tmp_path / "batch") == 0

    def add_mood(connection: Any) -> None:
        schema = "" if connection.dialect.name == "sqlite" else "punks."
        connection.exec_driver_sql(f"ALTER TABLE {schema}picks ADD COLUMN mood TEXT")

    with monkeypatch.context() as later:
        later.setattr(database, "STEPS", [add_mood])
        for _ in range(2):  # once is enough
            connect(make_url(store.url)).dispose()
        engine = connect(make_url(store.url))
        with engine.begin() as connection:
            schema = "" if connection.dialect.name == "sqlite" else "punks."
            assert connection.exec_driver_sql(f"SELECT mood FROM {schema}picks").all() == []
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {schema}pictures").scalar() == 2
        engine.dispose()
        assert store.rows("versions") == [{"version": 2}]
    capsys.readouterr()
    assert bring(store, tmp_path / "batch") == 1
    assert capsys.readouterr().err.endswith("a later version of punks made it; update punks\n")


def test_programs_that_start_at_once_make_the_tables_once(store: Store):
    def rest(*_: object, **__: object) -> None:
        time.sleep(0.3)

    event.listen(VERSIONS, "after_create", rest)
    try:
        with ThreadPoolExecutor(3) as pool:
            for engine in pool.map(lambda _: connect(make_url(store.url)), range(3)):
                engine.dispose()
    finally:
        event.remove(VERSIONS, "after_create", rest)
    assert store.rows("versions") == [{"version": 1}]


def test_scores_that_cannot_be_read_are_left_out(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run(jobs(1), tmp_path, Stand())
    scored = '{"axis": "epoch", "comparisons": [], "recommended": null, "ratings": {}, "columns": [%s]}'
    for text in ("[]", "torn", scored % '{"pictures": [{"name": "000001", "points": NaN}]}'):
        (tmp_path / "scores.json").write_text(text)
        assert bring(store, tmp_path) == 1
        ended = capsys.readouterr()
        assert ended.out == f"{tmp_path}: 1 pictures\n"
        assert f"{tmp_path / 'scores.json'}: cannot be read (" in ended.err
    assert store.rows("scores") == []


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:topsecret@h/db",
        "postgresql://u:topsecret@h:port/db",
        "postgresql://u:top@secret@h/db",
        "postgresql://u/topsecret:x@h/db",
        "postgresql://u:topsecret@h",
        "postgresql://u:topsecret@[h/db",
        "sqlite://",
        "://topsecret",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_shown(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(RecipeError, match="use a file, sqlite:///FILE or postgresql://") as caught:
        make_url(url)
    assert "secret" not in str(caught.value)
    job = ["batch", "--prompt", "lady", "--variant", "demo", "-o", str(tmp_path / "out"), "--store", url]
    assert main(job) == 2
    assert "secret" not in "".join(capsys.readouterr())
    assert not (tmp_path / "out").exists(), "it is refused before anything is painted"


def test_an_address_is_shown_without_secrets():
    full = make_url("postgres://ann.project:top/sec?ret@db.example.com:6543/punks?sslmode=require&password=secret")
    assert full.password == "top/sec?ret"
    assert shown(full) == "postgresql://db.example.com:6543/punks"
    assert shown(make_url("some/punks.db")) == "some/punks.db"
    assert make_url("sqlite:///punks.db") == make_url("punks.db")


def test_a_wrong_password_is_not_shown(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    if "sqlite" in store.url:
        pytest.skip("SQLite has none")
    write_folder(tmp_path, 1, images=False)
    wrong = store.url.replace(QUOTED, "wrongpass")
    heard: list[str] = []
    with caplog.at_level(logging.DEBUG), kept(tmp_path, wrong, heard.append):
        pass
    assert "password authentication failed" in heard[0]
    assert "wrongpass" not in caplog.text + "".join(heard)


def test_a_copy_that_goes_another_way_is_kept_beside_the_first(store: Store, tmp_path: Path):
    run(jobs(2), tmp_path / "one", Stand())
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    finish_folder(tmp_path / "two", lambda finish: dataclasses.replace(finish, background="lime"), lambda: None)
    for _ in range(2):
        assert bring(store, tmp_path / "one", tmp_path / "two") == 0
        backgrounds = sorted((row["name"], row["finish"]["background"]) for row in store.rows("pictures"))
        assert [background for _, background in backgrounds] == ["#00ff00", "#148a8c"] * 2
