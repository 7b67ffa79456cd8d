"""Acceleration LoRAs: rows of data, what `fast` becomes of them in a recipe, and what does not suit them."""

import re
from pathlib import Path
from typing import Any

import pytest

from punks import Recipe, fast
from punks.batch.jobs import Job
from punks.batch.places.cog import inputs
from punks.cli import main
from punks.cli.options import Parser, add_fast
from punks.errors import RecipeError
from punks.painter.samplers import SAMPLERS
from punks.request import changed, divide, from_json, to_json
from punks.traits import Traits

HYPER, LCM = fast.accelerations("sd15", fast.ON)


def asked(**values: Any) -> Recipe:
    return divide({"prompt": "lady", "variant": "sd15-perfect", "seed": 1, **values})[0]


def sampling(recipe: Recipe) -> tuple[str, int, float]:
    return recipe.scheduler, recipe.num_inference_steps, recipe.guidance_scale


def test_every_row_is_pinned_and_paints_with_a_sampler():
    for row in fast.ROWS:
        assert re.fullmatch("[0-9a-f]{64}", row.sha256)
        assert re.fullmatch("[0-9a-f]{40}", row.revision) or (row.base, row.repo) == ("demo", "")
        assert row.scheduler in ("default", *SAMPLERS)
    assert len({row.sha256 for row in fast.ROWS}) == len(fast.ROWS)


@pytest.mark.parametrize(
    ("values", "loras", "how"),
    [
        ({"fast": "on"}, ["Hyper-SD15-8steps-CFG-lora"], ("ddim_trailing", 8, 7.5)),
        ({"fast": True}, ["Hyper-SD15-8steps-CFG-lora"], ("ddim_trailing", 8, 7.5)),
        ({"fast": "TRUE"}, ["Hyper-SD15-8steps-CFG-lora"], ("ddim_trailing", 8, 7.5)),
        ({"fast": "lcm"}, ["lcm-lora-sdv1-5"], ("lcm", 4, 1.0)),
        ({"fast": "lcm", "steps": 8, "guidance": 1.5, "sampler": "tcd"}, ["lcm-lora-sdv1-5"], ("tcd", 8, 1.5)),
        ({"fast": "on", "variant": "sdxl-fixed"}, ["Hyper-SDXL-8steps-CFG-lora"], ("ddim_trailing", 8, 7.5)),
        ({"fast": "lightning", "variant": "sdxl-fixed"}, ["sdxl_lightning_4step_lora"], ("euler_trailing", 4, 1.0)),
        ({"fast": "on", "variant": "demo"}, ["punks_demo_2step"], ("ddim", 2, 1.0)),
        ({"fast": "off"}, [], ("default", 30, 7.5)),
        ({"fast": False, "steps": 20}, [], ("default", 20, 7.5)),
    ],
)
def test_fast_becomes_a_lora_and_its_settings(values: dict[str, Any], loras: list[str], how: tuple[str, int, float]):
    recipe = asked(**values)
    assert ([one.name for one in recipe.loras], sampling(recipe)) == (loras, how)
    assert from_json(to_json(*divide({"prompt": "lady", "seed": 1, **values})))[0].loras == recipe.loras


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"fast": "lightning"}, "fast: 'lightning' is not allowed; the base sd15 has hyper, lcm"),
        ({"fast": "on", "variant": "tiny"}, "the base tiny has no acceleration LoRA"),
        ({"fast": "quick"}, "fast: 'quick' is not allowed; choose one of off, on, hyper, lcm, lightning, distilled"),
    ],
)
def test_what_a_base_does_not_have_is_refused(values: dict[str, Any], what: str):
    with pytest.raises(RecipeError, match=what):
        asked(**values)


def test_fast_is_switched_in_a_recipe():
    recipe, finish = divide({"prompt": "lady", "variant": "sd15-perfect", "seed": 1})
    quick, _ = changed(recipe, finish, {"fast": "on"})
    assert (quick, sampling(quick)) == (asked(fast="on"), ("ddim_trailing", 8, 7.5))
    assert changed(quick, finish, {"fast": "lcm"})[0] == asked(fast="lcm")
    assert changed(quick, finish, {"fast": "off"})[0] == recipe
    assert changed(quick, finish, {"seed": 1})[0] == quick
    kept = recipe.replace(num_inference_steps=20)
    assert changed(kept, finish, {"fast": "off"})[0] == kept


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ({}, None),
        ({"fast": "on"}, None),
        ({"fast": "lcm"}, None),
        ({"fast": "lcm", "guidance": 1.5}, None),
        ({"fast": "lcm", "guidance": 7.5}, "guidance_scale: 7.5 is too high for lcm-lora-sdv1-5; use 2 or less"),
        ({"fast": "on", "steps": 4}, "num_inference_steps: Hyper-SD15-8steps-CFG-lora was made for 8, not 4"),
        ({"fast": "on", "sampler": "euler"}, "scheduler: Hyper-SD15-8steps-CFG-lora was made for ddim_trailing"),
        ({"steps": 8}, "num_inference_steps: 8 is too few without an acceleration LoRA; use 12 or more, or fast"),
        ({"sampler": "lcm"}, "scheduler: lcm needs an acceleration LoRA, and none is loaded"),
        ({"variant": "demo"}, None),
        ({"variant": "demo", "fast": "on"}, None),
        ({"variant": "demo", "steps": 2}, "num_inference_steps: 2 is too few without an acceleration LoRA; use 4 or"),
        ({"variant": "demo", "sampler": "dpmpp_2m_karras"}, "num_inference_steps: 4 is too few for dpmpp_2m_karras on"),
        ({"steps": 8, "loras": [{"name": "my-LCM-style", "sha256": "0" * 64}]}, None),
        ({"guidance": 1, "negative_prompt": "hat"}, "negative_prompt: has no effect at guidance_scale 1"),
    ],
)
def test_what_does_not_suit_is_warned_of(values: dict[str, Any], warned: str | None):
    found = asked(**values).warnings()
    assert len(found) == (warned is not None)
    assert found[0].startswith(warned) if warned else not found


def test_a_prompt_behind_the_switch_is_a_prompt():
    parser = Parser()
    parser.add_argument("prompt", nargs="?")
    add_fast(parser, "")
    for words, value in (
        (["--fast", "lady, red hair"], "on"),
        (["lady, red hair", "--fast"], "on"),
        (["--fast", "lcm", "lady, red hair"], "lcm"),
        (["lady, red hair"], None),
    ):
        args = parser.parse_args(words)
        assert (args.prompt, args.fast) == ("lady, red hair", value)


def test_a_missing_file_names_the_command_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    row = fast.Acceleration(name="lcm", base="tiny", lora="x", sha256="0" * 64, scheduler="lcm", num_inference_steps=4)
    monkeypatch.setattr(fast, "ROWS", [*fast.ROWS, row])
    assert main(["generate", "--fast", "lady", "--variant", "tiny"]) == 1
    said = capsys.readouterr().err
    assert "LoRA x is not installed; get it with `script/download-weights tiny --fast`" in said
    words = ["--prompt", "lady", "--fast", "--variant", "tiny", "-o", str(tmp_path / "night")]
    assert main(["batch", *words]) == 1
    assert capsys.readouterr().err == said
    assert not (tmp_path / "night").exists()


def test_a_server_is_asked_for_what_it_has():
    given = inputs(Job(number=1, recipe=asked(fast="lcm", steps=6)), paintings=False)
    assert (given["fast"], given["num_inference_steps"], given["scheduler"]) == ("lcm", 6, "lcm")
    assert "loras" not in given
    assert divide({name: value for name, value in given.items() if name != "output_size"})[0] == asked(
        fast="lcm", steps=6
    )
    job = Job(number=1, recipe=Recipe(traits=Traits(subject="lady", lips="red"), variant="demo"))
    traits = inputs(job, paintings=False)["traits"]
    assert traits == '{"subject": "lady", "lips": "red"}'  # of an earlier version it knows fewer names
