import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from punks import Recipe
from punks.errors import RecipeError
from punks.recipe import MAX_SEED, NEGATIVE_PROMPT, SCHEDULERS


def test_defaults_are_the_owners_validated_settings():
    recipe = Recipe(prompt="lady")
    assert (recipe.variant, recipe.epoch, recipe.lora_scale) == ("sd15-perfect", 7, 1.0)
    assert (recipe.num_inference_steps, recipe.guidance_scale, recipe.scheduler) == (30, 7.5, "default")
    assert recipe.negative_prompt == NEGATIVE_PROMPT
    assert recipe.output_size == 1024


def test_seed_is_drawn_when_none_is_given():
    seeds = {Recipe(prompt="lady").seed for _ in range(20)}
    assert len(seeds) > 1
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_outputs_count_seeds_up_and_wrap():
    assert [r.seed for r in Recipe(prompt="x", seed=MAX_SEED - 1).outputs(3)] == [MAX_SEED - 1, MAX_SEED, 0]


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip),
    seed=st.integers(0, MAX_SEED),
    scale=st.floats(0, 2),
    scheduler=st.sampled_from(SCHEDULERS),
    colors=st.none() | st.integers(2, 256),
)
def test_json_both_ways(prompt: str, seed: int, scale: float, scheduler: str, colors: int | None):
    recipe = Recipe(prompt=prompt, seed=seed, lora_scale=scale, scheduler=scheduler, colors=colors)
    assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ""),
        ("prompt", "  "),
        ("prompt", 3),
        ("prompt", "a\0b"),
        ("prompt", "x" * 4001),
        ("negative_prompt", None),
        ("variant", "sd15"),
        ("variant", 3),
        ("epoch", 0),
        ("epoch", 11),
        ("epoch", 7.0),
        ("lora_scale", 2.1),
        ("lora_scale", float("nan")),
        ("lora_scale", "1"),
        ("seed", -1),
        ("seed", MAX_SEED + 1),
        ("seed", True),
        ("num_inference_steps", 0),
        ("num_inference_steps", 101),
        ("guidance_scale", 0.9),
        ("guidance_scale", float("inf")),
        ("scheduler", "ddpm"),
        ("template", 1),
        ("palette", ""),
        ("palette", "auto,#fff"),
        ("palette", "#12345"),
        ("colors", 1),
        ("colors", 257),
        ("background", "nocolour"),
        ("background", "#ff00000g"),
        ("output_size", 23),
        ("output_size", 4097),
    ],
)
def test_an_invalid_recipe_cannot_exist(field: str, value: object):
    with pytest.raises(RecipeError) as caught:
        Recipe(**{"prompt": "lady", field: value})  # pyright: ignore
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "recipe"),
        ("[1]", "recipe"),
        ("[" * 100_000, "recipe"),
        ("{}", "prompt"),
        (json.dumps({"prompt": "x", "sed": 1}), "sed"),
        (json.dumps({"prompt": "x", "seed": "1"}), "seed"),
    ],
)
def test_json_of_a_stranger_is_refused_by_field(text: str, field: str):
    with pytest.raises(RecipeError) as caught:
        Recipe.from_json(text)
    assert str(caught.value).startswith(f"{field}: ")


def test_a_long_value_is_not_repeated_in_full():
    with pytest.raises(RecipeError) as caught:
        Recipe(prompt="x", palette="#" * 3000)
    assert len(str(caught.value)) < 300


def test_epoch_belongs_to_the_variant():
    with pytest.raises(RecipeError, match="variant tiny has epochs 1 to 2"):
        Recipe(prompt="x", variant="tiny", epoch=3)
