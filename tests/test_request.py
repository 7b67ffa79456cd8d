"""One flat set of names: divided once, stored, read back, and read as earlier versions meant it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from punks import Finish, Recipe
from punks.errors import RecipeError
from punks.recipe import MAX_SEED, SCHEDULERS
from punks.request import changed, divide, flat, from_json, to_json

# what version 0.1 wrote into its pictures
OLD: dict[str, Any] = {
    "prompt": "lady",
    "traits": None,
    "negative_prompt": "blurry",
    "variant": "demo",
    "epoch": 10,
    "lora_scale": 1.0,
    "seed": 7,
    "vary": 0.0,
    "vary_seed": None,
    "num_inference_steps": 20,
    "guidance_scale": 4.0,
    "scheduler": "default",
    "template": True,
    "palette": "red,#000",
    "colors": None,
    "background": "teal",
    "eyes": "keep",
    "steer": 0.0,
    "output_size": 1024,
    "image": None,
    "prompt_strength": 0.8,
}


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip),
    seed=st.integers(0, MAX_SEED),
    scale=st.floats(0, 2),
    scheduler=st.sampled_from(SCHEDULERS),
    colors=st.none() | st.integers(2, 576),
    palette=st.sampled_from(["auto", "#fff,teal"]),
    background=st.sampled_from(["keep", "transparent", "#123456"]),
)
def test_json_both_ways(prompt: str, seed: int, scale: float, scheduler: str, **how: Any):
    recipe = Recipe(prompt=prompt, seed=seed, lora_scale=scale, scheduler=scheduler)
    finish = Finish(**how).of(recipe)
    assert from_json(to_json(recipe, finish)) == (recipe, finish)


def test_names_are_divided_and_abbreviated():
    recipe, finish = divide({"prompt": "x", "seed": 1.0, "steps": 4, "size": 48, "sampler": "euler"})
    assert (recipe.seed, recipe.num_inference_steps, recipe.scheduler, finish.output_size) == (1, 4, "euler", 48)


def test_a_background_means_one_color():
    alone = divide({"prompt": "lady", "background": "teal"})[1].background
    beside = divide({"subject": "lady", "background": "teal"})[1].background
    assert alone == beside == "#148a8c"
    for values in ({"prompt": "lady"}, {"subject": "lady"}):
        assert divide({**values, "background": "dark blue"})[1].background == "#182060"


def test_steering_goes_to_the_background_that_was_asked_for():
    assert divide({"prompt": "x", "steer": 0.5, "background": "lime"})[0].steer_color == "#00ff00"
    recipe, finish = divide({"prompt": "x", "steer": 0.5, "background": "lime"})
    assert changed(recipe, finish, {"background": "red"})[0].steer_color == "#d2282c"
    assert divide({"prompt": "x", "background": "lime"})[0].steer_color is None


def test_traits_beside_a_background_are_traits():
    recipe, finish = divide({"subject": "lady", "hair": "red", "background": "blue", "eyes": "green", "seed": 1})
    assert recipe.traits is not None
    assert (recipe.traits.background, recipe.traits.eyes) == ("blue", "green")
    assert (finish.background, finish.eyes) == ("#3468dc", "green")
    assert recipe.prompt == "portrait of bespoke punk lady, red hair, green eyes, blue solid background"
    green, other = changed(recipe, finish, {"hair": "green", "background": "teal"})
    assert "green hair" in green.prompt
    assert "teal" in green.prompt
    assert other.background == "#148a8c"
    same, lime = changed(recipe, finish, {"background": "lime"})  # alone it only changes the finish
    assert same == recipe
    assert lime.background == "#00ff00"


def test_another_variant_has_its_own_best_epoch():
    recipe, finish = divide({"prompt": "x", "epoch": 3})
    assert changed(recipe, finish, {"variant": "demo"})[0].epoch == 10


def test_pictures_of_version_0_1_mean_what_they_meant():
    recipe, finish = from_json(json.dumps(OLD))
    assert (finish.background, str(finish.palette)) == ("#008080", "#ff0000,#000000")  # CSS knew these names
    assert recipe.image_sha256 is None
    assert recipe.guidance_scale == 4.0
    steered = from_json(json.dumps({**OLD, "steer": 0.5, "image": "0" * 64}))[0]
    assert (steered.steer_color, steered.image_sha256) == ("#008080", "0" * 64)
    assert from_json(json.dumps(flat(recipe, finish))) == (recipe, finish)
    assert from_json('{"prompt": "x", "background": "teal"}')[1].background == "#148a8c"  # written by hand today


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "recipe: '' is not allowed; it is not JSON"),
        ("[1]", "recipe: [1] is not allowed"),
        ("[" * 100_000, "recipe: "),
        ("{}", "prompt: missing; say what to paint"),
        (json.dumps({"prompt": "x", "sed": 1}), "unknown field 'sed'; did you mean seed? fields are prompt, "),
        (json.dumps({"prompt": "x", "id": 1}), "unknown field 'id'; fields are prompt, "),
        (json.dumps({"prompt": "x", "seed": "1"}), "seed: '1' is not allowed"),
        (json.dumps({"prompt": "x", "seed": 1.5}), "seed: 1.5 is not allowed"),
    ],
)
def test_json_of_a_stranger_is_refused_by_field(text: str, message: str):
    with pytest.raises(RecipeError) as caught:
        from_json(text)
    assert str(caught.value).startswith(message)
