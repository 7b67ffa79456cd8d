import dataclasses

import pytest

from punks import Finish, Recipe, paint
from punks.errors import RecipeError
from punks.page.commands import command
from punks.request import changed, divide, flat, from_json, to_json
from punks.variants import DEFAULT, VARIANTS, variant


def test_the_default_is_epoch_7_of_the_run_that_works():
    row = variant(DEFAULT)
    assert row.name == "sd15-perfect"
    assert row.lora_file(row.epoch) == "bespoke_punks_SD15_PERFECT-000007.safetensors"
    assert row.base.sources[0].repo == "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.mark.parametrize(
    ("name", "epoch", "file"),
    [
        ("sd15-perfect", 1, "bespoke_punks_SD15_PERFECT-000001.safetensors"),
        ("sd15-perfect", 10, "bespoke_punks_SD15_PERFECT.safetensors"),
        ("sdxl-current", 9, "bespoke_baby_sdxl-000009.safetensors"),
        ("sdxl-fixed", 10, "bespoke_baby_sdxl_fixed.safetensors"),
    ],
)
def test_files_are_named_as_kohya_names_them(name: str, epoch: int, file: str):
    assert variant(name).lora_file(epoch) == file


def test_sd15_paints_at_512_and_sdxl_at_1024():
    sides = {row.base.family: row.base.side for row in VARIANTS.values() if not row.name.startswith("tiny")}
    assert sides == {"sd15": 512, "sdxl": 1024}


def test_revisions_are_pinned_and_weights_are_safetensors():
    sources = [source for row in VARIANTS.values() for source in row.base.sources]
    assert all(len(source.revision) == 40 for source in sources)
    weights = [name for source in sources for name in source.files if "model" in name and not name.endswith(".json")]
    assert weights
    assert all(name.endswith(".safetensors") for name in weights)


def test_rows_are_frozen_and_unknown_names_are_refused():
    with pytest.raises(dataclasses.FrozenInstanceError):
        variant("demo").epoch = 3  # pyright: ignore
    with pytest.raises(RecipeError, match=r"variant: 'sd15' is not allowed; choose one of sd15-perfect, "):
        variant("sd15")
    for name in (None, 3, [], "x y"):
        with pytest.raises(RecipeError, match=r"variant: .*; choose one of sd15-perfect, "):
            divide({"prompt": "lady", "variant": name, **OF_ANOTHER}, painted=True)


OF_ANOTHER = {"epoch": 3, "lora_scale": 1.0, "num_inference_steps": 30, "guidance_scale": 7.5}


def test_a_variant_of_another_machine_is_finished_and_refused_where_it_would_paint():
    night = Recipe(prompt="lady", variant="night", seed=1, **OF_ANOTHER)
    assert night.warnings() == []
    finish = Finish().of(night)
    assert from_json(to_json(night, finish)) == (night, finish)
    assert changed(night, finish, {"background": "teal"})[0] == night
    assert "--variant night" in command(night, finish)
    add = "variant: 'night' is not allowed; choose one of .*, or add it with `punks weights add night --lora FILE`"
    for ask in (
        lambda: paint(night),
        lambda: changed(night, finish, {"seed": 2}),
        lambda: divide(flat(night, finish)),
        lambda: Recipe(prompt="lady", variant="night"),
    ):
        with pytest.raises(RecipeError, match=add):
            ask()


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "demo"])
def test_a_recipe_takes_what_it_does_not_say_from_its_row(name: str):
    recipe, row = Recipe(prompt="lady", variant=name), variant(name)
    assert (recipe.epoch, recipe.lora_scale, recipe.num_inference_steps, recipe.guidance_scale) == (
        row.epoch,
        row.lora_scale,
        30,
        7.5,
    )
