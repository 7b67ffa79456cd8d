"""A painter paints what diffusers paints, and its LoRA, seeds and batches are exact."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from PIL import Image

from punks import Recipe, variants
from punks.errors import DeviceError, WeightsError
from punks.generate import Pipeline
from punks.painter.device import choose_device
from punks.painter.painter import OnStep, Painter
from punks.painter.samplers import make_scheduler
from punks.painter.warm import WarmBases
from punks.prompts import complete
from punks.recipe import SCHEDULERS


@pytest.fixture(scope="module")
def bases() -> Iterator[WarmBases]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNKS_DEVICE", "cpu")
        threads = torch.get_num_threads()
        torch.set_num_threads(2)  # on one, stock diffusers computes 1x1 convolutions with another library
        yield WarmBases()
        torch.set_num_threads(threads)


def recipe(**fields: Any) -> Recipe:
    return Recipe(**({"prompt": "lady, red hair", "variant": "tiny", "seed": 1, "num_inference_steps": 2} | fields))


def painted(bases: WarmBases, asked: Recipe, on_step: OnStep | None = None) -> bytes:
    ((image, _),) = bases.paint([asked], on_step)
    return image.tobytes()


def together(painter: Painter, *recipes: Recipe) -> list[Image.Image]:
    """The paintings of one batch."""
    return [image for image, _ in painter.paint(recipes)]


def same_but_for_rounding(one: Image.Image, other: Image.Image) -> bool:
    """A sum in another order may move a value over a rounding border, never further."""
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max()) <= 1


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_scale_0_is_the_bare_base_of_diffusers_bit_for_bit(
    bases: WarmBases, tiny_weights: Path, variant: str, guidance_scale: float
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
    painted(bases, asked.replace(lora_scale=1.0))
    ((got, _),) = bases.paint([asked])
    assert got.tobytes() == want.tobytes()
    assert got.size == (192, 192)


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
def test_scale_and_epoch_act_and_come_back_bit_for_bit(bases: WarmBases, variant: str):
    first = painted(bases, recipe(variant=variant))
    others = [{"lora_scale": 0.5}, {"epoch": 2}, {"lora_scale": 0.0}, {"epoch": 2, "lora_scale": 2.0}]
    changed = {painted(bases, recipe(variant=variant, **fields)) for fields in others}
    assert len(changed | {first}) == len(others) + 1
    assert painted(bases, recipe(variant=variant)) == first


@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
@pytest.mark.parametrize("scheduler", ["default", "euler_a"])
def test_a_batch_of_four_equals_four_singles(bases: WarmBases, variant: str, scheduler: str):
    four = recipe(variant=variant, scheduler=scheduler).outputs(4)
    painter = bases.painter(variants.variant(variant))
    images = together(painter, *four)
    for one, image in zip(four, images, strict=True):
        assert same_but_for_rounding(image, *together(painter, one))
    assert len({image.tobytes() for image in images}) == 4


def test_pictures_of_a_request_equal_those_painted_alone(bases: WarmBases):
    three = recipe(seed=41).outputs(3)
    for one, (image, _) in zip(three, bases.paint(three), strict=True):
        assert painted(WarmBases(), one) == image.tobytes()


def test_prompts_of_many_lengths_go_together(bases: WarmBases):
    recipes = [recipe(prompt=prompt) for prompt in ("lady", " ".join(["lady"] * 120), "lad", "red hair")]
    images = [image.tobytes() for image, _ in bases.paint(recipes)]
    assert images == [painted(bases, one) for one in recipes]
    assert len(set(images)) == 4


def test_prompts_of_a_batch_may_differ_nothing_else(bases: WarmBases):
    painter = bases.painter(variants.variant("tiny"))
    lad = recipe(prompt="lad", seed=2)
    assert same_but_for_rounding(together(painter, recipe(), lad)[1], *together(painter, lad))
    with pytest.raises(ValueError, match="may differ in prompt, traits, seed, "):
        painter.paint([recipe(), recipe(guidance_scale=3.0)])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 2, 60])
def test_every_scheduler_paints_and_counts_its_steps(bases: WarmBases, scheduler: str, steps: int):
    counted: list[tuple[int, int]] = []
    asked = recipe(scheduler=scheduler, num_inference_steps=steps, guidance_scale=1.0)
    painted(bases, asked, lambda step, total: counted.append((step, total)))
    assert counted == [(i + 1, steps) for i in range(steps)]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_paints_the_same_again(bases: WarmBases, scheduler: str):
    asked = recipe(scheduler=scheduler, num_inference_steps=3)
    assert painted(bases, asked) == painted(bases, asked)


def test_two_timesteps_alike_are_both_taken(bases: WarmBases, monkeypatch: pytest.MonkeyPatch):
    painter = bases.painter(variants.variant("tiny"))
    settings = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}
    own = DDIMScheduler.from_config(painter.model.scheduler.config, **settings)
    monkeypatch.setattr(painter.model, "scheduler", own)
    asked = recipe(scheduler="dpmpp_2m_karras", num_inference_steps=30)
    timesteps = make_scheduler(own, asked.scheduler, 30).timesteps.tolist()
    assert len(set(timesteps)) < len(timesteps) == 30
    assert together(painter, asked)[0].size == (192, 192)


def test_schedulers_differ(bases: WarmBases):
    paintings = {painted(bases, recipe(scheduler=name, num_inference_steps=5)) for name in SCHEDULERS}
    assert len(paintings) == len(SCHEDULERS) - 1  # the default is one of them: PNDM here


def test_guidance_1_skips_the_second_pass(bases: WarmBases):
    rows: list[int] = []
    unet = bases.painter(variants.variant("tiny")).model.unet
    hook = unet.register_forward_pre_hook(lambda _module, args: rows.append(len(args[0])))
    try:
        painted(bases, recipe(guidance_scale=7.5))
        painted(bases, recipe(guidance_scale=1.0))
    finally:
        hook.remove()
    assert rows == [2, 2, 2, 1, 1, 1]  # PNDM takes one step more than asked


def test_failed_runs_are_served_with_their_verdict(caplog: pytest.LogCaptureFixture):
    next(Pipeline().paint([recipe(variant="tiny-xl")]))
    assert "variant tiny-xl is a failed training run: a random model" in caplog.text
    caplog.clear()
    next(Pipeline().paint([recipe()]))
    assert not caplog.text


def test_missing_weights_name_the_file_and_the_command(tiny_weights: Path):
    with pytest.raises(WeightsError) as caught:
        next(Pipeline().paint([Recipe(prompt="lady", variant="sd15-perfect")]))
    assert str(tiny_weights / "sd15/model_index.json") in str(caught.value)
    assert "script/download-weights sd15-perfect" in str(caught.value)


def test_a_missing_epoch_names_those_that_are_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(variants.VARIANTS, "tiny", dataclasses.replace(variants.variant("tiny"), epochs=3))
    with pytest.raises(WeightsError, match=r"tiny-000002\.safetensors is missing; .* tiny --epoch 2`; .* here: 1, 3$"):
        next(Pipeline().paint([recipe(epoch=2)]))


def test_a_damaged_base_is_a_weights_error(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(tiny_weights / "tiny", tmp_path / "tiny")
    monkeypatch.setenv("PUNKS_WEIGHTS", str(tmp_path))
    file = tmp_path / "tiny/unet/diffusion_pytorch_model.fp16.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        next(Pipeline().paint([recipe()]))
    file.unlink()
    with pytest.raises(WeightsError, match=r"diffusion_pytorch_model\.fp16\.safetensors is missing"):
        next(Pipeline().paint([recipe()]))
    (tmp_path / "tiny/model_index.json").write_text("{")
    with pytest.raises(WeightsError, match=r"model_index\.json cannot be read"):
        next(Pipeline().paint([recipe()]))


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
