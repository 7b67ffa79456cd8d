"""Every key of the files that people have is known by header alone, and every tensor has its module."""

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from punks.errors import LoraError
from punks.lora.file import check, read_header
from punks.lora.keys import module_name
from punks.lora.modules import module_shapes
from punks.lora.tensors import Tensors
from punks.variants import VARIANTS
from tests.support.lora_files import ACCELERATED, STYLES, Shape, factors, hollow, inspected, keys, published

BASES = {"sd15": VARIANTS["sd15-perfect"], "sdxl": VARIANTS["sdxl-current"]}


def listed(modules: dict[str, Shape], style: str, *, xl: bool, rank: int = 64) -> dict[str, Shape]:
    """The key list of a file that changes these modules."""
    found: dict[str, Shape] = {}
    for path, (out, *inputs) in modules.items():
        down, up, alpha = keys(path, style, xl=xl)
        found |= {down: (rank, *inputs), up: (out, rank, *[1] * (len(inputs) - 1)), alpha: ()}
    return found


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("family", BASES)
def test_every_module_of_a_base_is_known_in_every_format(family: str, style: str, tmp_path: Path):
    modules, xl = published(family), family == "sdxl"
    path = hollow(tmp_path / "x.safetensors", listed(modules, style, xl=xl))
    file, base = read_header(path), module_shapes(BASES[family])
    assert base is not None
    check(file, base)
    assert base == {module_name(path): shape for path, shape in modules.items()}
    assert set(file.factors) == set(base)
    assert len(base) == {"sd15": 354, "sdxl": 1059}[family]
    for name in ("lora_unet_conv_in", next(reversed(base))):
        with pytest.raises(LoraError, match="this base has no module for its key"):
            check(file, {each: shape for each, shape in base.items() if each != name})


def sized(shapes: dict[str, Shape], dtype: str, metadata: dict[str, object]) -> tuple[bytes, int]:
    """The header that safetensors writes for tensors of these shapes, and the size of the file."""
    table, end = dict[str, object](metadata), 0
    for key in sorted(shapes):
        start, end = end, end + {"F16": 2, "F32": 4}[dtype] * math.prod(shapes[key])
        table[key] = {"dtype": dtype, "shape": shapes[key], "data_offsets": [start, end]}
    raw = json.dumps(table, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    return raw, 8 + len(raw) + end


@pytest.mark.parametrize(
    ("family", "dtype", "size", "digest"),
    [
        # LCM-LoRA of SD 1.5, whose whole header is known by its hash; Hyper-SD15 and Hyper-SDXL with 8 steps and CFG;
        # SDXL-Lightning with 4 steps. LCM-LoRA of SDXL has the 2364 tensors too, and 600 bytes more.
        ("sd15", "F16", 134_621_556, "3ca15dde66470e73c8d68dbb9ab64d6e7ad014f525b58193a9a3b161eb6cc263"),
        ("sd15", "F32", 269_127_064, None),
        ("sdxl", "F32", 787_359_648, None),
        ("sdxl", "F16", 393_854_592, None),
    ],
)
def test_the_key_lists_are_those_of_the_published_files(family: str, dtype: str, size: int, digest: str | None):
    """To the byte: keys, shapes and dtypes decide how long the header is."""
    modules = {path: shape for path, shape in published(family).items() if ACCELERATED.fullmatch(path)}
    shapes = listed(modules, "kohya on diffusers' paths", xl=family == "sdxl")
    found = [sized(shapes, dtype, metadata) for metadata in ({}, {"__metadata__": {"format": "pt"}})]
    (raw,) = (raw for raw, length in found if length == size)
    assert digest in (None, hashlib.sha256(raw).hexdigest())


@pytest.mark.parametrize("style", STYLES[:-1])
@pytest.mark.parametrize(("family", "count", "bytes_"), [("sd15", 278, 269e6), ("sdxl", 788, 787e6)])
def test_the_key_lists_of_acceleration_loras_are_served(
    family: str, count: int, bytes_: float, style: str, tmp_path: Path
):
    modules = {path: shape for path, shape in published(family).items() if ACCELERATED.fullmatch(path)}
    shapes = listed(modules, style, xl=family == "sdxl")
    path = hollow(tmp_path / "x.safetensors", shapes, "F32")
    assert path.stat().st_size == pytest.approx(bytes_, rel=0.002)  # of Hyper-SD's files
    found = inspected(path)
    assert (found["refusal"], found["base"], found["modules"], found["ranks"]) == (None, family, count, [64])
    assert found["family"] == {"sd15": "SD 1.5", "sdxl": "SDXL"}[family]
    one = next(iter(shapes))
    path = hollow(path, shapes | {one.replace(".lora", "_twin.lora"): shapes[one]})
    assert "has no module" in inspected(path)["refusal"] or "no known format" in inspected(path)["refusal"]


def test_a_peft_model_of_the_unet_alone_is_read(tmp_path: Path):
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
    for stem, adapter in ((f"base_model.model.{name}", ""), (f"unet.base_model.model.{name}", ".default"), (name, "")):
        shapes = {f"{stem}.lora_A{adapter}.weight": (4, 768), f"{stem}.lora_B{adapter}.weight": (1280, 4)}
        found = inspected(hollow(tmp_path / "x.safetensors", shapes))
        assert (found["refusal"], found["base"], found["kind"]) == (None, "sd15", "a PEFT LoRA")
    twice = shapes | {f"unet.{key}": shape for key, shape in shapes.items()}
    assert "are for the same module" in inspected(hollow(tmp_path / "x.safetensors", twice))["refusal"]


@pytest.mark.parametrize("rslora", [False, True])
def test_alphas_of_peft_are_in_its_configuration(rslora: bool, tmp_path: Path):
    unet = "mid_block.attentions.0.transformer_blocks.0.attn2"
    stems = [f"base_model.model.{unet}.to_{each}" for each in "qk"]
    made = {f"{stem}.lora_A.weight": torch.ones(4, 1280 if stem[-1] == "q" else 768) for stem in stems}
    made |= {f"{stem}.lora_B.weight": torch.ones(1280, 4) for stem in stems}
    path, config = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"
    options = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "alpha_pattern": {"attn2.to_k": 3}, "use_rslora": rslora}
    save_file(made, path)
    assert Tensors(read_header(path)).alphas() == {}
    config.write_text(json.dumps(options))
    want = {module_name(stems[0]): 8 * (2 if rslora else 1), module_name(stems[1]): 3 * (2 if rslora else 1)}
    assert Tensors(read_header(path)).alphas() == pytest.approx(want)
    # as diffusers writes it: in the header, by component
    header = {f"unet.{name}": value for name, value in options.items()} | {"text_encoder.lora_alpha": 99}
    path = path.rename(tmp_path / "x.safetensors")
    save_file(made, path, metadata={"lora_adapter_metadata": json.dumps(header)})
    assert Tensors(read_header(path)).alphas() == pytest.approx(want)
    for bad in (
        "{",
        "[]",
        "[" * 100_000,
        json.dumps({"alpha_pattern": [1]}),
        json.dumps({"alpha_pattern": {"(a+)+": 1}}),
    ):
        save_file(made, path, metadata={"lora_adapter_metadata": bad})
        found = inspected(path)
        assert (found["verdict"], found["status"]) == ("refused", 1)
        assert "adapter configuration" in found["refusal"]


@pytest.mark.parametrize(
    "dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16, torch.float64]
)
def test_every_number_of_a_format_is_read_as_torch_reads_it(dtype: torch.dtype, tmp_path: Path):
    size = dtype.itemsize
    codes = (
        torch.arange(256, dtype=torch.uint8) if size == 1 else torch.arange(65536, dtype=torch.int32).to(torch.int16)
    )
    values = codes.view(dtype) if size <= 2 else torch.linspace(-9, 9, 4096, dtype=dtype)
    save_file({"x": values}, tmp_path / "x.safetensors")
    read = Tensors(read_header(tmp_path / "x.safetensors")).read("x")
    np.testing.assert_array_equal(read, values.float().numpy())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_alphas_in_float8_are_there(dtype: torch.dtype, tmp_path: Path):
    modules = {path: shape for path, shape in published("sd15").items() if re.search("attn2.to_k", path)}
    made = factors(modules, "kohya", xl=False, rank=32, alpha=16)
    save_file(
        {key: tensor.to(dtype) for key, tensor in made.items()}, tmp_path / "x.safetensors", {"ss_network_alpha": "16"}
    )
    found = inspected(tmp_path / "x.safetensors")
    assert (found["verdict"], found["warnings"]) == ("serves", [])
    assert found["parameters"]["network_alpha"] == 16
    assert all(block["scaled"] and block["alphas"] == [16] for block in found["blocks"])
