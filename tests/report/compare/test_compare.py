"""Comparisons: which pictures, what they score, what is recommended and how sure, and ratings that come back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks.batch.places.worker import recipe_of
from punks.cli import main
from punks.errors import BatchError, RecipeError
from punks.files import weights
from punks.files.checksums import sha256
from punks.report.compare.asked import asked, background_obeyed
from punks.report.compare.grid import PROMPTS, Axis, Grid, epochs_axis, make_grid, parse_axis
from punks.report.compare.ratings import Ratings, read_ratings, take_in
from punks.report.compare.result import require_own
from punks.report.compare.scores import MEASURES, difference, score
from punks.report.compare.verdict import judge
from punks.report.document import document
from punks.snap.portrait import read
from punks.variants import VARIANTS
from tests.support.faces import hand_made

ASKED = "lady, brown hair, brown eyes, light skin, blue solid background"
BROWN = (66, 25, 1)


def small(columns: int = 2, rows: int = 3, *, base: bool = False) -> Grid:
    axis = Axis(name="guidance", values=tuple(float(value) for value in range(1, columns + 1)))
    return make_grid(axis, Axis(name="seed", values=tuple(range(rows))), [ASKED], {"variant": "demo"}, base=base)


def test_columns_and_rows_vary_what_they_say(tiny_weights: Path):
    grid = make_grid(epochs_axis("tiny"), None, PROMPTS, {"variant": "tiny"}, seed=5, base=True)
    assert [column.title for column in grid.columns] == ["epoch 1", "epoch 2", "without LoRA"]
    columns = [[recipe_of(job) for job in column] for column in grid.cells]
    assert [[recipe.epoch for recipe in column] for column in columns] == [[1] * 8, [2] * 8, [1] * 8]
    assert [recipe.lora_scale for recipe in columns[2]] == [0] * 8
    for column in columns:  # one seed a row
        assert [(recipe.prompt, recipe.seed) for recipe in column] == [(p, 5 + i) for i, p in enumerate(PROMPTS)]
    seeds = make_grid(parse_axis("lora-scale=0.5,1", "columns"), parse_axis("seed=7,9", "rows"), PROMPTS[:2], {})
    assert [recipe_of(job).seed for job in seeds.cells[0]] == [7, 9, 7, 9]
    assert [recipe_of(job).lora_scale for job in seeds.cells[1]] == [1.0] * 4


def test_files_of_loras_are_columns(tiny_weights: Path):
    one, two = (weights.lora_path(VARIANTS["tiny"], epoch) for epoch in (1, 2))
    grid = make_grid(parse_axis(f"lora={one},{two}:0.5", "columns"), None, PROMPTS[:1], {}, base=True)
    assert [column.title for column in grid.columns] == [one.name, f"{two.name}:0.5", "without LoRA"]
    recipes = [recipe_of(column[0]) for column in grid.cells]
    assert {(recipe.variant, recipe.lora_scale) for recipe in recipes} == {("tiny", 0)}
    assert [[(lora.sha256, lora.scale) for lora in recipe.loras] for recipe in recipes] == [
        [(sha256(one), 1.0)],
        [(sha256(two), 0.5)],
        [],
    ]
    beside = make_grid(parse_axis(f"lora={one},{two}", "columns"), None, PROMPTS[:1], {"variant": "tiny"})
    assert [recipe_of(column[0]).lora_scale for column in beside.cells] == [1, 1]
    fast = make_grid(parse_axis("fast=off,lcm", "columns"), None, PROMPTS[:1], {"variant": "sd15-perfect"})
    assert [recipe_of(column[0]).num_inference_steps for column in fast.cells] == [30, 4]


def test_more_columns_leave_the_names_of_the_others():
    few, more = small(2), small(3, base=True)
    assert few.cells == more.cells[:2]
    assert [job.number for job in more.jobs()] == list(range(1, 13))


@pytest.mark.parametrize(
    ("columns", "rows", "fields", "said"),
    [
        ("epoch=1,2", "epoch=1", {}, "rows: 'epoch' is not allowed; columns and rows vary two different things"),
        ("epochs=1", None, {}, "columns: 'epochs=1' is not allowed; use NAME=VALUE,VALUE with a name of epoch, var"),
        ("epoch=", None, {}, "use NAME=VALUE"),
        ("epoch=one", None, {}, "epoch: 'one' is not allowed; use a whole number from 1 to 999"),
        ("epoch=1,1", None, {}, "name each value once"),
        ("epoch=99", None, {"variant": "demo"}, "epoch: 99 is not allowed"),
        ("steps=5", None, {"num_inference_steps": 4}, "num_inference_steps: 4 is not allowed; it is varied over steps"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(columns: str, rows: str | None, fields: dict[str, object], said: str):
    with pytest.raises(RecipeError, match=said.replace("(", r"\(")):
        make_grid(parse_axis(columns, "columns"), rows and parse_axis(rows, "rows"), PROMPTS, fields)


@pytest.mark.parametrize(
    ("prompt", "background", "eyes", "hair"),
    [
        (ASKED, "blue", "brown", "brown"),
        ("lad, black afro, hazel eyes, bright neon green background", "green", "brown", "black"),
        ("lady, ginger curly hair, wearing red bow in hair, checkered background", None, None, "red"),
        ("lad, wearing black stunner shades, blue eyes, peach background", "orange", None, None),
        ("lady, blue eyes, green background (#6ae745)", None, "blue", None),
        ("a cat", None, None, None),
    ],
)
def test_what_a_prompt_asks_for(prompt: str, background: str | None, eyes: str | None, hair: str | None):
    found = asked(prompt)
    assert (found.background, found.eyes, found.hair) == (background, eyes, hair)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_default_prompts_ask_for_what_can_be_judged(prompt: str):
    found = asked(prompt)
    assert found.background
    assert found.solid
    assert found.hair
    assert bool(found.eyes) != ("shades" in prompt)


def test_a_background_is_compared_with_its_code():
    cells = hand_made(BROWN)
    near, far = (asked(f"lady, background ({code})") for code in ("#3c78c8", "#c8783c"))
    assert background_obeyed(near, read(cells)) is True
    assert background_obeyed(far, read(cells)) is False
    assert background_obeyed(asked("lady"), read(cells)) is None


def test_what_is_wrong_costs_points():
    good = score(hand_made(BROWN), 1.0, ASKED)
    assert good.points == 1
    assert {good.measures[name] for name in ("solid", "background", "eyes", "hair")} == {1.0}
    noisy = hand_made(BROWN)
    noisy[2, 2] = noisy[6, 21] = (255, 0, 255)
    worse = {
        "eyes": score(hand_made((21, 185, 11)), 1.0, ASKED),
        "background": score(hand_made(BROWN), 1.0, ASKED.replace("blue", "pink")),
        "hair": score(hand_made(BROWN), 1.0, ASKED.replace("brown hair", "red hair")),
        "confidence": score(hand_made(BROWN), 0.3, ASKED),
        "strays": score(noisy, 1.0, ASKED),
    }
    for name, one in worse.items():
        assert one.points < 1, name
        changed = [name, "colors"] if name == "strays" else [name]
        assert [m.name for m in MEASURES if m.better and one.measures[m.name] != good.measures[m.name]] == changed


def test_difference_is_the_share_of_cells_seen_to_differ():
    one = hand_made(BROWN)
    two = one.copy()
    assert difference(one, two) == 0
    two[:6] = (250, 250, 250)
    assert difference(one, two) == 0.25
    two = one.copy()
    two += 1  # not seen
    assert difference(one, two) == 0


def test_the_better_column_is_recommended_and_luck_is_counted():
    grid = small(2, 8)
    good, bad = (score(hand_made(iris), 1.0, ASKED) for iris in (BROWN, (21, 185, 11)))
    verdict = judge(grid, [[bad] * 8, [good] * 8])
    assert verdict.column == 1
    # of 2^8 signs only all plus and all minus are as far from zero
    assert verdict.comparisons[0].luck == pytest.approx(2 / 256)
    assert "guidance 1.0" in verdict.reasons[2]
    assert verdict.reasons[2].endswith("a difference.")
    few = judge(grid, [[bad, *[None] * 7], [good] * 8])
    assert few.comparisons[0].pairs == 1
    assert "do not tell guidance 2.0 from guidance 1.0" in few.reasons[-1]
    assert judge(grid, [[None] * 8, [None] * 8]).column is None


def test_luck_is_that_of_all_signs_where_they_are_too_many_to_try():
    grid = small(2, 40)
    rng = np.random.default_rng(3)
    plain = score(hand_made(BROWN), 1.0, ASKED)
    noise = [dataclasses.replace(plain, points=float(rng.normal(0.8, 0.1))) for _ in range(80)]
    assert judge(grid, [noise[:40], noise[40:]]).comparisons[0].luck > 0.05
    better = [dataclasses.replace(one, points=one.points + 0.2) for one in noise[:40]]
    assert judge(grid, [noise[:40], better]).comparisons[0].luck < 0.001


def test_the_column_without_lora_is_never_recommended():
    grid = small(1, 2, base=True)
    good, bad = (score(hand_made(iris), 1.0, ASKED) for iris in (BROWN, (21, 185, 11)))
    assert judge(grid, [[bad] * 2, [good] * 2]).column == 0


def test_ratings_are_of_cells_and_columns(tmp_path: Path):
    ratings = Ratings(pictures={"a": 8, "b": 4}, columns={"epoch 4": 9})
    (tmp_path / "ratings.json").write_text(ratings.to_json())
    assert read_ratings(tmp_path / "ratings.json") == ratings
    titles = ["epoch 1", "epoch 4", "epoch 7"]
    assert ratings.of_columns(titles, [["a", "b"], ["a"], [None, "x"]]) == {"epoch 1": 6, "epoch 4": 9}
    (tmp_path / "down.json").write_text('{"pictures": {"b": 5}, "columns": {}}')
    assert take_in(tmp_path / "down.json", tmp_path).pictures == {"a": 8, "b": 5}
    assert read_ratings(tmp_path / "ratings.json").pictures == {"a": 8, "b": 5}
    assert read_ratings(tmp_path / "none.json") == Ratings()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"pictures": {}}', '{"pictures": {"a": 11}, "columns": {}}', '{"pictures": [], "columns": {}}']
)
def test_what_no_page_has_saved_is_refused(text: str, tmp_path: Path):
    path = tmp_path / "ratings.json"
    path.write_text(text)
    with pytest.raises(BatchError, match=r"no ratings can be read.* wrote: {\"pictures\": {|is no rating"):
        read_ratings(path)


def test_nothing_in_a_prompt_becomes_part_of_the_page():
    evil = '</script><script>alert(1)</script><!-- "&'
    page = document("compare/static", ("main.js",), evil, {"rows": [evil], "reasons": ["{{script}}"]})
    assert evil not in page
    assert page.count("<script") == 2
    assert "&lt;/script&gt;" in page
    inside = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(inside)["rows"] == [evil]


def test_the_command_paints_scores_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "two epochs"
    given = ["compare", "--variant", "demo", "--columns", "steps=1,2", "lady, red hair"]
    given += ["-o", str(folder), "--workers", "1"]
    assert main(given) == 0
    out = capsys.readouterr().out
    assert out.count("steps 1") >= 2
    assert "index.html" in out
    scores = json.loads((folder / "scores.json").read_text())
    assert [column["title"] for column in scores["columns"]] == ["steps 1", "steps 2"]
    for name in ("index.html", "sheet.png", "plot.png", "manifest.jsonl"):
        assert (folder / name).stat().st_size > 0
    page = (folder / "index.html").read_text()
    lines = (folder / "manifest.jsonl").read_text()
    cells = json.loads(lines.splitlines()[0])["cells"]
    assert cells in page
    (folder / "ratings.json").write_text(json.dumps({"pictures": {cells: 7}, "columns": {}}))
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ratings"] == {"steps 1": 7.0}
    assert (folder / "manifest.jsonl").read_text() == lines  # nothing is painted again
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    for other in ("--columns=steps=1", "--seed=9"):
        assert main([*given, other]) == 1
        assert "it holds pictures that are not part of this comparison; use another folder" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")} == before
    wider = make_grid(parse_axis("steps=3,1,2", "columns"), None, ["lady, red hair", "lad"], {"variant": "demo"})
    require_own(folder, wider)
    # another finish: the paintings stay
    assert main([*given, "--size=96"]) == 0
    with Image.open(folder / "images/000001.png") as image:
        assert image.size == (96, 96)
    paintings = [path for path in before if path.parent.name == "paintings"]
    assert len(paintings) == 2
    assert all(path.stat().st_mtime_ns == before[path] for path in paintings)


def test_a_folder_where_nothing_can_be_painted_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = ["compare", "--variant", "sd15-perfect", "--columns", "epoch=3", "lady"]
    given += ["-o", str(tmp_path / "x"), "--workers", "1"]
    assert main(given) == 1
    assert "script/download-weights" in capsys.readouterr().err
