"""The fast path changes how a picture is computed, never which."""

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from punks import Recipe, Studio, variants, weights
from punks.errors import DeviceError, PunkError
from punks.lora.slot import LoraSlot
from punks.painter.compiled import Guided, export, load, package_folder, replace_forward
from punks.painter.decoder import decoded, pixels_of
from punks.painter.engine import choose_engine, join_projections
from punks.painter.loading import place
from punks.painter.warm import warm

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["tiny", "tiny-xl"])
def pipeline(request: pytest.FixtureRequest) -> Any:
    folder = weights.base_folder(variants.variant(request.param))
    return DiffusionPipeline.from_pretrained(folder, variant="fp16", dtype=torch.float32)


def noise_of(pipeline: Any) -> torch.Tensor:
    """What the U-Net makes of fixed inputs."""
    unet, generator = pipeline.unet, torch.Generator().manual_seed(0)
    side, width = unet.config.sample_size, unet.config.cross_attention_dim
    latents = torch.randn(2, 4, side, side, generator=generator)
    states = torch.randn(2, 77, width, generator=generator)
    added = None
    if hasattr(pipeline, "text_encoder_2"):
        pooled = torch.randn(2, pipeline.text_encoder_2.config.projection_dim, generator=generator)
        added = {"text_embeds": pooled, "time_ids": torch.ones(2, 6)}
    with torch.inference_mode():
        return unet(latents, torch.tensor(500), states, added_cond_kwargs=added, return_dict=False)[0]


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_ENGINE", "turbo")
    with pytest.raises(DeviceError, match="PUNKS_ENGINE: 'turbo' is no engine; use compile, graph, eager"):
        choose_engine(torch.device("cuda"))


def test_there_is_no_engine_away_from_cuda(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_ENGINE", "graph")
    assert choose_engine(torch.device("cpu")) is None
    assert choose_engine(torch.device("cuda")) == "graph"


def test_a_lora_reaches_the_joined_weights(pipeline: Any, request: pytest.FixtureRequest):
    row = variants.variant(request.node.callspec.params["pipeline"])
    plain = copy.deepcopy(pipeline)
    bare = noise_of(plain)
    join_projections(pipeline.unet)
    place(pipeline, torch.device("cpu:0"))  # another one than "cpu" to torch, so that everything is copied
    pipeline.unet.to(memory_format=torch.channels_last)
    assert torch.allclose(noise_of(pipeline), bare, atol=1e-5)
    for one in (plain, pipeline):
        LoraSlot(one).fuse(weights.lora_path(row, row.epoch), 1.0)
    assert not torch.allclose(noise_of(plain), bare, atol=1e-3)
    assert torch.allclose(noise_of(pipeline), noise_of(plain), atol=1e-5)


class Joined(torch.nn.Module):
    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.cat([one, other], dim=1) * 2


def test_channels_are_concatenated_where_they_lie():
    pictures = tuple(torch.rand(2, channels, 4, 4).to(memory_format=torch.channels_last) for channels in (3, 5))
    exported = export(Joined(), pictures)
    assert torch.equal(exported.module()(*pictures), Joined()(*pictures))
    (joined,) = [node for node in exported.graph.nodes if node.target is torch.ops.aten.cat.default]
    assert joined.meta["val"].shape == (2, 4, 4, 8)


@pytest.mark.parametrize("mean", [10, 100, 1000])
def test_groups_far_from_zero_lose_less_than_half_precision_did(mean: int):
    norm = torch.nn.GroupNorm(4, 12, eps=1e-6)
    true = torch.randn(2, 12, 64, 64, dtype=torch.float64) + mean
    with torch.no_grad():
        found = export(norm, (torch.zeros_like(true, dtype=torch.float32),)).module()(true.half().float())
        norm.double()
        stored, exact = norm(true.half().double()), norm(true)
    assert (found - stored).abs().mean() < (stored - exact).abs().mean() / 2


def test_groups_are_normalized_by_way_of_their_channels():
    norm = torch.nn.GroupNorm(4, 12, eps=1e-6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    pictures = torch.randn(2, 12, 8, 8) * torch.rand(12, 1, 1) + torch.rand(12, 1, 1)  # each channel its own
    with torch.no_grad():
        exported = export(norm, (pictures,))
        assert torch.allclose(exported.module()(pictures), norm(pictures), atol=1e-5)
    assert "group_norm" not in str(exported.graph)


@pytest.mark.parametrize("pictures", [1, 2])
def test_what_both_halves_of_guidance_share_is_computed_once(pipeline: Any, pictures: int):
    unet, xl = pipeline.unet, hasattr(pipeline, "text_encoder_2")
    latents = torch.randn(pictures, 4, unet.config.sample_size, unet.config.sample_size)
    given = [latents, torch.tensor(500.0), torch.randn(2 * pictures, 77, unet.config.cross_attention_dim)]
    if xl:
        given += [torch.randn(2 * pictures, pipeline.text_encoder_2.config.projection_dim), torch.ones(2 * pictures, 6)]
    added = {"text_embeds": given[3], "time_ids": given[4]} if xl else None
    join_projections(unet)
    with torch.no_grad():
        exported = export(Guided(unet), tuple(given))
        whole = unet(torch.cat([latents] * 2), *given[1:3], added_cond_kwargs=added, return_dict=False)[0]
        assert torch.allclose(exported.module()(*given), whole, atol=1e-5)
    rows = [len(node.meta["val"]) for node in exported.graph.nodes if "conv2d" in str(node.target)]
    # in SDXL the pooled words are part of the embedding of the timestep, which the first block reads
    shared = 2 if xl else 4
    assert rows == [pictures] * shared + [2 * pictures] * (len(rows) - shared)


def test_two_pictures_without_guidance_are_not_taken_for_both_halves_of_one(pipeline: Any):
    bare = noise_of(pipeline)
    replace_forward(pipeline.unet, {(1, 77): Guided(copy.deepcopy(pipeline.unet))})
    assert torch.equal(noise_of(pipeline), bare)
    pipeline.unet.guided = True
    halves = noise_of(pipeline)
    assert torch.allclose(halves[:1], bare[:1], atol=1e-5)
    assert not torch.allclose(halves[1:], bare[1:], atol=1e-3)  # of the first latents, with the second words


def test_decoded_pictures_are_those_of_diffusers(pipeline: Any):
    side = pipeline.unet.config.sample_size
    latents = torch.randn(3, 4, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        values = [pipeline.vae.decode(one / pipeline.vae.config.scaling_factor).sample for one in latents.split(1)]
    theirs = pipeline.image_processor.postprocess(torch.cat(values), output_type="pil")
    ours = list(decoded(pixels_of(pipeline.vae), latents))
    assert [np.asarray(one).tolist() for one in ours] == [np.asarray(one).tolist() for one in theirs]


def test_values_that_are_not_finite_are_an_error(pipeline: Any):
    side = pipeline.unet.config.sample_size
    with pytest.raises(PunkError, match="not finite"):
        list(decoded(pixels_of(pipeline.vae), torch.full((1, 4, side, side), torch.nan)))


def test_compiling_without_a_gpu_says_why_not():
    with pytest.raises(DeviceError, match="compiled on the GPU that it is for, and this device is cpu"):
        warm("tiny", [(1, 77)])


@needs_cuda
@pytest.mark.parametrize("pictures", [1, 3])
def test_graphs_paint_what_eager_paints(pictures: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUNKS_DEVICE", "cuda")
    paintings: list[list[bytes]] = []
    for engine in ("eager", "graph"):
        monkeypatch.setenv("PUNKS_ENGINE", engine)
        recipes = Recipe(prompt="lady", variant="tiny", seed=1, num_inference_steps=4).outputs(pictures)
        paintings.append([punk.painting.tobytes() for punk in Studio().generate_all(recipes)])
    assert paintings[0] == paintings[1]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_second_gpu_paints_what_the_first_one_does(monkeypatch: pytest.MonkeyPatch):
    paintings: list[list[bytes]] = []
    for device in ("cuda:0", "cuda:1"):
        monkeypatch.setenv("PUNKS_DEVICE", device)
        recipes = Recipe(prompt="lady", variant="tiny", seed=1, num_inference_steps=4).outputs(16)
        paintings.append([punk.painting.tobytes() for punk in Studio().generate_all(recipes)])
    assert paintings[0] == paintings[1]


def test_a_damaged_package_is_ignored_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Some GPU")
    base = weights.base_folder(variants.variant("tiny"))
    shutil.copytree(base, tmp_path / "base")
    pipeline = DiffusionPipeline.from_pretrained(base, variant="fp16", dtype=torch.float32)
    bare = noise_of(pipeline)
    folder = package_folder(tmp_path / "base", torch.device("cpu"))
    folder.mkdir(parents=True)
    (folder / "unet-1-77.pt2").write_bytes(b"not a package")
    load(pipeline, tmp_path / "base", torch.device("cpu"), lambda forward: forward, wanted=True)
    assert "unet-1-77.pt2 is ignored" in caplog.text
    assert torch.equal(noise_of(pipeline), bare)


def test_another_model_or_torch_finds_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Some GPU")
    shutil.copytree(weights.base_folder(variants.variant("tiny")), tmp_path / "base")
    device = torch.device("cpu")
    first = package_folder(tmp_path / "base", device)
    config = tmp_path / "base/unet/config.json"
    config.write_text(config.read_text() + " ")
    second = package_folder(tmp_path / "base", device)
    monkeypatch.setattr(torch, "__version__", "2.99.0")
    assert len({first, second, package_folder(tmp_path / "base", device)}) == 3
