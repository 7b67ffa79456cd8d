"""The fast path changes how a picture is computed, never which."""

import copy
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from punks import Recipe, variants
from punks.errors import DeviceError, PunkError
from punks.files import weights
from punks.painter.cuda import blocks, kernels
from punks.painter.cuda.graphs import choose_engine, join_projections
from punks.painter.decoder import landed, launch, pixels_of
from punks.painter.lora import LoraStack
from punks.painter.model import Model, load_model
from punks.painter.warm import WarmBases

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["tiny", "tiny-xl", "demo"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Model:
    if request.param == "demo":
        monkeypatch.delenv("PUNKS_WEIGHTS")
    return load_model(weights.base_folder(variants.variant(request.param)), torch.float32)


def noise_of(model: Model, *, pictures: int = 2, halves: bool = False) -> torch.Tensor:
    """What the U-Net makes of fixed inputs; as `halves` of guidance there are twice as many rows."""
    unet, generator = model.unet, torch.Generator().manual_seed(0)
    side, width = unet.config.sample_size, unet.config.cross_attention_dim
    latents = torch.randn(pictures, 4, side, side, generator=generator)
    latents = torch.cat([latents] * 2) if halves else latents
    states = torch.randn(len(latents), 77, width, generator=generator)
    added = None
    if model.text_encoder_2 is not None:
        pooled = torch.randn(len(latents), model.text_encoder_2.config.projection_dim, generator=generator)
        added = {"text_embeds": pooled, "time_ids": torch.ones(len(latents), 6)}
    with torch.inference_mode():
        return unet(latents, torch.tensor(500), states, added_cond_kwargs=added, return_dict=False)[0]


def rewritten(model: Model) -> Model:
    """The model as the engine has it."""
    join_projections(model.unet)
    model.place(torch.device("cpu:0"))  # another one than "cpu" to torch, so that everything is copied
    for part in (model.unet, model.vae):
        part.to(memory_format=torch.channels_last)
    blocks.rewrite(model.unet, model.vae)
    return model


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_ENGINE", "turbo")
    with pytest.raises(DeviceError, match="PUNKS_ENGINE: 'turbo' is no engine; use graph or eager"):
        choose_engine(torch.device("cuda"))


def test_there_is_no_engine_away_from_cuda(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_ENGINE", "graph")
    assert choose_engine(torch.device("cpu")) is None
    assert choose_engine(torch.device("cuda")) == "graph"


def test_a_lora_reaches_what_is_joined_and_rewritten(model: Model, request: pytest.FixtureRequest):
    row = variants.variant(request.node.callspec.params["model"])
    plain = copy.deepcopy(model)
    bare = noise_of(plain)
    rewritten(model)
    assert torch.allclose(noise_of(model), bare, atol=1e-4)
    for one in (plain, model):
        LoraStack(one).fuse([(weights.lora_path(row, row.epoch), 1.0)])
    assert not torch.allclose(noise_of(plain), bare, atol=1e-3)
    assert torch.allclose(noise_of(model), noise_of(plain), atol=1e-4)


def test_pictures_become_latents_and_latents_pictures_as_before(model: Model):
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 16, 16, generator=generator).double()
    picture = torch.rand(1, 3, 64, 64, generator=generator).double()
    model.vae.double()

    def both() -> list[torch.Tensor]:
        with torch.inference_mode():
            return [model.vae.decode(latents).sample, model.vae.encode(picture).latent_dist.mean]

    before = both()
    rewritten(model)
    for now, then in zip(both(), before, strict=True):
        assert torch.allclose(now, then)


@pytest.mark.parametrize("places", [64, 100, 1])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_a_wide_head_attends_as_torch_computes_it(device: str, places: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "_SCORES", 16 * places)  # 16 rows at a time
    kind = torch.float32 if device == "cpu" else torch.float16
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(2, places, 512, generator=generator).mul(2).to(kind) for _ in range(3)]
    expected = functional.scaled_dot_product_attention(*(one.double() for one in given))
    found = blocks.attention_of_one_head(*(one.to(device) for one in given))
    assert found.dtype == kind
    tolerance = 1e-5 if device == "cpu" else 2e-3
    assert torch.allclose(found.cpu().double(), expected, rtol=tolerance, atol=tolerance)


def test_pictures_are_attended_to_without_the_attention_of_torch(model: Model, monkeypatch: pytest.MonkeyPatch):
    rewritten(model)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", None)  # to call it is an error
    with torch.inference_mode():
        values = model.vae.decode(torch.zeros(1, 4, 8, 8)).sample
    assert values.isfinite().all()


@pytest.mark.parametrize("pictures", [1, 2])
def test_what_both_halves_of_guidance_share_is_computed_once(
    model: Model, pictures: int, request: pytest.FixtureRequest
):
    whole = noise_of(model, pictures=pictures, halves=True)
    rewritten(model).unet.guided = True
    with Convolutions() as seen:
        assert torch.allclose(noise_of(model, pictures=pictures, halves=True), whole, atol=1e-4)
    # elsewhere the first block reads no words, and in SDXL it does in the embedding of the timestep
    shared = 3 if request.node.callspec.params["model"] == "tiny" else 0
    assert seen.rows == [pictures] * shared + [2 * pictures] * (len(seen.rows) - shared)


class Convolutions(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.conv2d.default, torch.ops.aten.convolution.default):
            self.rows.append(len(args[0]))
        return func(*args, **(kwargs or {}))


def test_two_pictures_without_guidance_are_not_taken_for_both_halves_of_one(
    model: Model, request: pytest.FixtureRequest
):
    bare = noise_of(model)
    unet = rewritten(model).unet
    assert torch.allclose(noise_of(model), bare, atol=1e-4)
    unet.guided = True
    halves = noise_of(model)
    assert torch.allclose(halves[:1], bare[:1], atol=1e-4)
    # where anything is shared: of the first latents, with the second words
    shares = request.node.callspec.params["model"] == "tiny"
    assert torch.allclose(halves[1:], bare[1:], atol=1e-3) != shares


def test_without_a_compiler_it_is_said_that_painting_is_slow(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    assert kernels.compiled.__wrapped__(torch.device("cuda:0")) is None
    assert "cuda:0 paints at half the speed" in caplog.text
    assert "they need cuda-bindings" in caplog.text


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90", "sm_120"])
def test_the_kernels_can_be_compiled(architecture: str):
    pytest.importorskip("cuda.bindings")
    assert kernels.binary(architecture).startswith(b"\x7fELF")


KERNELS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "add": lambda x, bias: kernels.add(x, bias, x.flip(0)),
    "bias": kernels.add,
    "upsample": lambda x, _: kernels.upsample(x),
    "concatenate": lambda x, _: kernels.concatenate(x, x[:, :16].flip(0)),
    "group norm": lambda x, bias: kernels.group_norm(x, norm_of(x, torch.nn.GroupNorm(4, len(bias))), silu=False),
    "shifted group norm": lambda x, bias: kernels.group_norm(
        x, norm_of(x, torch.nn.GroupNorm(4, len(bias))), bias=bias, shift=torch.stack([bias, -bias]), silu=True
    ),
    "layer norm": lambda x, bias: kernels.layer_norm(
        x.permute(0, 2, 3, 1).flatten(1, 2), norm_of(x, torch.nn.LayerNorm(len(bias))), bias
    ),
    "geglu": lambda x, _: kernels.geglu(x.permute(0, 2, 3, 1).flatten(1, 2)),
}


def norm_of(x: torch.Tensor, norm: Any) -> Any:
    norm = norm.to(x.device, x.dtype)
    for parameter in norm.parameters():
        parameter.data = torch.linspace(-1, 1, len(parameter), device=x.device).to(x.dtype)
    return norm


@needs_cuda
@pytest.mark.parametrize("channels", [16, 48, 320, 1280, 2560])
@pytest.mark.parametrize("side", [1, 5, 64])
@pytest.mark.parametrize("kernel", list(KERNELS))
def test_kernels_compute_what_torch_does(kernel: str, channels: int, side: int):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, side, side, generator=generator) * 3 + 2
    bias = torch.randn(channels, generator=generator)
    x, bias = x.half().float(), bias.half().float()
    on_gpu = x.half().cuda().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected, found = KERNELS[kernel](x, bias), KERNELS[kernel](on_gpu, bias.half().cuda())
    assert torch.allclose(found.cpu().float(), expected, rtol=2e-3, atol=2e-3)


def test_decoded_pictures_are_those_of_diffusers(model: Model):
    latents = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = [landed(*one) for one in launch(pixels_of(model.vae), latents)]
        values = [model.vae.decode(one / model.vae.config.scaling_factor).sample for one in latents.split(1)]
    theirs = VaeImageProcessor().postprocess(torch.cat(values), output_type="pil")
    assert [np.asarray(one).tolist() for one in ours] == [np.asarray(one).tolist() for one in theirs]


def test_values_that_are_not_finite_are_an_error(model: Model):
    side = model.unet.config.sample_size
    with pytest.raises(PunkError, match="not finite"):
        landed(*launch(pixels_of(model.vae), torch.full((1, 4, side, side), torch.nan))[0])


@needs_cuda
@pytest.mark.parametrize("mean", [10, 100, 1000])
@pytest.mark.parametrize("side", [16, 64])
def test_groups_far_from_zero_lose_less_than_half_precision_did(mean: int, side: int):
    norm = torch.nn.GroupNorm(32, 320, eps=1e-6).cuda()
    true = torch.randn(2, 320, side, side, dtype=torch.float64, device="cuda") + mean
    given = true.half().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        found = kernels.group_norm(given, norm.half(), silu=False)
        norm.double()
        stored, exact = norm(given.double()), norm(true)
    assert (found - stored).abs().mean() < (stored - exact).abs().mean() / 2


@needs_cuda
@pytest.mark.parametrize("variant", ["tiny", "demo"])
@pytest.mark.parametrize("pictures", [1, 3])
def test_graphs_paint_what_eager_paints(variant: str, pictures: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_DEVICE", "cuda")
    if variant == "demo":
        monkeypatch.delenv("PUNKS_WEIGHTS")
    paintings: list[list[bytes]] = []
    for engine in ("eager", "graph"):
        monkeypatch.setenv("PUNKS_ENGINE", engine)
        recipes = Recipe(prompt="lady", variant=variant, seed=1, num_inference_steps=4).outputs(pictures)
        paintings.append([image.tobytes() for image, _ in WarmBases().paint(recipes)])
    assert paintings[0] == paintings[1]


@needs_cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
@pytest.mark.parametrize("scheduler", ["default", "lcm", "tcd", "euler_a", "dpmpp_2m_karras"])
def test_the_host_waits_for_nothing_while_it_launches(variant: str, scheduler: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_DEVICE", "cuda")
    painter = WarmBases().painter(variants.variant(variant))
    recipes = Recipe(prompt="lady", variant=variant, seed=1, num_inference_steps=4, scheduler=scheduler).outputs(2)
    first = [image.tobytes() for image, _ in painter.paint(recipes)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        launched = painter.paint(recipes)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [image.tobytes() for image, _ in launched] == first


@needs_cuda
def test_batches_that_overlap_count_no_second_twice(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_DEVICE", "cuda")
    painter = WarmBases().painter(variants.variant("tiny"))
    recipes = Recipe(prompt="lady", variant="tiny", seed=1, num_inference_steps=4).outputs(4)
    list(painter.paint(recipes))
    start = time.perf_counter()
    stages = [seconds for launched in [painter.paint(recipes) for _ in range(3)] for _, seconds in launched]
    passed = time.perf_counter() - start
    assert all(taken >= 0 for seconds in stages for taken in seconds.values())
    assert 0 < sum(taken for seconds in stages for taken in seconds.values()) <= passed


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_second_gpu_paints_what_the_first_one_does(monkeypatch: pytest.MonkeyPatch):
    paintings: list[list[bytes]] = []
    for device in ("cuda:0", "cuda:1"):
        monkeypatch.setenv("PUNKS_DEVICE", device)
        recipes = Recipe(prompt="lady", variant="tiny", seed=1, num_inference_steps=4).outputs(16)
        paintings.append([image.tobytes() for image, _ in WarmBases().paint(recipes)])
    assert paintings[0] == paintings[1]
