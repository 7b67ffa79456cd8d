"""Jobs and the manifest: what is read, what is refused, and in which words."""

import json
from pathlib import Path
from typing import Any

import pytest

from punks.batch.jobs import jobs_of, prompt_jobs, read_jobs
from punks.batch.manifest import NAME, Manifest, entries
from punks.cli import main
from punks.errors import BatchError, RecipeError
from punks.files.init_image import picture_hash
from punks.finish import Finish
from punks.recipe import MAX_SEED, Recipe


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_cell_becomes_what_its_field_holds_and_an_empty_one_takes_the_default(tmp_path: Path):
    rows = [
        "\ufeffprompt,num_inference_steps,guidance_scale,template,palette,seed",  # begins as Excel's files do
        '"lady, red hair",12,,no,"#fff,#000",',
        "lad,,5,,,9",
    ]
    one, two = read_jobs(
        written(tmp_path / "a.csv", "\n".join(rows)), {"variant": "tiny", "guidance_scale": 3}, seed=40
    )
    assert one.recipe == Recipe(
        prompt="lady, red hair",
        num_inference_steps=12,
        guidance_scale=3,
        template=False,
        seed=40,
        variant="tiny",
    )
    assert one.finish == Finish(palette="#fff,#000").of(one.recipe)
    assert two.recipe == Recipe(prompt="lad", guidance_scale=5, seed=9, variant="tiny")
    assert (one.name, two.name) == ("000001", "000002")


def test_jsonl_says_the_same_as_csv(tmp_path: Path):
    line = {"prompt": "lady, red hair", "seed": None, "template": False, "num_inference_steps": 9}
    csv = 'prompt,seed,template,steps\n"lady, red hair",,false,9\n\nlad,,,\n'
    given = {"variant": "tiny"}
    first = list(read_jobs(written(tmp_path / "a.jsonl", json.dumps(line) + '\n\n{"prompt": "lad"}\n'), given))
    assert first == list(read_jobs(written(tmp_path / "a.csv", csv), given))


def test_traits_may_be_columns(tmp_path: Path):
    rows = 'subject,hair,wear,background,eyes,seed\nlady,"red, curly","gold crown, glasses",blue,green,1\n'
    (job,) = read_jobs(written(tmp_path / "a.csv", rows), {"variant": "tiny"})
    traits = {"subject": "lady", "hair": "red, curly", "wear": ["gold crown", "glasses"], "background": "blue"}
    line = {"traits": {**traits, "eyes": "green"}, "seed": 1}
    (same,) = read_jobs(written(tmp_path / "a.jsonl", json.dumps(line)), {"variant": "tiny"})
    assert job == same
    assert job.recipe
    assert "red curly hair" in job.recipe.prompt
    assert job.recipe.traits
    assert job.recipe.traits.wear == ("gold crown", "glasses")


def test_seeds_go_on_at_0_after_the_last(tmp_path: Path):
    jobs = read_jobs(written(tmp_path / "a.csv", "prompt\na\nb\nc\n"), {"variant": "tiny"}, MAX_SEED - 1)
    assert [job.recipe.seed for job in jobs if job.recipe] == [MAX_SEED - 1, MAX_SEED, 0]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "promt,seed\nlady,1\n", "unknown column 'promt'; did you mean prompt?"),
        ("a.csv", "prompt,stepps\nlady,1\n", "did you mean steps?"),
        ("a.jsonl", '{"prompt": "x", "colour": 3}\n', "did you mean colours?"),
        ("a.txt", "lady\n", "give a .csv or .jsonl file"),
        ("a.csv", "prompt\n", "there is no row in it"),
        ("a.csv", "prompt,seed,prompt\nlady,1,lad\n", "duplicate column 'prompt'"),
        ("a.csv", "\nprompt\nlady\n", "its first line is empty; begin with the names of the columns"),
        ("a.csv", 'prompt,seed\n"lady, red hair,1\nlad,2\n', "the row that begins in line 2 cannot be read as CSV"),
        ("a.jsonl", "\n\n", "there is no row in it"),
        ("none/a.csv", None, "cannot be read"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(tmp_path: Path, name: str, text: str | None, words: str):
    if text is not None:
        written(tmp_path / name, text)
    with pytest.raises((RecipeError, BatchError)) as error:
        read_jobs(tmp_path / name, {})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('"num_inference_steps": "12"', "num_inference_steps: '12'"),
        ('"seed": -1', "seed: -1"),
        ('"sead": 1', "did you mean seed?"),
        ('"image": "absent.png"', "absent.png: cannot be read"),
        ('"negative_prompt": "\\ud800"', "remove the characters that are not valid text"),
        ('"prompt": ', "it is not JSON"),
        ('"seed": 1, "seed": 2', "row: 'seed' is not allowed; two values have this name; leave one out"),
        ('"traits": {"hair": "red", "hair": "blue"}', "row: 'hair' is not allowed; two values have this name"),
    ],
)
def test_a_row_that_is_wrong_says_so_and_the_others_are_fine(tmp_path: Path, row: str, words: str):
    good = '{"prompt": "lady", "variant": "tiny"}'
    path = written(tmp_path / "a.jsonl", f'{good}\n{{"prompt": "lad", {row}}}\n[1]\n{good}\n')
    first, second, third, last = read_jobs(path, {})
    assert words in second.error
    assert "JSON object" in third.error
    assert (second.recipe, third.recipe) == (None, None)
    assert first.recipe
    assert last.recipe == first.recipe.replace(seed=3)


def test_csv_rows_that_are_wrong(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes(b"prompt,template\nlady,yes,more\nlady,maybe\nl\xffd,\nlad,yes\n")
    errors = [job.error for job in read_jobs(tmp_path / "a.csv", {"variant": "tiny"})]
    assert "more cells than there are columns; quote a text with commas" in errors[0]
    assert "template: 'maybe'" in errors[1]
    assert "remove the characters that are not valid text" in errors[2]
    assert errors[3] == ""


def test_a_quote_left_open_is_named_with_its_row_wherever_it_is(tmp_path: Path):
    path = written(tmp_path / "a.csv", 'prompt,seed\nlady,1\n"two\nlines",2\n"lady, red hair,3\nlad,4\n')
    jobs = read_jobs(path, {"variant": "tiny"})
    with pytest.raises(BatchError, match="line 5 cannot be read as CSV"):
        len(jobs)


def test_a_row_may_start_from_a_picture_beside_the_file(tmp_path: Path):
    picture = Path("weights/demo/samples.png").resolve()
    (tmp_path / "start.png").write_bytes(picture.read_bytes())
    (job,) = read_jobs(written(tmp_path / "a.csv", "prompt,image\nlady,start.png\n"), {"variant": "tiny"})
    assert job.recipe
    assert job.recipe.image_sha256 == picture_hash(picture)
    assert job.image == tmp_path / "start.png"


def test_choices_of_a_prompt(tmp_path: Path):
    given = {"variant": "tiny"}

    def prompts(template: str, count: int | None, seed: int = 0) -> list[str]:
        jobs = prompt_jobs(template, count, given, seed)
        found = [job.recipe.prompt for job in jobs if job.recipe]
        assert len(found) == len(jobs)
        return found

    every = prompts("{lady|lad}, {red|blue|no} hair", None)
    assert sorted(every) == sorted(f"{who}, {hair} hair" for who in ("lady", "lad") for hair in ("red", "blue", "no"))
    drawn = prompts("{lady|lad}, {red|blue|no} hair", 60)
    assert set(drawn) == set(every)
    assert prompts("{lady|lad}, {red|blue|no} hair", 30) == drawn[:30]
    assert prompts("{lady|lad}, {red|blue|no} hair", 60, seed=1) != drawn
    assert prompts("lady{|, gold chain}", None) == ["lady", "lady, gold chain"]
    assert prompts("lady", None) == ["lady"]


@pytest.mark.parametrize(
    ("template", "count"), [("a {b|{c}}", None), ("a }", 2), ("{a|b}", 0), ("{0|1|2|3}" * 10, None)]
)
def test_templates_that_are_refused(template: str, count: int | None):
    with pytest.raises(RecipeError):
        prompt_jobs(template, count, {})


def test_the_last_line_of_a_name_counts_and_a_torn_one_does_not(tmp_path: Path):
    def line(job: int, status: str) -> dict[str, Any]:
        return {"name": f"{job:06d}", "job": job, "status": status}

    manifest = Manifest(tmp_path)
    manifest.append([line(2, "failed"), line(1, "done")])
    manifest.append([line(2, "done")])
    manifest.close()
    whole = (tmp_path / NAME).read_bytes()
    for torn in range(len(whole.splitlines()[0]) + 1):
        (tmp_path / NAME).write_bytes(whole + whole[:torn])
        assert list(entries(tmp_path)) == [line(1, "done"), line(2, "done")]
    manifest = Manifest(tmp_path)
    manifest.append([line(3, "done")])
    assert manifest.last("000003") == line(3, "done")
    manifest.close()
    assert list(entries(tmp_path)) == [line(1, "done"), line(2, "done"), line(3, "done")]


def test_a_damaged_manifest_is_named_with_its_line(tmp_path: Path):
    (tmp_path / NAME).write_text('{"name": "000001", "job": 1}\n{"name": 00\n')
    with pytest.raises(BatchError, match="line 2 is damaged"):
        list(entries(tmp_path))
    with pytest.raises(BatchError, match="cannot be read"):
        list(entries(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--prompt", "lady", "--on", "mars"], "on: 'mars' is not allowed"),
        (["--prompt", "lady", "--workers", "0"], "workers: 0"),
        (["--prompt", "lady", "--shared-palette", "1"], "shared-palette: 1"),
        (["--prompt", "lady", "--palette-lock", "8"], "--palette-lock is called --shared-palette now"),
        (["--prompt", "lady", "--on", "replicate:punks"], "use replicate:OWNER/MODEL"),
        (["--prompt", "lady", "--on", "replicate:a/b"], "set REPLICATE_API_TOKEN"),
        (["--prompt", "lady", "--on", "http://127.0.0.1:9"], "no server answers there"),
        (["--prompt", "lady", "--variant", "sd15-perfect"], "script/download-weights sd15-perfect"),
        (["absent.csv"], "absent.csv: cannot be read"),
        ([], "name a file of JOBS, or give --prompt or --collection"),
        (["a.csv", "--count", "3"], "--count needs --prompt or --collection"),
        (["a.csv", "--prompt", "lady"], "name a file of JOBS, or give --prompt or --collection"),
        (["--collection", "absent.toml"], "absent.toml: cannot be read"),
        (["--prompt", "lady", "--on", "http://127.0.0.1:x"], "it is no address"),
    ],
)
def test_calls_that_are_refused_before_anything_is_painted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str], words: str
):
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["batch", "-o", "out", *args])
    except SystemExit as error:
        code = error.code
    assert code in (1, 2)
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*/*"))


def test_recipes_of_python_are_jobs():
    recipes = [Recipe(prompt="lady", seed=seed) for seed in range(3)]
    assert [job.recipe for job in jobs_of(recipes)] == recipes
