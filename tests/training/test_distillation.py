"""The acceleration LoRA at toy size: a student's step is DDIM's, it learns from its teacher, its file fits the demo."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from punks.painter.lora import LoraStack, read_header
from training import models
from training.dataset import Tokens
from training.distill import write
from training.distillation import Distiller, Examples, Painter, attach
from training.settings import TINY, Leg, Settings

WIDTH = TINY.text_width


@pytest.fixture
def unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return models.build_unet(TINY).eval()


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def encode(ids: torch.Tensor) -> torch.Tensor:
    """Text states that differ from token to token, long captions as long ones."""
    flat = ids.flatten(1)[:, :227].float()
    return torch.sin(flat[:, :, None] * torch.arange(1, WIDTH + 1))


def distiller(unet: UNet2DConditionModel, settings: Settings, dtype: torch.dtype = torch.float32) -> Distiller:
    own = copy.deepcopy(unet)
    modules = attach(own, TINY.student_rank)
    own.to(dtype)
    ids = torch.randint(100, (4, 2, 77), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)  # another model: there is more to learn than guidance
    return Distiller(
        settings=settings,
        teacher=Painter(unet=models.build_unet(TINY).eval(), steps=4, guidance=2.5),
        student=Painter(unet=own, steps=2),
        modules=modules,
        encode=encode,
        tokens=Tokens(short=ids, long=ids.repeat(1, 2, 1)[:, :3]),
        nothing=Tokens(short=torch.zeros_like(ids[:1, :1]), long=torch.zeros_like(ids[:1, :1]).repeat(1, 3, 1)),
        side=8,
    )


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@torch.no_grad()
def test_a_teacher_paints_as_the_pipelines_scheduler_does(unet: UNet2DConditionModel, guidance: float) -> None:
    latents, words, nothing = draw(2, 4, 16, 16), draw(2, 77, WIDTH, seed=1), draw(2, 77, WIDTH, seed=2)
    painter = Painter(unet=unet, steps=4, guidance=guidance)
    scheduler = models.build_scheduler()
    scheduler.set_timesteps(4)
    expected = latents
    for step, t in enumerate(scheduler.timesteps):
        assert painter.timestep(step) == t
        told, without = (unet(expected, t, states, return_dict=False)[0] for states in (words, nothing))
        found = scheduler.step(without + guidance * (told - without), t, expected)
        expected = found.prev_sample
        if step == 2:
            torch.testing.assert_close(painter.paint(latents, words, nothing, range(3)), expected, atol=1e-4, rtol=1e-4)
    # the scheduler leaves the last latents a little noise
    torch.testing.assert_close(painter.paint(latents, words, nothing), found.pred_original_sample, atol=1e-4, rtol=1e-4)


def test_a_student_that_sees_its_aim_ends_where_its_teacher_does(unet: UNet2DConditionModel) -> None:
    student, latents, after = Painter(unet=unet, steps=2), draw(2, 4, 8, 8), draw(2, 4, 8, 8, seed=1)
    for step in range(2):
        found = student.leap(latents, student.aim(latents, after, step), step)
        torch.testing.assert_close(found, after, atol=1e-4, rtol=1e-4)


def test_only_the_newest_examples_are_kept() -> None:
    examples = Examples(kept=3)
    for start in (0, 2):
        examples.add(torch.arange(start, start + 2), torch.zeros(2, 1))
    assert examples.rows[0].tolist() == [1, 2, 3]
    assert len(examples.rows[1]) == 3


def test_a_student_comes_nearer_to_its_teacher(unet: UNet2DConditionModel) -> None:
    one = distiller(unet, replace(TINY, student=Leg(steps=10, batch=4, rate=1e-2), fresh_every=5))
    one.refresh(long=False)
    ids, starts, aims = one.examples[False].rows

    @torch.no_grad()
    def error() -> float:
        return float((one.student.clean(starts[:, 0].float(), encode(ids), None, 0) - aims[:, 0]).abs().mean())

    weights, before = {name: value.clone() for name, value in one.student.unet.state_dict().items()}, error()
    one.train()
    assert error() < 0.9 * before
    after = one.student.unet.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, weights[name])}
    assert len(changed) == len(one.modules)
    assert all(name.endswith(".weight") for name in changed)


def test_low_precision_rounds_the_model_not_the_factors(unet: UNet2DConditionModel) -> None:
    one = distiller(unet, replace(TINY, student=Leg(steps=1, batch=2, rate=1e-3), fresh_every=1), torch.bfloat16)
    one.train()
    for name, low in one.modules.items():
        assert low.up.dtype == torch.float32
        assert low.up.any(), name
        exact = low._base + low.scale * (low.up.flatten(1) @ low.down.flatten(1)).view_as(low._base)
        assert torch.equal(low._weight, exact.bfloat16())


def test_its_file_is_read_and_fused_as_it_was_trained(unet: UNet2DConditionModel, tmp_path: Path) -> None:
    own = copy.deepcopy(unet)
    modules = attach(own, TINY.student_rank)
    for low in modules.values():
        torch.nn.init.normal_(low.up, std=0.1)
        low.write()
    write(tmp_path / "fast.safetensors", modules, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["fast.safetensors"]

    class Pipeline:
        text_encoder = models.build_text_encoder(TINY)

    Pipeline.unet = unet
    stack = LoraStack(Pipeline())
    file = read_header(tmp_path / "fast.safetensors")
    stack.check(file)
    assert len(file.factors) == len(modules)
    assert {"lora_unet_conv_in", "lora_unet_mid_block_resnets_0_conv1"} < set(file.factors)
    stack.fuse([(file.path, 1.0)])
    for name, value in unet.state_dict().items():
        torch.testing.assert_close(value, own.state_dict()[name], atol=1e-3, rtol=1e-3)
