import pytest

from punks import Recipe
from punks.errors import RecipeError
from punks.recipe import MAX_SEED, NEGATIVE_PROMPT


def test_defaults_are_the_owners_validated_settings():
    recipe = Recipe(prompt="lady")
    assert (recipe.variant, recipe.epoch, recipe.lora_scale) == ("sd15-perfect", 7, 1.0)
    assert (recipe.num_inference_steps, recipe.guidance_scale, recipe.scheduler) == (30, 7.5, "default")
    assert recipe.negative_prompt == NEGATIVE_PROMPT


def test_seed_is_drawn_when_none_is_given():
    seeds = {Recipe(prompt="lady").seed for _ in range(20)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**31 for seed in seeds)  # `cog predict -i` reads no larger ones


@pytest.mark.parametrize(
    ("seed", "way"), [(-1, "leave it out for a random one"), (2**40, "a seed of another tool paints another picture")]
)
def test_seeds_of_other_tools_are_refused_with_what_to_do(seed: int, way: str):
    with pytest.raises(RecipeError, match=f"seed: {seed} is not allowed; use a whole number from 0 to .*; {way}"):
        Recipe(prompt="lady", seed=seed)


def test_outputs_count_seeds_up_and_wrap():
    assert [r.seed for r in Recipe(prompt="x", seed=MAX_SEED - 1).outputs(3)] == [MAX_SEED - 1, MAX_SEED, 0]


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
        ("steer_color", "nocolor"),
        ("image_sha256", "0" * 63),
    ],
)
def test_an_invalid_recipe_cannot_exist(field: str, value: object):
    with pytest.raises(RecipeError) as caught:
        Recipe(**{"prompt": "lady", field: value})  # pyright: ignore
    assert str(caught.value).startswith(f"{field}: ")


def test_epoch_belongs_to_the_variant():
    with pytest.raises(RecipeError, match="variant tiny has epochs 1 to 2"):
        Recipe(prompt="x", variant="tiny", epoch=3)


def test_a_painting_needs_a_step():
    picture = {"image_sha256": "0" * 64, "prompt": "x", "num_inference_steps": 30}
    with pytest.raises(RecipeError, match=r"0\.01 is not allowed; too low for 30 steps; use 0\.04 or more"):
        Recipe(prompt_strength=0.01, **picture)
    assert Recipe(prompt_strength=0.04, **picture).painted_steps == 1


def test_other_traits_bring_their_own_prompt_unless_it_was_overridden():
    own = Recipe(traits={"subject": "lady", "hair": "red"}, seed=1)  # pyright: ignore[reportArgumentType]
    assert "green hair" in own.replace(traits={"subject": "lady", "hair": "green"}).prompt
    other = own.replace(prompt="a cat")
    assert other.replace(traits={"subject": "lad"}).prompt == "a cat"
    assert other.warnings() == ["prompt: overrides the traits, and does not describe them as given"]
