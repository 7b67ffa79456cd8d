"""A LoRA fuses to the same weights in every format, and to those of the code that wrote it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from punks.lora.file import read_header
from punks.painter.lora import LoraStack
from tests.support.lora_files import STYLES, factors, load, paths, weights


@pytest.mark.parametrize("name", ["tiny", "tiny-xl"])
def test_every_format_fuses_to_the_same_weights(name: str, tiny_weights: Path, tmp_path: Path):
    pipeline = load(tiny_weights, name)
    modules, xl = paths(pipeline), name == "tiny-xl"
    bare, stack = weights(pipeline), LoraStack(pipeline)
    fused: dict[str, dict[str, torch.Tensor]] = {}
    for style in STYLES:
        save_file(factors(modules, style, xl=xl), tmp_path / f"{style}.safetensors")
        stack.fuse([(tmp_path / f"{style}.safetensors", 0.6)])
        fused[style] = weights(pipeline)
        assert not any(torch.equal(weight, bare[path]) for path, weight in fused[style].items())
        assert all(torch.equal(weight, fused["kohya"][path]) for path, weight in fused[style].items())
    for style in ("kohya", "PEFT", "diffusers", "old diffusers"):
        reference = load(tiny_weights, name)
        # diffusers 0.42 takes alpha from kohya's keys alone, and knows no text_projection by kohya's name
        own = {path: shape for path, shape in modules.items() if "text_projection" not in path}
        file = tmp_path / f"diffusers {style}.safetensors"
        save_file(factors(own, style, xl=xl, alpha=2 if style == "kohya" else None), file)
        stack.fuse([(file, 0.6)])
        reference.load_lora_weights(file)
        reference.fuse_lora(lora_scale=0.6)
        reference.unload_lora_weights()
        theirs = weights(reference)
        for path, weight in weights(pipeline).items():
            torch.testing.assert_close(weight, theirs[path], rtol=1e-5, atol=1e-5)


def test_a_file_of_peft_fuses_as_peft_merges_it(tiny_weights: Path, tmp_path: Path):
    from peft import LoraConfig, get_peft_model

    pipeline, reference = load(tiny_weights, "tiny"), load(tiny_weights, "tiny")
    config = LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["to_k", "conv1", "proj_in", "time_emb_proj"],
        rank_pattern={"conv1": 2},
        alpha_pattern={"attn2.to_k": 3},
        use_rslora=True,
        init_lora_weights=False,
    )
    model: Any = get_peft_model(reference.unet, config)
    model.save_pretrained(tmp_path)
    LoraStack(pipeline).fuse([(tmp_path / "adapter_model.safetensors", 1.0)])
    theirs = dict(model.merge_and_unload().named_parameters())
    bare = dict(load(tiny_weights, "tiny").unet.named_parameters())
    changed = [path for path, weight in pipeline.unet.named_parameters() if not torch.equal(weight, bare[path])]
    assert len(changed) == 32 + 22 + 16 + 22
    for path, weight in pipeline.unet.named_parameters():
        torch.testing.assert_close(weight, theirs[path], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("preset", ["attn-mlp", "unet-convblock-only"])
def test_a_file_of_lycoris_fuses_as_lycoris_merges_it(preset: str, tiny_weights: Path, tmp_path: Path):
    from lycoris.kohya import create_network

    pipeline, reference = load(tiny_weights, "tiny"), load(tiny_weights, "tiny")
    own = (reference.vae, reference.text_encoder, reference.unet)
    network: Any = create_network(1.0, 4, 2, *own, preset=preset, conv_dim=3, conv_alpha=1)
    network.apply_to(reference.text_encoder, reference.unet, True, True)
    for each in network.loras:
        torch.nn.init.normal_(each.lora_up.weight, std=0.1)
    network.save_weights(str(tmp_path / "x.safetensors"), torch.float32, {})
    network.restore()
    network.merge_to(*own[1:], load_file(tmp_path / "x.safetensors"), torch.float32, "cpu")
    LoraStack(pipeline).fuse([(tmp_path / "x.safetensors", 1.0)])
    bare, theirs, changed = weights(load(tiny_weights, "tiny")), weights(reference), 0
    for path, weight in weights(pipeline).items():
        torch.testing.assert_close(weight, theirs[path], rtol=1e-5, atol=1e-6)
        changed += not torch.equal(weight, bare[path])
    assert changed == len(network.loras) == len(read_header(tmp_path / "x.safetensors").factors)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float64])
def test_a_file_in_another_precision_is_its_numbers(dtype: torch.dtype, tiny_weights: Path, tmp_path: Path):
    pipeline = load(tiny_weights, "tiny")
    tensors = load_file(tiny_weights / "tiny/lora/tiny-000001.safetensors")
    rounded = {key: tensor.to(dtype) for key, tensor in tensors.items()}
    save_file(rounded, tmp_path / "x.safetensors")
    save_file({key: tensor.float() for key, tensor in rounded.items()}, tmp_path / "float.safetensors")
    stack = LoraStack(pipeline)
    stack.fuse([(tmp_path / "float.safetensors", 0.9)])
    want = weights(pipeline)
    stack.fuse([(tmp_path / "x.safetensors", 0.9)])
    for name, weight in weights(pipeline).items():
        torch.testing.assert_close(weight, want[name], rtol=1e-6, atol=1e-7)
