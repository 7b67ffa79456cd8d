"""Growing: whatever the counts, shares stay within one, rows stay as they are, and no two are alike where asked."""

import dataclasses
import itertools
import json
import time
import tomllib
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from punks.batch.collection import settle as module
from punks.batch.collection.draw import NONE, Collection, OneOfOne
from punks.batch.collection.drawn import NAME, jobs_into, read_drawn, write_drawn
from punks.batch.collection.file import parse_collection, read_collection
from punks.batch.collection.quotas import quotas, shares
from punks.batch.collection.settle import Columns
from punks.batch.folder import opened
from punks.batch.jobs import Job
from punks.batch.manifest import NAME as MANIFEST
from punks.batch.picks import Pick, write_picks
from punks.batch.run import finish_folder, run
from punks.errors import BatchError
from punks.recipe import Recipe
from punks.report.show import show
from punks.request import TRAITS
from tests.support import ROOT
from tests.support.batches import pictures
from tests.support.drawn import Drawn, exact

weights = st.lists(st.integers(1, 12), min_size=1, max_size=4)
counts = st.lists(st.integers(1, 60), min_size=1, max_size=5).map(sorted)


def collection(types: dict[str, Any], **more: Any) -> Collection:
    return parse_collection({"count": 4, "traits": {"subject": {"lady": 1, "lad": 2}, "wear": types}, **more})


def rows(columns: Columns) -> list[tuple[str, ...]]:
    return list(zip(*columns.values(), strict=True))


def off(made: Collection, columns: Columns) -> Fraction:
    """By how much the number of punks with a value differs most from its share."""
    drawn = made.count - len(made.ones)
    found = (
        abs(Counter(columns[one.name])[value] - share)
        for one in made.types
        for value, share in shares(one.weights, drawn).items()
    )
    return max(found)


@given(weights, st.integers(1, 400))
@settings(deadline=None)
def test_quotas_are_never_off_by_one_and_only_grow(numbers: list[int], count: int):
    given = {str(at): Fraction(number, 7) for at, number in enumerate(numbers)}
    found, exact = quotas(given, count), shares(given, count)
    bound = 1 - Fraction(1, max(2, 2 * len(given) - 2))  # Tijdeman's
    assert all(abs(found[value] - exact[value]) <= bound for value in given)
    assert sum(found.values()) == count
    assert all(found[value] <= quotas(given, count + 1)[value] for value in given)


@given(weights, weights, counts, st.booleans(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_counts(one: list[int], two: list[int], steps: list[int], unique: bool, seed: int):
    types = {"a": {f"p{at}": n for at, n in enumerate(one)}, "b": {f"q{at}": n for at, n in enumerate(two)}}
    rule = {"when": {"subject": "lady"}, "never": {"a": "p0"}}
    rules = [rule] if len(one) > 1 and 3 * one[0] < sum(one) else []
    columns: Columns = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TRIES", 3000)
        for count in steps:
            made = collection(types, count=count, unique_traits=unique, rules=rules, seed=seed)
            before, columns = columns, {}
            try:
                columns = made.draw(before)
            except BatchError:
                if not unique and not rules:
                    raise
                return
            assert rows(columns)[: len(rows(before))] == rows(before)
            assert off(made, columns) <= 1
            assert not unique or len(set(rows(columns))) == count
            for row in range(count):
                assert not any(rule.broken(columns, row) for rule in made.rules)


def test_all_combinations_are_reached_step_by_step_and_one_more_is_refused():
    half = {"x": 1, "y": 1}
    columns: Columns = {}
    for count in (2, 4, 6, 8):
        made = parse_collection(
            {"count": count, "unique_traits": True}
            | {"traits": {"subject": {"lady": 1, "lad": 1}, "wear": {"a": half, "b": half}}}
        )
        columns = made.draw(columns)
        assert len(set(rows(columns))) == count
    assert set(rows(columns)) == set(itertools.product(["lady", "lad"], "xy", "xy"))
    made = parse_collection(
        {"count": 12, "unique_traits": True, "traits": {"subject": {"lady": 1, "lad": 1}, "wear": {"a": half}}}
    )
    with pytest.raises(BatchError, match=r"^unique_traits: found no way for 12 punks .* 4 can; use --count 4"):
        made.draw()


def test_hidden_traits_do_not_make_two_punks_unlike(monkeypatch: pytest.MonkeyPatch):
    types = {"a": {"x": 1, "y": 1}, "b": {"x": 1, "y": 1, "z": 1}}
    hidden = collection(types, count=6, unique_traits=True, hidden=["b"])
    monkeypatch.setattr(module, "_TRIES", 3000)
    with pytest.raises(BatchError, match=r"[34] can"):
        hidden.draw()
    assert len(set(rows(collection(types, count=6, unique_traits=True).draw()))) == 6


def test_ten_thousand_unlike_punks_are_drawn_in_seconds():
    path, started = ROOT / "examples" / "collection.toml", time.process_time()
    made = parse_collection({**tomllib.loads(path.read_text("utf-8")), "count": 10_000, "unique_traits": True})
    columns = made.draw()
    assert time.process_time() - started < 10
    assert len(set(rows(columns))) == 10_000
    assert off(made, columns) <= 1


HATS = {"hat": {"fedora": 1, "None": 1, "gold crown": 2}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = collection(HATS, count=6)
    write_drawn(tmp_path, made, made.draw())
    return tmp_path


def test_what_was_drawn_stays_where_nothing_but_the_count_and_labels_change(folder: Path):
    first = collection(HATS, count=6).draw()
    assert read_drawn(folder, collection(HATS, count=6, description="new")) == first
    made = collection({"hat": {"fedora": 5, "none": 5, "gold crown": 10}}, count=9)  # the same shares
    grown = made.draw(read_drawn(folder, made))
    assert rows(grown)[:6] == rows(first)


def test_a_smaller_count_and_other_traits_are_refused_with_the_way(folder: Path):
    with pytest.raises(BatchError, match=r"6 punks of a coll.*; use --count 6 or more, or --overwrite to draw 5"):
        read_drawn(folder, collection(HATS, count=5))
    assert read_drawn(folder, collection(HATS, count=5), overwrite=True) == {"subject": [""] * 5, "hat": [""] * 5}
    other = collection({"hat": {"fedora": 1}}, count=7)
    with pytest.raises(BatchError, match=r"traits of the collection changed, so 4 of its 6 .* use --keep 1-6 "):
        read_drawn(folder, other, {1, 2})
    with pytest.raises(BatchError, match=r"seed of the collection changed"):
        read_drawn(folder, collection(HATS, count=6, seed=1))
    with pytest.raises(BatchError, match=r"punk 9 is kept; use --count 9 or more"):
        read_drawn(folder, other, {9})
    (folder / NAME).write_text("{")
    with pytest.raises(BatchError, match=r"collection.json: cannot be read"):
        read_drawn(folder, other)


def test_kept_punks_keep_traits_that_the_collection_no_longer_has(folder: Path):
    first = collection(HATS, count=6).draw()
    other = collection({"hat": {"fedora": 1}, "chain": {"gold chain": 1, "none": 1}}, count=8)
    jobs = other.jobs({}, read_drawn(folder, other, {1, 2, 3}, overwrite=True))
    assert [jobs.values(number) for number in (1, 2, 3)] == [
        {"subject": first["subject"][row], "hat": first["hat"][row]} for row in range(3)
    ]
    assert {jobs.columns["hat"][row] for row in range(3, 8)} == {"fedora"}
    crowned = first["hat"][:3].count("gold crown")
    assert crowned
    assert any("kept leave no other way" in line for line in jobs.notices())


def test_a_folder_of_version_0_2_tells_what_was_drawn(tmp_path: Path):
    made = read_collection(ROOT / "examples" / "collection.toml", 12)
    jobs = made.jobs({"variant": "demo"})
    files = {"image": "images/{}.png", "pixels": "pixels/{}.png"}
    with (tmp_path / MANIFEST).open("w") as manifest:
        for job in list(jobs)[:10]:
            assert job.recipe
            assert job.recipe.traits
            recipe = {"seed": job.recipe.seed, "traits": vars_of(job.recipe.traits)}
            facts = {"sha256": dict.fromkeys(files, ""), "bytes": dict.fromkeys(files, 1)}
            entry = {"name": job.name, "job": job.number, "status": "done", "recipe": recipe, "prompt": "", **facts}
            entry |= {"files": {kind: name.format(job.name) for kind, name in files.items()}}
            entry |= {"palette": [], "confidence": 1, "cells": ""}
            manifest.write(json.dumps(entry) + "\n")
    found = read_drawn(tmp_path, made)
    assert rows(found) == rows(jobs.columns)[:10]
    other = collection(HATS, count=12)
    with pytest.raises(BatchError, match=r"it holds another batch; use another folder, or --overwrite to paint over"):
        read_drawn(tmp_path, other)
    with pytest.raises(BatchError, match=r"it holds another batch; use another folder$"):
        read_drawn(tmp_path, other, {1}, overwrite=True)
    assert set(itertools.chain(*read_drawn(tmp_path, other, overwrite=True).values())) == {""}


def vars_of(traits: Any) -> dict[str, Any]:
    return {name: getattr(traits, name) for name in TRAITS}


def test_one_of_ones_stand_among_the_drawn(tmp_path: Path):
    ones = [{"number": 2, "prompt": "lady, silver skin", "name": "Luna", "steps": 3, "guidance": Decimal("6.5")}]
    made = collection(HATS, count=5, one_of_ones=ones)
    jobs = made.jobs({"variant": "demo"})
    assert jobs.values(2) == {"one of one": "Luna"}
    assert [columns[1] for columns in jobs.columns.values()] == ["", ""]
    assert off(made, jobs.columns) <= 1
    assert sum(Counter(jobs.columns["subject"]).values()) - 1 == 4
    recipe = list(jobs)[1].recipe
    assert recipe
    assert (recipe.prompt, recipe.traits, recipe.num_inference_steps) == ("lady, silver skin", None, 3)
    (tmp_path / "ones.csv").write_text('Number,Prompt,Attributes\n4,lad,"{""kind"": ""alien""}"\n')
    made = parse_collection({"count": 5, "traits": {"subject": {"lady": 1}}, "one_of_ones": "ones.csv"}, tmp_path)
    assert made.ones[4].attributes == {"kind": "alien"}
    assert made.ones[4].row == {"prompt": "lad"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"one_of_ones": [{"number": 9, "prompt": "lad"}]}, r"one_of_ones\[1\]\.number: 9 .* from 1 to 4"),
        ({"one_of_ones": [{"number": 1, "prompt": "lad"}] * 2}, r"one_of_ones\[2\]\.number: 1"),
        (
            {"one_of_ones": [{"number": 1, "prompt": "lad", "steps": 900}]},
            r"one_of_ones\[1\]: num_inference_steps: 900",
        ),
        ({"one_of_ones": [{"number": 1, "promt": "lad"}]}, r"one_of_ones\[1\]: unknown column 'promt'; did you mean"),
        ({"one_of_ones": [{"number": 1, "prompt": "lad", "attributes": {"a": 1}}]}, r"one_of_ones\[1\]\.attributes"),
        ({"one_of_ones": "absent.csv"}, r"absent\.csv: cannot be read"),
        ({"unique_traits": 1}, "unique_traits: 1 is not allowed; use true or false"),
        ({"hidden": ["hta"]}, "hidden: 'hta' is not allowed; there are subject, hat"),
        ({"image_format": "jpg"}, "image_format: 'jpg' is not allowed; use png or svg"),
        ({"description": "A {hta}."}, "{hta} is not known"),
        ({"names": ["Ada"]}, "names: '1 names' is not allowed; there are 4 punks"),
        ({"names": ["Ada", "Ada", "Bo", "Cy"]}, "names: 'Ada' is not allowed; two punks would have this name"),
        ({"names": ["a", "b", "c", "d"], "name": "Punk"}, "name: 'Punk' is not allowed; put {number} into it"),
    ],
)
def test_what_is_wrong_in_the_new_keys_is_said(change: dict[str, Any], message: str):
    with pytest.raises((BatchError, ValueError), match=message):
        collection(HATS, **change)


def test_none_in_any_case_is_nothing():
    made = collection(
        {"hat": {"None": 1, "fedora": 1}}, rules=[{"when": {"hat": "NONE"}, "always": {"subject": "lad"}}]
    )
    assert list(made.types[1].weights) == [NONE, "fedora"]
    assert {job.recipe.prompt for job in made.jobs({}) if job.recipe} <= {
        "portrait of bespoke punk lad",
        "portrait of bespoke punk lad, wearing fedora",
        "portrait of bespoke punk lady, wearing fedora",
    }
    with pytest.raises(ValueError, match=r"traits.wear.hat.none: 1 is not allowed; there are two of it"):
        collection({"hat": {"None": 1, "none": 1}})


def paint(path: Path, folder: Path, count: int, *, keep: Any = (), overwrite: bool = False, **fields: Any) -> list[str]:
    """What `punks batch --collection` does. -> the names of the punks that were painted."""
    made, place = read_collection(path, count), Drawn(exact)
    jobs = jobs_into(folder, made, {"variant": "demo", **fields}, keep, overwrite=overwrite)
    tally = run(jobs, folder, place, keep=keep, begin=lambda: write_drawn(folder, made, jobs.columns))
    assert tally.failed == {}
    assert "provenance: " in show(folder, jobs)
    return place.painted


def test_a_batch_grows_and_keeps_what_is_minted(tmp_path: Path):
    path, folder = tmp_path / "c.toml", tmp_path / "out"
    text = "[traits.subject]\nlady = 1\nlad = 1\n[traits.hair]\nred = 1\nblack = 1\n"
    path.write_text(text)
    paint(path, folder, 3)
    first = pictures(folder)
    assert paint(path, folder, 5, keep=(1, 3)) == ["000004", "000005"]
    grown = pictures(folder)
    assert {name: grown[name] for name in first} == first
    # other traits, steps and another background change all but the kept ones
    path.write_text(text + "[traits.wear.hat]\nfedora = 1\n")
    with pytest.raises(BatchError, match="3 of its 5 punks would be drawn anew"):
        paint(path, folder, 5)
    others = {"num_inference_steps": 9, "background": "lime"}
    assert paint(path, folder, 5, overwrite=True, **others) == ["000002", "000004", "000005"]
    last = pictures(folder)
    kept = {f"{kind}/00000{number}.png" for kind in ("images", "pixels") for number in (1, 3)}
    assert {name for name in last if last[name] == grown[name]} == kept
    assert json.loads((folder / "rarity.json").read_text())["traits"]["hat"]["fedora"]["count"] == 3
    # a kept punk that is lost is painted again as it was; other ways to change it are refused or leave it out
    (folder / "images/000003.png").unlink()
    assert paint(path, folder, 5, **others) == ["000003"]
    assert pictures(folder) == last
    finish_folder(folder, lambda finish: dataclasses.replace(finish, background="teal"), lambda: None)
    write_picks(folder, {"000001": Pick(choice="reject")})
    run(read_collection(path, 5).jobs({}), folder, Drawn(exact), repaint_rejected=True, shared_palette=4, unique=True)
    assert {name for name, content in pictures(folder).items() if last[name] == content} == kept
    other = next(Drawn(exact).paint(iter([Job(number=1, recipe=Recipe(prompt="lad", variant="demo"))])))
    with opened(folder) as at, pytest.raises(BatchError, match="000001: it is kept for good"):
        at.keep(other)
    # nothing that lies there is painted over, and a kept punk does not become a one-of-one
    made = read_collection(path, 5)
    with opened(folder) as at:
        at.keep(dataclasses.replace(other, job=dataclasses.replace(other.job, number=6)))
    with pytest.raises(BatchError, match="punk 6 there is not of this collection; use --overwrite"):
        read_drawn(folder, dataclasses.replace(made, count=7), {1, 3})
    for number, allowed in ((2, True), (3, False)):
        one = OneOfOne(row={"prompt": "lad"}, attributes={"kind": "alien"})
        changed = dataclasses.replace(made, ones={number: one})
        if allowed:
            assert read_drawn(folder, changed, {1, 3})
        else:
            with pytest.raises(BatchError, match="punk 3 is kept, so its one_of_ones cannot change"):
                read_drawn(folder, changed, {1, 3})
    with pytest.raises(BatchError, match="punk 7 is not painted, so it cannot be kept"):
        run([], folder, Drawn(exact), keep=[7])
