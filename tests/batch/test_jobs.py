"""Jobs: what is read, what is refused, and in which words."""

import json
from pathlib import Path

import pytest

from punks.batch.jobs import jobs_of, prompt_jobs, read_jobs
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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "Prompt;Negative Prompt;Steps\nlady, red hair;blurry;9\n".encode("utf-8-sig")),  # German Excel
        ("a.csv", b"sep=;\r\nprompt;negative-prompt;steps\r\nlady, red hair;blurry;9\r\n"),
        ("a.txt.csv", "prompt\tnegative_prompt\tsteps\nlady, red hair\tblurry\t9\n".encode("utf-16")),  # Unicode text
        ("a.tsv", b"prompt\tnegative_prompt\tsteps\nlady, red hair\tblurry\t9\n"),
        ("a.csv", b'\n,,\nprompt,negative_prompt,steps,\n"lady, red hair",blurry,9.0,\n,,,\n'),
        ("a.csv", b"prompt|negative_prompt|steps\nlady, red hair|blurry|9\n"),
        ("a.json", b'[{"prompt": "lady, red hair", "Negative Prompt": "blurry", "steps": 9.0}]'),
        ("a.json", '[{"prompt": "lady, red hair", "Negative Prompt": "blurry", "steps": 9}]'.encode("utf-16")),
    ],
)
def test_tables_are_read_as_programs_write_them(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    (job,) = read_jobs(tmp_path / name, {"variant": "tiny"})
    assert job.error == ""
    assert job.recipe == Recipe(
        prompt="lady, red hair", negative_prompt="blurry", num_inference_steps=9, seed=0, variant="tiny"
    )


def test_a_text_file_has_a_prompt_a_line(tmp_path: Path):
    jobs = read_jobs(written(tmp_path / "a.txt", "lady, red hair\n\n# a note\n  lad\n"), {"variant": "tiny"})
    assert [job.recipe.prompt for job in jobs if job.recipe] == ["lady, red hair", "lad"]


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
    assert (job.finish.background, job.finish.eyes) == ("#3468dc", "green")


def test_a_background_is_the_same_color_alone_and_beside_traits(tmp_path: Path):
    rows = "prompt,subject,background\nlady,,teal\n,lady,teal\nlady,,dark blue\n,lady,dark blue\n"
    jobs = list(read_jobs(written(tmp_path / "a.csv", rows), {"variant": "tiny"}))
    assert [job.finish.background for job in jobs] == ["#148a8c", "#148a8c", "#182060", "#182060"]


def test_an_option_stands_where_a_row_says_nothing_under_either_name(tmp_path: Path):
    rows = "prompt,steps,colours\nlady,,\nlad,7,9\n"
    one, two = read_jobs(written(tmp_path / "a.csv", rows), {"num_inference_steps": 5, "colors": 4, "variant": "tiny"})
    assert one.recipe
    assert two.recipe
    assert (one.recipe.num_inference_steps, two.recipe.num_inference_steps) == (5, 7)
    assert (one.finish.colors, two.finish.colors) == (4, 9)


def test_seeds_go_on_at_0_after_the_last(tmp_path: Path):
    jobs = read_jobs(written(tmp_path / "a.csv", "prompt\na\nb\nc\n"), {"variant": "tiny"}, MAX_SEED - 1)
    assert [job.recipe.seed for job in jobs if job.recipe] == [MAX_SEED - 1, MAX_SEED, 0]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "promt,seed\nlady,1\n", "unknown column 'promt'; did you mean prompt?"),
        ("a.csv", "prompt,stepps\nlady,1\n", "did you mean steps?"),
        ("a.jsonl", '{"prompt": "x", "colour": 3}\n', "did you mean colours?"),
        ("a.xlsx", "lady\n", "use a .csv, .tsv, .txt, .jsonl, .ndjson, .json file"),
        ("a.csv", "prompt\n", "no rows"),
        ("a.csv", "prompt,seed,prompt\nlady,1,lad\n", "duplicate column 'prompt'"),
        ("a.csv", "prompt,steps,num_inference_steps\nlady,1,2\n", "duplicate column 'num_inference_steps'"),
        ("a.csv", 'prompt,seed\n"lady, red hair,1\nlad,2\n', "the row that begins in line 2 is not valid CSV"),
        ("a.jsonl", "\n\n", "no rows"),
        ("a.json", "{}", "use a JSON array of objects"),
        ("a.json", "[", "not valid JSON"),
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
    ("name", "content"),
    [
        ("a.csv", b"PK\x03\x04\x14\0\6\0"),  # a spreadsheet that was only renamed
        ("a.csv", "prompt\nlady\n".encode("utf-32")),
        ("a.csv", "prompt\nlady\n".encode("utf-16-be")),  # without a byte order mark
        ("a.csv", "prompt\nlady\n".encode("utf-16")[:-1]),
        ("a.txt", "lady \ud800".encode("utf-16", "surrogatepass")),
        ("a.json", '["lady"]'.encode("utf-32")),
    ],
)
def test_a_file_that_is_no_text_says_how_to_save_it(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BatchError, match="not a text table; save it as CSV UTF-8"):
        list(read_jobs(tmp_path / name, {}))


@pytest.mark.parametrize(
    ("text", "words"),
    [("[" * 20_000, "not valid JSON (nested too deeply)"), (f"[{'9' * 5000}]", "not valid JSON (Exceeds the limit")],
)
def test_json_that_python_refuses_is_told_in_plain_words(tmp_path: Path, text: str, words: str):
    with pytest.raises(BatchError) as error:
        read_jobs(written(tmp_path / "a.json", text), {})
    assert words in str(error.value)
    assert "sys." not in str(error.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('"num_inference_steps": "12"', "num_inference_steps: '12'"),
        ('"seed": -1', "seed: -1"),
        ('"sead": 1', "did you mean seed?"),
        ('"image": "absent.png"', "absent.png: cannot be read"),
        ('"negative_prompt": "\\ud800"', "remove the characters that are not valid text"),
        ('"prompt": ', "it is not JSON"),
        ('"seed": 1, "seed": 2', "row: duplicate column 'seed'"),
        ('"steps": 1, "num_inference_steps": 2', "row: duplicate column 'num_inference_steps'"),
        ('"traits": {"hair": "red", "hair": "blue"}', "row: duplicate column 'hair'"),
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
    assert errors[2] == "row: not UTF-8; save the table as CSV UTF-8"
    assert errors[3] == ""


def test_numbers_as_spreadsheets_write_them(tmp_path: Path):
    wrong = {
        "seed": {
            "1.23457E+09": "a spreadsheet has rounded this number",
            "1,234": "write 1234 without a separator",
            "1,5": "use a whole number from 0",
            "9" * 5000: "use a whole number from 0",
        },
        "guidance_scale": {"7,5": "write 7.5 with a decimal point"},
        "image": {"https://example.com/a.png": "not a file but an address", "~/absent.png": "~/absent.png"},
    }
    for name, cells in wrong.items():
        path = written(tmp_path / "a.csv", "\n".join([f"prompt;{name}", *(f"lady;{cell}" for cell in cells)]))
        for job, words in zip(read_jobs(path, {"variant": "tiny"}), cells.values(), strict=True):
            assert words.replace("~", str(Path.home())) in job.error


def test_a_quote_left_open_is_named_with_its_row_wherever_it_is(tmp_path: Path):
    path = written(tmp_path / "a.csv", 'prompt,seed\nlady,1\n"two\nlines",2\n"lady, red hair,3\nlad,4\n')
    jobs = read_jobs(path, {"variant": "tiny"})
    with pytest.raises(BatchError, match="line 5 is not valid CSV"):
        len(jobs)


def test_a_row_may_start_from_a_picture_beside_the_file(tmp_path: Path):
    picture = Path("weights/demo/samples.png").resolve()
    (tmp_path / "start.png").write_bytes(picture.read_bytes())
    (job,) = read_jobs(written(tmp_path / "a.csv", "prompt,image\nlady,start.png\n"), {"variant": "tiny"})
    assert job.recipe
    assert job.recipe.image_sha256 == picture_hash(picture)
    assert job.image == tmp_path / "start.png"


def test_rows_of_a_table_may_have_choices(tmp_path: Path):
    rows = "".join(f'"{{lady|lad}}, {{red|blue}} hair",{seed}\n' for seed in range(30))
    jobs = list(read_jobs(written(tmp_path / "a.csv", f"prompt,seed\n{rows}"), {"variant": "tiny"}))
    assert len({job.recipe.prompt for job in jobs if job.recipe}) == 4
    assert jobs == list(read_jobs(tmp_path / "a.csv", {"variant": "tiny"}))


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


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--prompt", "lady", "--on", "mars"], "on: 'mars' is not allowed"),
        (["--prompt", "lady", "--workers", "0"], "workers: 0"),
        (["--prompt", "lady", "--shared-palette", "1"], "shared-palette: 1"),
        (["--prompt", "lady", "--palette-lock", "8"], "--palette-lock is called --shared-palette now"),
        (["--traits", "night.toml"], "--traits FILE is called --collection FILE now"),
        (["--prompt", "lady", "--background", "blau"], "background: 'blau' is not allowed; use keep, solid,"),
        (["--prompt", "lady", "--on", "replicate:punks"], "use replicate:OWNER/MODEL"),
        (["--prompt", "lady", "--on", "replicate:a/b"], "set REPLICATE_API_TOKEN"),
        (["--prompt", "lady", "--on", "http://127.0.0.1:9"], "no server answers there"),
        (["--prompt", "lady", "--variant", "sd15-perfect"], "script/download-weights sd15-perfect"),
        (["absent.csv"], "absent.csv: cannot be read"),
        ([], "name a file of JOBS, or give --prompt or --collection"),
        (["a.csv", "--count", "3"], "--count needs --prompt or --collection"),
        (["a.csv", "--prompt", "lady"], "name a file of JOBS, or give --prompt or --collection"),
        (["--collection", "absent.toml"], "absent.toml: cannot be read"),
        (["--prompt", "lady", "--on", "http://127.0.0.1:x"], "not an address"),
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
    assert [(job.number, job.recipe) for job in jobs_of(recipes)] == list(enumerate(recipes, 1))
    assert {job.finish for job in jobs_of(recipes)} == {Finish(background="keep", eyes="keep")}
    finish = Finish(background="teal")
    assert {job.finish for job in jobs_of(recipes, finish)} == {Finish(background="teal", eyes="keep")}
