"""`punks finish`: files and folders of batches finished anew. Nothing is painted; the file carries what is done."""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from punks import Finish, Painting, Recipe
from punks.batch.jobs import jobs_of
from punks.batch.manifest import entries
from punks.batch.run import run
from punks.cli import main
from punks.errors import RecipeError
from punks.files.png import CELLS, RECIPE, read_texts, write_png
from punks.page.studio import Studio
from punks.recipe import Lora
from punks.request import to_json
from tests.support.batches import facts, pictures
from tests.support.drawn import Drawn, damaged, exact
from tests.support.recipes import recipe_in

SEED = 4
CHANGES: list[tuple[list[str], dict[str, Any]]] = [
    (["--background", "dark blue"], {"background": "#182060"}),
    (["--background", "transparent"], {"background": "transparent"}),
    (["--background", "solid"], {"background": "solid"}),
    (["--eyes", "green"], {"eyes": "green"}),
    (["--palette", "#000 #fff,teal"], {"palette": "#000000,#ffffff,#148a8c"}),
    (["--palette", "prompt", "--dither"], {"palette": "prompt", "dither": True}),
    (["--colors", "5"], {"colors": 5}),
    (["--size", "48"], {"output_size": 48}),
]
RECIPE_OF_IT = Recipe(prompt="lady, #102030 #ff8000", variant="demo", seed=SEED)


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def painting() -> Painting:
    return Painting(recipe=RECIPE_OF_IT, image=damaged(SEED))


def finish(*words: object) -> int:
    return main(["finish", *map(str, words)])


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize(("words", "fields"), CHANGES)
@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_it_is_as_if_it_had_been_painted_with_that_finish(
    painting: Painting, words: list[str], fields: dict[str, Any], suffix: str
):
    whole = Finish(background="orange", eyes="blue", output_size=96)
    painting.finish(whole).save(f"punk.{suffix}")
    assert finish(f"punk.{suffix}", *words, "-o", f"once.{suffix}") == 0
    painting.finish(replace(whole, **fields)).save(f"painted.{suffix}")
    assert Path(f"once.{suffix}").read_bytes() == Path(f"painted.{suffix}").read_bytes()
    # twice is once, and there is a way back
    assert finish(f"once.{suffix}", *words, "-o", f"twice.{suffix}") == 0
    assert Path(f"twice.{suffix}").read_bytes() == Path(f"once.{suffix}").read_bytes()
    assert recipe_in(Path(f"once.{suffix}"))[0] == RECIPE_OF_IT
    back = ["--background", "orange", "--eyes", "blue", "--palette", "auto", "--no-dither", "--size", "96"]
    if "colors" not in fields:  # their default cannot be said
        assert finish(f"once.{suffix}", *back, "-o", f"back.{suffix}") == 0
        assert Path(f"back.{suffix}").read_bytes() == Path(f"punk.{suffix}").read_bytes()


@pytest.mark.parametrize(("words", "fields"), CHANGES)
def test_a_picture_of_an_earlier_version_is_finished_from_its_24x24(words: list[str], fields: dict[str, Any]):
    """It has no data for finishing: its cells are what was painted."""
    art = Painting(image=damaged(SEED)).finish().art
    write_png(art.enlarge(1024), Path("old.png"), {RECIPE: to_json(RECIPE_OF_IT, Finish().of(RECIPE_OF_IT))})
    assert finish("old.png", *words, "-o", "new.png") == 0
    same = Painting(recipe=RECIPE_OF_IT, image=art.enlarge(24)).finish(Finish(**fields))
    assert (pixels("new.png") == np.asarray(same.image)).all()
    assert CELLS in read_texts(Path("new.png"))


def test_the_painting_gives_what_the_24x24_has_lost(painting: Painting):
    """A picture that carries no data for finishing, and had its colors replaced."""
    punk = painting.finish(Finish(palette="#000,#fff"))
    punk.save_painting(Path("kept.png"))
    write_png(punk.image, Path("old.png"), {RECIPE: punk.texts[RECIPE]})
    assert finish("old.png", "--palette", "auto", "-o", "poor.png") == 0
    assert finish("old.png", "--palette", "auto", "--painting", "kept.png", "-o", "whole.png") == 0
    assert finish("kept.png", "--palette", "auto", "-o", "alone.png") == 0
    whole = painting.finish()
    assert (pixels("whole.png") == np.asarray(whole.image)).all()
    assert Path("alone.png").read_bytes() == Path("whole.png").read_bytes()
    assert len(np.unique(pixels("poor.png").reshape(-1, 3), axis=0)) == 2


def test_where_it_is_written(painting: Painting, capsys: pytest.CaptureFixture[str]):
    punk = painting.finish()
    punk.save("a.png")
    punk.save("a.webp")
    before = Path("a.png").read_bytes()
    assert finish("a.png", "a.webp", "--size", 48) == 2
    assert "both would become a-finished.png" in capsys.readouterr().err
    for name in ("a-finished.png", "a-finished-2.png"):
        assert finish("a.png", "--size", 48) == 0
        assert capsys.readouterr().out.startswith(f"{name}  seed {SEED}  ")
    assert finish("a.png", "--size", 48, "-o", "b.webp") == 0
    assert finish("a.png", "--size", 48, "-o", "new/folder") == 0
    assert (pixels("b.webp") == pixels("new/folder/a.png")).all()
    assert finish("a.png", "--size", 48, "-o", "new/folder") == 2
    assert "it exists; use another name, --skip-existing or --force" in capsys.readouterr().err
    assert finish("a.png", "--size", 96, "-o", "new/folder", "--skip-existing") == 0
    assert pixels("new/folder/a.png").shape == (48, 48, 3)
    assert finish("a.png", "--size", 96, "-o", "new/folder", "--force") == 0
    assert pixels("new/folder/a.png").shape == (96, 96, 3)
    assert finish("a.png", "-o", "a.png", "--force") == 2
    assert Path("a.png").read_bytes() == before


def test_what_is_printed(painting: Painting, capsys: pytest.CaptureFixture[str]):
    painting.finish().save("a.png")
    assert finish("a.png", "--background", "teal", "--json", "-o", "b.png") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["path"], said["seed"], said["warnings"]) == ("b.png", SEED, [])
    assert said["recipe"]["background"] == "#148a8c"
    assert "#148a8c" in said["palette"]
    assert finish("a.png", "--eyes", "green", "--palette", "#000,#fff", "-o", "c.png") == 0
    assert capsys.readouterr().err == "punks: c.png: eyes: the palette has no green for eyes; left as painted\n"


def test_a_bad_file_ends_no_other(painting: Painting, capsys: pytest.CaptureFixture[str]):
    Path("in").mkdir()
    punk = painting.finish()
    punk.save("in/a.png")
    punk.save("in/f.png")
    Path("in/b.png").write_bytes(b"nothing")
    write_png(punk.image, Path("in/c.png"), {RECIPE: '{"prompt": "lady", "sead": 1}'})
    write_png(punk.image, Path("in/d.png"), {**punk.texts, CELLS: "damaged"})
    plain = Painting(recipe=RECIPE_OF_IT.replace(prompt="lady"), image=damaged(1)).finish()
    plain.save("in/e.png")
    assert finish("in", "--palette", "prompt", "-o", "out") == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "f.png"]
    said = capsys.readouterr().err
    for words in (
        "punks: in/b.png: not a picture that can be read",
        "punks: in/c.png: unknown field 'sead'; did you mean seed?",
        "punks: in/d.png: the data for finishing inside the picture is damaged",
        "punks: in/e.png: palette: 'prompt' is not allowed; there is no hex code",
        "punks: 2 written, 4 failed\n",
    ):
        assert words in said
    assert said.count("\n") == 5


def test_one_palette_for_many_files(painting: Painting):
    for seed in (1, 2, 3):
        Painting(recipe=RECIPE_OF_IT.replace(seed=seed), image=damaged(seed)).finish().save(f"{seed}.png")
    assert finish("1.png", "2.png", "3.png", "--shared-palette", "--colors", 6, "-o", "out") == 0
    palettes = {str(recipe_in(Path(f"out/{seed}.png"))[1].palette) for seed in (1, 2, 3)}
    assert len(palettes) == 1
    assert palettes.pop().count("#") == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.png", "b.png", "--painting", "c.png"], "--painting is of one picture; name that picture alone"),
        (["a.png", "--dither", "-o", "x.png"], "dither: True is not allowed; give the palette to dither with"),
        (["a.png", "--hair", "red"], "unknown option --hair"),
        (["a.png", "--eyes", "red"], "eyes: 'red' is not allowed; choose one of keep, brown, "),
        ([], "the following arguments are required: FILE"),
        (["folder"], "say what to change, for example --background lime"),
        (["folder", "-o", "other"], "a batch is finished in its own folder; copy the folder first"),
        (["folder", "--shared-palette"], "--shared-palette of a batch is found by `punks batch`; run that again"),
        (["folder", "--painting", "a.png", "--size", "48"], "--painting and --json are for pictures"),
        (["folder", "--background", "blau"], "background: 'blau' is not allowed"),
    ],
)
def test_a_wrong_call(painting: Painting, words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    painting.finish().save("a.png")
    painting.finish().save("b.png")
    run(jobs_of([RECIPE_OF_IT]), Path("folder"), Drawn())
    before = pictures(Path("folder"))
    code: Any = None
    with suppress(SystemExit) as _:
        code = finish(*words)
    assert code in (None, 2)
    assert said in capsys.readouterr().err
    assert pictures(Path("folder")) == before
    assert sorted(path.name for path in Path().iterdir()) == ["a.png", "b.png", "folder"]


def test_the_folder_of_a_batch(capsys: pytest.CaptureFixture[str]):
    recipes = [Recipe(prompt="lady", variant="demo", seed=seed) for seed in (1, 2, 3)]
    run(jobs_of(recipes), Path("out"), Drawn(paintings=True))
    paintings = {path: path.read_bytes() for path in Path("out/paintings").iterdir()}
    assert finish("out", "--background", "lime", "--size", 48) == 0
    said = capsys.readouterr().out
    assert said == "out: 3 finished\nlook at it: out/index.html, sheet.png\n"
    assert {path: path.read_bytes() for path in Path("out/paintings").iterdir()} == paintings
    run(jobs_of(recipes, Finish(background="lime", output_size=48)), Path("anew"), Drawn())
    for entry in entries(Path("out")):
        for kind in ("images", "pixels"):
            name = f"{kind}/{entry['name']}.png"
            assert Path("out", name).read_bytes() == Path("anew", name).read_bytes()
    assert finish("out", "--palette", "prompt") == 1
    assert capsys.readouterr().err.count("palette: 'prompt' is not allowed; there is no hex code") == 3
    assert [entry["recipe"]["palette"] for entry in facts(Path("out"))] == ["auto"] * 3
    with Image.open("out/sheet.png") as sheet:
        assert (0, 255, 0) in {color for _, color in sheet.getcolors(1 << 24)}


def test_punks_of_a_variant_and_loras_that_are_not_here(capsys: pytest.CaptureFixture[str]):
    of = {"variant": "night", "epoch": 3, "lora_scale": 1.0, "num_inference_steps": 9, "guidance_scale": 2.0}
    recipe = Recipe(prompt="lady", seed=1, loras=(Lora(name="glow", sha256="0" * 64),), **of)
    run(jobs_of([recipe]), Path("out"), Drawn(paintings=True))
    punk = Path("out/images/000001.png")
    write_png(Image.open(punk), Path("a.png"), {**read_texts(punk), "parameters": "lady\nSteps: 9, Model: night"})
    assert finish("a.png", "--background", "lime", "-o", "b.webp") == 0
    assert finish("a.png", "--background", "lime", "-o", "b.png") == 0
    assert recipe_in(Path("b.webp"))[0] == recipe_in(Path("b.png"))[0] == recipe
    assert read_texts(Path("b.png"))["parameters"].endswith("Model: night")
    assert finish("out", "--background", "lime") == 0
    assert "out: 1 finished" in capsys.readouterr().out
    studio = Studio(Path("out"))
    assert studio.described(next(entries(Path("out"))))["values"]["variant"] == "night"
    assert studio.finish("000001", {"background": "teal"}, save=True)["finish"]["background"] == "#148a8c"
    assert "--epoch 3 --lora-scale 1.0" in studio.calls("000001")["command"]
    with pytest.raises(RecipeError, match="variant: 'night' is not allowed; choose one of "):
        studio.paint({"seed": 2}, of="000001")
    studio.close()
    assert main(["generate", "--recipe", "b.png", "-o", "c.png"]) == 2
    assert "or add it with `punks weights add night --lora FILE`" in capsys.readouterr().err
    assert not Path("c.png").exists()


def test_nothing_of_it_loads_torch(painting: Painting):
    painting.finish().save("a.png")
    exact(1).save("b.png")
    run(jobs_of([RECIPE_OF_IT]), Path("out"), Drawn())
    code = (
        "import sys; from punks.cli import main\n"
        "for args in (['finish', 'a.png', '--eyes', 'green'], ['finish', 'out', '--size', '48'],\n"
        "             ['snap', 'b.png', '-o', 'c.png']):\n"
        "    assert main(args) == 0, args\n"
        "print(*[name for name in ('torch', 'diffusers', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == ""
    assert Path("c.png").is_file()
