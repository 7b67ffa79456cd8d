"""The service with PUNKS_STORE: a row a picture, whether the database is there or away, and no secrets in its log."""

import itertools
import json
from pathlib import Path

import pytest

from punks.errors import RecipeError
from punks.generate import Punk
from punks.request import from_json
from punks.service import Service
from punks.store import predictions
from punks.store.predictions import Predictions
from tests.support.batches import until
from tests.support.cog_server import start
from tests.support.databases import QUOTED, Postgres, Store
from tests.support.stand import Stand, jobs


def painted(count: int) -> list[Punk]:
    return [outcome.punk for outcome in Stand().paint(iter(jobs(count))) if outcome.punk]


def test_predictions_wait_for_a_database_that_is_away(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(predictions, "MOST", 3)
    numbers = itertools.count(1)
    keeping = Predictions(store.url)

    def add(punks: list[Punk]) -> None:
        files = [tmp_path / f"punk-{next(numbers)}.png" for _ in punks]
        for punk, file in zip(punks, files, strict=True):
            punk.save(file)
        keeping.add(punks, files, files)

    add(painted(2))
    until(lambda: len(store.rows("pictures")) == 2)
    store.server.stop()
    add(painted(1))
    until(lambda: "the store cannot be written" in capfd.readouterr().err)
    add(painted(3))
    store.server.start()
    assert keeping.close()
    names = [row["name"] for row in store.rows("pictures")]
    assert sorted(names) == ["punk-1", "punk-2", "punk-3", "punk-4", "punk-5"]
    assert capfd.readouterr().err == "the store was away for so long that it misses 1 pictures\n"


def test_the_service_keeps_what_it_paints(postgres: Postgres, served_weights: Path, tmp_path: Path):
    with postgres.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS punks CASCADE")
    store = Store(postgres)
    with start(served_weights, tmp_path, PUNKS_STORE=store.url) as cog:
        two = cog.output(num_outputs=2, seed=5)
        rows = until(lambda: len(found := store.rows("pictures")) == 2 and found)
        by_seed = {row["seed"]: row for row in rows}
        for number, seed in enumerate(two["seeds"]):
            row, (recipe, finish) = by_seed[seed], from_json(two["recipes"][number])
            assert (row["prompt"], row["finish"]["output_size"]) == (recipe.prompt, finish.output_size)
            assert row["palette"] == two["palettes"][number].split(",")
            assert (row["folder"], row["run"], row["epoch"]) == (None, "sd15-perfect", 7)
            assert row["seconds"] > 0
        store.server.stop()
        try:
            answer = cog.predict(seed=8)  # nobody waits for it
            until(lambda: "the store cannot be written" in cog.log)
        finally:
            store.server.start()
        cog.output(seed=9)
        until(lambda: {row["seed"] for row in store.rows("pictures")} == {5, 6, 8, 9})
        assert cog.log.count("the store cannot be written") == 1
        assert QUOTED not in cog.log
    # what it says of the database is not for those who ask for pictures
    assert "store" not in answer["logs"]
    assert [json.loads(line)["status"] for line in answer["logs"].splitlines() if line[:1] == "{"] == ["succeeded"]


def test_an_address_that_is_none_fails_the_setup_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_STORE", "mysql://ann:topsecret@host/db")
    with pytest.raises(RecipeError, match=r"store: 'mysql://...' is not allowed; use a file, sqlite:///FILE"):
        Service()
