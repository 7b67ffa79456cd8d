"""What was asked for is painted or given, what could not be is said, and what is off changes nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from punks import Finish, Painting, Pipeline, Recipe, finish, generate
from punks.cli import main
from punks.errors import ImageError, RecipeError
from punks.prompts import complete
from punks.request import changed, divide, from_json, to_json
from punks.snap import restore, snap
from tests.support.drawn import damaged
from tests.support.recipes import recipe_in
from training.portraits import draw, sample

TRAITS = {"subject": "lady", "hair": "red, curly", "eyes": "green", "background": "teal", "wear": ["gold crown"]}
CAPTION = "portrait of bespoke punk lady, red curly hair, wearing gold crown, green eyes, teal solid background"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline()


def recipe(**fields: Any) -> Recipe:
    return Recipe(**({"prompt": "lady, red hair", "variant": "tiny", "seed": 1} | fields))


def test_with_all_options_off_the_picture_is_what_plain_diffusers_paints(tiny_weights: Path):
    asked = recipe(prompt=None, lora_scale=0.0, traits=TRAITS, steer=0.0, vary=0.0, vary_seed=9)
    stock = DiffusionPipeline.from_pretrained(tiny_weights / "tiny", variant="fp16", dtype=torch.float32)
    painted = stock(
        prompt=complete(CAPTION),
        negative_prompt=asked.negative_prompt,
        latents=torch.randn(1, 4, 24, 24, generator=torch.Generator().manual_seed(1)),
        num_inference_steps=2,
        guidance_scale=7.5,
        height=192,
        width=192,
    ).images[0]
    punk = generate(asked, Finish(background="keep", eyes="keep"))
    assert punk.painting.image
    assert punk.painting.image.tobytes() == painted.tobytes()
    assert punk.painting.prompt == complete(CAPTION)
    assert (punk.art.cells == restore(painted).painted.cells).all()
    assert [one.partition(":")[0] for one in punk.warnings] == ["grid"]


def test_traits_decide_what_nothing_else_does():
    recipe, finish = divide({"traits": TRAITS, "seed": 1})
    assert (recipe.prompt, finish.background, finish.eyes) == (CAPTION, "#148a8c", "green")
    assert from_json(to_json(recipe, finish)) == (recipe, finish)
    given = {"prompt": "a cat", "background": "keep", "eyes": "blue"}
    assert divide({"traits": TRAITS, "seed": 1, **given}) == changed(recipe, finish, given)
    traits = {**TRAITS, "background": "blue checkered", "eyes": "hazel"}
    recipe, finish = changed(recipe, finish, {"traits": traits})
    assert recipe.prompt.endswith("hazel eyes, blue checkered background")
    assert (finish.background, finish.eyes) == ("keep", "keep")


def test_a_row_of_columns_is_a_recipe_with_traits():
    row = {"subject": "lady", "hair": "red, curly", "eyes": "green", "background": "teal", "wear": "gold crown"}
    assert divide({**row, "seed": 1}) == divide({"traits": TRAITS, "seed": 1})
    recipe, clear = divide({"subject": "lady", "hair": "red", "background": "transparent", "seed": 1})
    assert (clear.background, recipe.prompt) == ("transparent", "portrait of bespoke punk lady, red hair")
    recipe, plain = divide({"prompt": "lady", "background": "teal", "eyes": "blue", "seed": 1})
    assert (recipe.traits, plain.background, plain.eyes) == (None, "#148a8c", "blue")
    with pytest.raises(RecipeError, match=r"traits\.subject: missing; use lady or lad"):
        divide({"hair": "red"})
    with pytest.raises(RecipeError, match="traits: 3 is not allowed; use an object such as"):
        divide({"traits": 3})


def test_variations_of_one_seed_are_painted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["generate", "lady", "--variant", "tiny", "--seed", "7", "-n", "2", "-o", str(tmp_path)]
    assert main([*command, "--vary", "0.2", "--json"]) == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["seed"], one["recipe"]["vary_seed"]) for one in facts] == [(7, 8), (7, 9)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["punk-7-8.png", "punk-7-9.png"]
    assert (tmp_path / "punk-7-8.png").read_bytes() != (tmp_path / "punk-7-9.png").read_bytes()
    again = ["generate", "--recipe", str(tmp_path / "punk-7-8.png"), "--vary-seed", "9", "-o", str(tmp_path / "9.png")]
    assert main(again) == 0
    assert (tmp_path / "9.png").read_bytes() == (tmp_path / "punk-7-9.png").read_bytes()
    with pytest.raises(RecipeError, match=r"vary: 0\.2 is not allowed; a painting that starts from a picture"):
        recipe(vary=0.2, image_sha256="0" * 64)


def test_eyes_are_given_where_they_are_found_and_a_warning_where_not():
    portrait = draw(sample(np.random.default_rng([31, 5])), np.random.default_rng(5))
    painting = enlarged(portrait.cells)
    for name in ("brown", "green"):
        punk, kept = painting.finish(Finish(eyes=name)), painting.finish()
        changed = (punk.art.cells != kept.art.cells).any(-1)
        irises = portrait.masks["left eye"] | portrait.masks["right eye"]
        assert punk.warnings == ()
        assert not changed[~irises].any()
        assert changed.any() == (portrait.traits.eyes != name)
        assert {tuple(row) for row in punk.art.palette.tolist()} == {
            tuple(color) for color in punk.art.cells.reshape(-1, 3).tolist()
        }
    few = "#000000,#ffffff,#f2ccb3,#b02020,#b06020,#204080"
    punk = painting.finish(Finish(eyes="blue", palette=few))
    assert punk.warnings == ()
    assert {tuple(color) for color in punk.art.cells[irises].tolist()} >= {(0x20, 0x40, 0x80)}
    assert set(punk.art.hexes) <= set(few.split(","))
    punk = painting.finish(Finish(eyes="green", palette=few))
    assert punk.warnings == ("eyes: the palette has no green for eyes; left as painted",)
    assert set(punk.art.hexes) <= set(few.split(","))
    punk = enlarged(np.full((24, 24, 3), 90, np.uint8)).finish(Finish(eyes="brown"))
    assert punk.warnings[1:] == ("eyes: could not locate both eyes; left as painted",)
    assert (punk.art.cells == 90).all()


def enlarged(cells: np.ndarray) -> Painting:
    return Painting(image=Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST))


def test_warnings_say_what_may_not_be_as_asked():
    odd = generate(recipe(prompt="a cat", traits={"subject": "lad", "hair": "blond"}, steer=0.5))
    *said, grid = odd.warnings
    assert said == [
        "traits.hair: 'blond' is not in the training captions; did you mean 'blonde'?",
        "prompt: overrides the traits, and does not describe them as given",
        "steer: has no effect without steer_color or a background color",
    ]
    assert grid == f"grid: the painting has no clear 24x24 grid (confidence {odd.art.confidence:.2f})"


def test_finishing_is_pure_and_paints_nothing():
    painting = Painting(recipe=recipe(), image=damaged(3))
    first = painting.finish(Finish(background="lime", eyes="blue", colors=9, output_size=96))
    assert first.image.size == (96, 96)
    again = finish(finish(first), first.finish)
    assert again.painting is painting
    assert (again.art.cells == first.art.cells).all()
    assert again.warnings == first.warnings
    plain = Finish(background="keep", eyes="keep")
    learned, ruled = (restore(damaged(3), rules=rules).painted.cells for rules in (False, True))
    assert (learned != ruled).any()
    assert (painting.finish(plain).art.cells == learned).all()
    by_rules = Painting(recipe=recipe(restoration="rules"), image=damaged(3)).finish(plain)
    assert (by_rules.art.cells == ruled).all()
    assert (snap(damaged(3)).cells == Painting(image=damaged(3)).finish(plain).art.cells).all()


def test_what_cannot_be_finished_is_not_painted():
    with pytest.raises(RecipeError, match="palette: 'prompt' is not allowed; there is no hex code"):
        generate(recipe(variant="sd15-perfect"), Finish(palette="prompt"))  # whose weights are not here
    with pytest.raises(ImageError, match="the painting was not kept"):
        Painting(restored=Painting(image=damaged(1)).cells).finish().save_painting(Path("painting.png"))


def test_the_command_line_takes_traits_and_changes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    words = ["--lady", "--hair", "red, curly", "--eyes", "green", "--background", "teal", "--wear", "gold crwn"]
    assert main(["generate", "--variant", "tiny", *words, "--seed", "1", "-o", str(first)]) == 0
    said = capsys.readouterr().err
    warning = "punks: traits.wear: 'gold crwn' is not in the training captions; did you mean 'gold crown'?\n"
    assert said.count(warning) == 1
    assert "punks: a.png: grid: the painting has no clear 24x24 grid (confidence 0." in said
    made, finish = recipe_in(first)
    assert made.prompt == CAPTION.replace("crown", "crwn")
    assert (finish.background, finish.eyes) == ("#148a8c", "green")
    changes = ["--eyes", "brown", "--background", "solid", "--wear", "tiara", "--expression", "smile", "--lips", "red"]
    assert main(["generate", "--recipe", str(first), *changes, "-o", str(second)]) == 0
    other, finish = recipe_in(second)
    said = CAPTION.replace("gold crown", "tiara")
    assert other.prompt == said.replace("green eyes", "smile, red lips, brown eyes")
    assert (finish.background, finish.eyes) == ("solid", "brown")
    assert main(["generate", "--recipe", str(first), "--background", "lime", "-o", str(tmp_path / "c.png")]) == 0
    alone, finish = recipe_in(tmp_path / "c.png")
    assert (alone, finish.background) == (made, "#00ff00")  # the same painting, on another background
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["generate", "--variant", "tiny", "--hair", "red"])
    assert "--hair needs --lady or --lad in place of a prompt" in capsys.readouterr().err
    assert main(["traits", "--json"]) == 0
    assert "golden hoop earrings" in json.loads(capsys.readouterr().out)["wear"]
    assert main(["traits"]) == 0
    assert capsys.readouterr().out.startswith("subject     lady, lad\n")
