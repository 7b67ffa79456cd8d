"""Fusing is exact, undone exactly, and agrees with diffusers; what the base cannot take changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.random_models import kohya_names, write_lora
from punks.errors import LoraError
from punks.lora.file import read_header
from punks.painter.lora import LoraStack
from tests.support.lora_files import load

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["tiny", "tiny-xl"])
def base(request: pytest.FixtureRequest, tiny_weights: Path) -> tuple[Any, Path]:
    """A pipeline and its LoRA of epoch 1."""
    name = request.param
    return load(tiny_weights, name), tiny_weights / name / "lora" / f"{name.replace('-', '_')}-000001.safetensors"


def weights_of(pipeline: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().cpu().clone() for name, weight in kohya_names(pipeline).items()}


def test_sd15_has_all_264_modules_and_sdxl_both_encoders(tiny_weights: Path):
    names = list(read_header(tiny_weights / "tiny/lora/tiny-000001.safetensors").modules)
    assert len(names) == 264
    assert sum(name.startswith("lora_unet_") for name in names) == 192
    assert "lora_unet_mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj" in names
    assert "lora_te1_encoder_layers_11_mlp_fc2" in names
    names = list(read_header(tiny_weights / "tiny-xl/lora/tiny_xl-000001.safetensors").modules)
    assert {name.split("_")[1] for name in names} == {"unet", "te1", "te2"}
    assert "lora_unet_down_blocks_2_attentions_1_transformer_blocks_1_attn2_to_k" in names


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_fused_weights_are_w_plus_scaled_b_a(base: tuple[Any, Path], device: str):
    pipeline, path = base[0].to(device), base[1]
    before, tensors = weights_of(pipeline), load_file(path)
    LoraStack(pipeline).fuse([(path, 0.7)])
    after = weights_of(pipeline)
    assert len(after) == len(tensors) / 3
    for name, weight in before.items():
        up, down = (tensors[f"{name}.lora_{side}.weight"].double() for side in ("up", "down"))
        scale = 0.7 * tensors[f"{name}.alpha"].double() / down.shape[0]
        delta = (
            torch.einsum("or...,ri...->oi...", up, down) if up.ndim == 2 else torch.einsum("orxy,rixy->oixy", up, down)
        )
        torch.testing.assert_close(after[name].double(), weight.double() + scale * delta, rtol=1e-5, atol=1e-6)
        assert not torch.equal(after[name], weight)


def test_fusing_agrees_with_diffusers(base: tuple[Any, Path], tiny_weights: Path):
    pipeline, path = base
    LoraStack(pipeline).fuse([(path, 0.5)])
    reference = load(tiny_weights, path.parent.parent.name)
    reference.load_lora_weights(path)
    reference.fuse_lora(lora_scale=0.5)
    reference.unload_lora_weights()
    theirs = weights_of(reference)
    for name, weight in weights_of(pipeline).items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_one_lora_is_added_as_it_ever_was(base: tuple[Any, Path], dtype: torch.dtype):
    pipeline, path = base[0].to(dtype), base[1]
    before, tensors = weights_of(pipeline), load_file(path)
    LoraStack(pipeline).fuse([(path, 0.7)])
    for name, weight in weights_of(pipeline).items():
        up, down = (tensors[f"{name}.lora_{side}.weight"].flatten(1).float() for side in ("up", "down"))
        ratio = float(tensors[f"{name}.alpha"]) / down.shape[0]
        want = torch.empty_like(weight)
        torch.add(before[name], (up @ down).view_as(weight), alpha=0.7 * ratio, out=want)
        assert torch.equal(weight, want)


def test_scale_and_epoch_change_exactly_and_in_place(base: tuple[Any, Path]):
    pipeline, path = base
    other = path.with_name(path.name.replace("-000001", ""))
    bare, pointers = weights_of(pipeline), [weight.data_ptr() for weight in kohya_names(pipeline).values()]
    stack = LoraStack(pipeline)
    stack.fuse([(path, 1.0)])
    first = weights_of(pipeline)
    for loras in ([(path, 0.5)], [(other, 1.3)], [(path, 1.0), (other, 0.7)], [], [(other, 0.5)], [(path, 0.0)]):
        stack.fuse(loras)
    assert all(torch.equal(weight, bare[name]) for name, weight in weights_of(pipeline).items())
    stack.fuse([(path, 1.0)])
    assert all(torch.equal(weight, first[name]) for name, weight in weights_of(pipeline).items())
    assert pointers == [weight.data_ptr() for weight in kohya_names(pipeline).values()]


def test_a_lora_of_fewer_modules_leaves_nothing_of_the_last_one(tiny_weights: Path, tmp_path: Path):
    pipeline = load(tiny_weights, "tiny")
    path = tiny_weights / "tiny/lora/tiny-000001.safetensors"
    unet_only = tmp_path / "unet.safetensors"
    save_file({k: v for k, v in load_file(path).items() if k.startswith("lora_unet_")}, unet_only)
    bare, stack = weights_of(pipeline), LoraStack(pipeline)
    stack.fuse([(path, 1.0)])
    stack.fuse([(unet_only, 1.0)])
    for name, weight in weights_of(pipeline).items():
        assert torch.equal(weight, bare[name]) == name.startswith("lora_te_")


def test_a_write_that_was_interrupted_is_made_good(tiny_weights: Path):
    pipeline = load(tiny_weights, "tiny")
    path = tiny_weights / "tiny/lora/tiny-000001.safetensors"
    stack = LoraStack(pipeline)
    stack.fuse([(path, 1.0)])
    want = weights_of(pipeline)

    class Cancelled(BaseException):
        pass

    class Bomb(float):
        """A scale that breaks off the write in the middle, as a cancellation may."""

        uses = 0

        def __mul__(self, other: float) -> float:
            Bomb.uses += 1
            if Bomb.uses == 100:
                raise Cancelled
            return float(self) * other

    with pytest.raises(Cancelled):
        stack.fuse([(path, Bomb(0.3))])
    assert not all(torch.equal(weight, want[name]) for name, weight in weights_of(pipeline).items())
    stack.fuse([(path, 1.0)])
    assert all(torch.equal(weight, want[name]) for name, weight in weights_of(pipeline).items())


def test_a_replaced_file_is_read_again(tiny_weights: Path, tmp_path: Path):
    pipeline = load(tiny_weights, "tiny")
    path, stack = tmp_path / "x.safetensors", LoraStack(pipeline)
    write_lora(path, pipeline, rank=4, alpha=2, seed=1)
    stack.fuse([(path, 1.0)])
    first = weights_of(pipeline)
    path.unlink()
    stack.clear()
    write_lora(path, pipeline, rank=4, alpha=2, seed=2)
    stack.fuse([(path, 1.0)])
    assert not any(torch.equal(weight, first[name]) for name, weight in weights_of(pipeline).items())


def test_without_alpha_the_rank_stands_for_it(tiny_weights: Path, tmp_path: Path):
    pipeline = load(tiny_weights, "tiny")
    bare = weights_of(pipeline)
    tensors = load_file(tiny_weights / "tiny/lora/tiny-000001.safetensors")
    save_file({k: v for k, v in tensors.items() if not k.endswith(".alpha")}, tmp_path / "x.safetensors")
    LoraStack(pipeline).fuse([(tmp_path / "x.safetensors", 1.0)])
    name = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    delta = tensors[f"{name}.lora_up.weight"].float() @ tensors[f"{name}.lora_down.weight"].float()
    torch.testing.assert_close(weights_of(pipeline)[name], bare[name] + delta)


def spoil(tensors: dict[str, torch.Tensor], how: str) -> dict[str, torch.Tensor]:
    name = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    down = tensors[f"{name}.lora_down.weight"]
    match how:
        case "no module for its key":
            return tensors | {"lora_unet_extra.lora_down.weight": down.clone()}
        case "a LoHa":
            return {k.replace("lora_down", "hada_w1_a").replace("lora_up", "hada_w1_b"): v for k, v in tensors.items()}
        case "a DoRA":
            return tensors | {f"{name}.dora_scale": torch.ones(64, 1)}
        case "no known format":
            return tensors | {f"{name}.lora_down.scale": down.clone()}
        case "for the same module":
            return tensors | {"text_encoder.encoder.layers.0.mlp.fc1.lora_A.weight": down.clone()}
        case "has rank 0":
            return {
                k: v[:0].contiguous() if "down" in k else v[:, :0].contiguous() for k, v in tensors.items() if v.ndim
            }
        case "holds I8 numbers":
            return tensors | {f"{name}.lora_down.weight": down.to(torch.int8)}
        case "lacks lora_up (B)":
            return {k: v for k, v in tensors.items() if k != f"{name}.lora_up.weight"}
        case "has shapes":
            return tensors | {f"{name}.lora_down.weight": down[:, :-1].contiguous()}
        case "not a single number":
            return tensors | {f"{name}.alpha": torch.ones(3)}
        case "not finite":
            return tensors | {f"{name}.lora_down.weight": down * float("nan")}
        case "without LoRA weights":
            return {"model.weight": down}
    raise AssertionError(how)


@pytest.mark.parametrize(
    "how",
    [
        "no module for its key",
        "a LoHa",
        "a DoRA",
        "no known format",
        "for the same module",
        "has rank 0",
        "holds I8 numbers",
        "lacks lora_up (B)",
        "has shapes",
        "not a single number",
        "not finite",
        "without LoRA weights",
    ],
)
def test_what_cannot_be_applied_is_refused(how: str, tiny_weights: Path, tmp_path: Path):
    pipeline = load(tiny_weights, "tiny")
    bare = weights_of(pipeline)
    path = tmp_path / "x.safetensors"
    save_file(spoil(load_file(tiny_weights / "tiny/lora/tiny-000001.safetensors"), how), path)
    with pytest.raises(LoraError) as caught:
        LoraStack(pipeline).fuse([(path, 1.0)])
    assert how in str(caught.value)
    assert str(path) in str(caught.value)
    assert all(torch.equal(weight, bare[name]) for name, weight in weights_of(pipeline).items())


@pytest.mark.parametrize(("base_name", "other"), [("tiny", "tiny-xl"), ("tiny-xl", "tiny")])
def test_a_lora_of_the_other_family_is_refused(base_name: str, other: str, tiny_weights: Path):
    path = tiny_weights / other / "lora" / f"{other.replace('-', '_')}.safetensors"
    with pytest.raises(
        LoraError, match=r"trained on SDXL, but|this base has no module .* \(a kohya LoRA for .* rank 4"
    ):
        LoraStack(load(tiny_weights, base_name)).fuse([(path, 1.0)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 and more", "a pickled checkpoint"),
        (b"\x80\x04 and more", "a pickled checkpoint"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a git-lfs pointer"),
        (b"\xff" * 100, "not a whole safetensors file"),
    ],
)
def test_what_is_no_safetensors_is_called_by_its_name(content: bytes, said: str, tmp_path: Path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(LoraError, match=said):
        read_header(path)


def test_a_truncated_file_is_refused(tiny_weights: Path, tmp_path: Path):
    whole = (tiny_weights / "tiny/lora/tiny-000001.safetensors").read_bytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(whole[:-1])
    with pytest.raises(LoraError, match="not a whole safetensors file"):
        read_header(path)
    with pytest.raises(LoraError, match="cannot be read"):
        read_header(tmp_path / "absent.safetensors")
    with pytest.raises(LoraError, match="is a folder; name a file in it"):
        read_header(tmp_path)
