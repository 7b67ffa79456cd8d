"""A painter paints what diffusers paints, and its LoRA, seeds and batches are exact."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from punks import Recipe, Studio, variants
from punks.errors import DeviceError, RecipeError, WeightsError
from punks.generate import Punk
from punks.painter.device import choose_device
from punks.painter.painter import Painter
from punks.prompts import complete
from punks.recipe import SCHEDULERS


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio()


def recipe(**fields: Any) -> Recipe:
    return Recipe(**({"prompt": "lady, red hair", "variant": "tiny", "seed": 1, "num_inference_steps": 2} | fields))


def pixels(punk: Punk) -> bytes:
    return punk.painting.tobytes()


def same_but_for_rounding(one: Image.Image, other: Image.Image) -> bool:
    """A sum in another order may move a value over a rounding border, never further."""
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max()) <= 1


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_scale_0_is_the_bare_base_of_diffusers_bit_for_bit(
    studio: Studio, tiny_weights: Path, variant: str, guidance_scale: float
):
    asked = recipe(variant=variant, lora_scale=0.0, guidance_scale=guidance_scale)
    stock = DiffusionPipeline.from_pretrained(tiny_weights / variant, variant="fp16", dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    want = stock(
        prompt=complete(asked.prompt),
        negative_prompt=asked.negative_prompt,
        latents=torch.randn(1, 4, 24, 24, generator=generator),
        generator=generator,
        num_inference_steps=2,
        guidance_scale=guidance_scale,
        height=192,
        width=192,
    ).images[0]
    studio.generate(asked.replace(lora_scale=1.0))
    got = studio.generate(asked)
    assert pixels(got) == want.tobytes()
    assert got.painting.size == (192, 192)


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
def test_scale_and_epoch_act_and_come_back_bit_for_bit(studio: Studio, variant: str):
    first = pixels(studio.generate(recipe(variant=variant)))
    others = [{"lora_scale": 0.5}, {"epoch": 2}, {"lora_scale": 0.0}, {"epoch": 2, "lora_scale": 2.0}]
    changed = {pixels(studio.generate(recipe(variant=variant, **fields))) for fields in others}
    assert len(changed | {first}) == len(others) + 1
    assert pixels(studio.generate(recipe(variant=variant))) == first


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
@pytest.mark.parametrize("scheduler", ["default", "euler_a"])
def test_a_batch_of_four_equals_four_singles(studio: Studio, variant: str, scheduler: str):
    four = recipe(variant=variant, scheduler=scheduler).outputs(4)
    painter = studio.painter(variant)
    prompts = [complete(one.prompt) for one in four]
    together = list(painter.paint(four, prompts).images)
    for one, prompt, image in zip(four, prompts, together, strict=True):
        alone = next(iter(painter.paint([one], [prompt]).images))
        assert same_but_for_rounding(image, alone)
    assert len({image.tobytes() for image in together}) == 4


def test_pictures_of_a_request_equal_those_painted_alone(studio: Studio):
    for punk in studio.generate_all(recipe(seed=41).outputs(3)):
        alone = Studio().generate(recipe(seed=punk.recipe.seed))
        assert pixels(alone) == pixels(punk)
        assert (alone.art.cells == punk.art.cells).all()


def test_prompts_of_many_lengths_go_together(studio: Studio):
    prompts = ["lady", " ".join(["lady"] * 120), "lad", "red hair"]
    punks = list(studio.generate_all([recipe(prompt=prompt) for prompt in prompts]))
    assert [punk.recipe.prompt for punk in punks] == prompts
    for punk in punks:
        assert pixels(punk) == pixels(studio.generate(punk.recipe))


def test_prompts_of_a_batch_may_differ_nothing_else(studio: Studio):
    painter = studio.painter("tiny")
    pair = list(painter.paint([recipe(), recipe(seed=2)], ["lady", "lad"]).images)
    assert same_but_for_rounding(pair[1], next(iter(painter.paint([recipe(seed=2)], ["lad"]).images)))
    with pytest.raises(ValueError, match="may differ in prompt, traits, seed, "):
        painter.paint([recipe(), recipe(guidance_scale=3.0)], ["lady", "lady"])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 2, 60])
def test_every_scheduler_paints_and_counts_its_steps(studio: Studio, scheduler: str, steps: int):
    counted: list[tuple[int, int]] = []
    asked = recipe(scheduler=scheduler, num_inference_steps=steps, guidance_scale=1.0)
    studio.generate(asked, lambda step, total: counted.append((step, total)))
    assert counted == [(i + 1, steps) for i in range(steps)]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_paints_the_same_again(studio: Studio, scheduler: str):
    asked = recipe(scheduler=scheduler, num_inference_steps=3)
    assert pixels(studio.generate(asked)) == pixels(studio.generate(asked))


def test_schedulers_differ(studio: Studio):
    paintings = {pixels(studio.generate(recipe(scheduler=name, num_inference_steps=5))) for name in SCHEDULERS}
    assert len(paintings) == len(SCHEDULERS) - 1  # the default is one of them: PNDM here


def test_guidance_1_skips_the_second_pass(studio: Studio):
    rows: list[int] = []
    unet = studio.painter("tiny")._pipeline.unet
    hook = unet.register_forward_pre_hook(lambda _module, args: rows.append(len(args[0])))
    try:
        studio.generate(recipe(guidance_scale=7.5))
        studio.generate(recipe(guidance_scale=1.0))
    finally:
        hook.remove()
    assert rows == [2, 2, 2, 1, 1, 1]  # PNDM takes one step more than asked


def test_a_scheduler_that_cannot_sample_the_base_is_refused():
    painter = Painter(variants.variant("tiny"))
    painter._scheduler.register_to_config(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    with pytest.raises(RecipeError, match="scheduler: 'pndm' is not allowed"):
        painter.paint([recipe(scheduler="pndm")], ["lady"])
    painter.paint([recipe(scheduler="ddim")], ["lady"])


def test_bases_are_loaded_once(studio: Studio):
    assert studio.painter("tiny") is studio.painter("tiny")


def test_failed_runs_are_served_with_their_verdict(studio: Studio, caplog: pytest.LogCaptureFixture):
    studio.generate(recipe(variant="tiny-xl"))
    assert "variant tiny-xl is a failed training run: a random model" in caplog.text
    caplog.clear()
    studio.generate(recipe())
    assert not caplog.text


def test_missing_weights_name_the_file_and_the_command(studio: Studio, tiny_weights: Path):
    with pytest.raises(WeightsError) as caught:
        studio.generate(Recipe(prompt="lady", variant="sd15-perfect"))
    assert str(tiny_weights / "sd15/model_index.json") in str(caught.value)
    assert "script/download-weights sd15-perfect" in str(caught.value)


def test_a_missing_epoch_names_those_that_are_there(studio: Studio, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(variants.VARIANTS, "tiny", dataclasses.replace(variants.variant("tiny"), epochs=3))
    with pytest.raises(WeightsError, match=r"tiny-000002\.safetensors is missing; .* tiny --epoch 2`; .* here: 1, 3$"):
        studio.generate(recipe(epoch=2))


def test_a_damaged_base_is_a_weights_error(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(tiny_weights / "tiny", tmp_path / "tiny")
    monkeypatch.setenv("PUNKS_WEIGHTS", str(tmp_path))
    file = tmp_path / "tiny/unet/diffusion_pytorch_model.fp16.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        Studio().generate(recipe())
    file.unlink()
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model\.fp16\.safetensors is missing"):
        Studio().generate(recipe())
    (tmp_path / "tiny/model_index.json").write_text("{")
    with pytest.raises(WeightsError, match=r"model_index\.json cannot be read"):
        Studio().generate(recipe())


@pytest.mark.parametrize("asked", ["gpu", "cuda:x", "cpu:0", "mps:1"])
def test_an_unknown_device_is_refused(monkeypatch: pytest.MonkeyPatch, asked: str):
    monkeypatch.setenv("PUNKS_DEVICE", asked)
    with pytest.raises(DeviceError, match="is no device; use cuda, cuda:N, mps or cpu"):
        choose_device()


@pytest.mark.parametrize(("asked", "chosen"), [("", 0), ("cuda", 0), ("cuda:1", 1)])
def test_a_gpu_has_its_number_as_its_tensors_do(monkeypatch: pytest.MonkeyPatch, asked: str, chosen: int):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("PUNKS_DEVICE", asked)
    assert choose_device() == torch.device("cuda", chosen)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_absent_cuda_is_said_plainly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_DEVICE", "cuda")
    with pytest.raises(DeviceError, match=r"PUNKS_DEVICE is cuda, but torch .* finds no such device here"):
        choose_device()
    monkeypatch.setenv("PUNKS_DEVICE", "")
    assert choose_device().type in ("cpu", "mps")
