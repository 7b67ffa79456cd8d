"""Files with anything wrong in their structure: `inspect` and loading refuse the same ones, in a sentence."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from punks.errors import LoraError
from punks.painter.lora import LoraStack
from tests.support.lora_files import STYLES, Shape, inspected, keys, load, paths, weights

FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
SIZES = FLOATS | {"I64": 8, "I8": 1, "U8": 1, "BOOL": 1, "C64": 8}
STEMS = [
    "",
    "lora_unet_",
    "unet.",
    "lora_te_",
    "lora_te3_x",
    "text_encoder.",
    "transformer.x",
    "\x1b[2J",
    "é漢",
    "x" * 3000,
]
ENDS = [".lora_down.weight", ".lora_mid.weight", ".alpha", ".lora_A.weight", ".lora_B.bias", ".dora_scale", ".", ""]
TEXTS = ["None", "nan", "1e999", "[]", "{", "\x1b]0;x\x07", "9" * 5000, '{"lora_alpha": NaN}', '{"lora_alpha": "x"}']
ENTRIES = ["ss_network_dim", "ss_network_alpha", "ss_datasets", "ss_resolution", "sshs_model_hash", "ss_epoch", "x"]


def spoiled(draw: random.Random, modules: dict[str, Shape]) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """A file's tensors as dtype and shape, and its metadata, with up to three things wrong."""
    style, rank, dtype = draw.choice(STYLES), draw.choice([1, 4]), draw.choice(list(FLOATS))
    tensors: dict[str, list[Any]] = {}
    for path in draw.sample(list(modules), draw.randint(1, 4)):
        down, up, alpha = keys(path, style, xl=False)
        out, *inputs = modules[path]
        tensors |= {
            down: [dtype, [rank, *inputs]],
            up: [dtype, [out, rank, *[1] * (len(inputs) - 1)]],
            alpha: [dtype, []],
        }
    metadata: dict[str, str] = {}
    for _ in range(draw.randint(0, 3)):
        key = draw.choice(list(tensors))
        match draw.randrange(7):
            case 0:
                del tensors[key]
                if not tensors:
                    return {}, metadata
            case 1:
                tensors[key][0] = draw.choice(list(SIZES))
            case 2:
                tensors[key][1] = [draw.choice([0, 1, 2, 4, 16, *tensors[key][1]]) for _ in range(draw.randint(0, 5))]
            case 3:
                tensors[draw.choice(STEMS) + draw.choice(["", key]) + draw.choice(ENDS)] = tensors[key]
            case 4:
                tensors[key.replace(draw.choice("._"), draw.choice("._"))] = tensors.pop(key)
            case 5:
                metadata[draw.choice(ENTRIES)] = draw.choice(TEXTS)
            case _:
                metadata["lora_adapter_metadata"] = draw.choice(TEXTS)
    return tensors, metadata


def write(path: Path, byte: bytes, tensors: dict[str, list[Any]], metadata: dict[str, str]) -> None:
    """The file, every byte of its tensors the same."""
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for key, (dtype, shape) in tensors.items():
        start, end = end, end + SIZES[dtype] * math.prod(shape)
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + byte * end)


@pytest.mark.parametrize("seed", range(3))
def test_inspect_and_loading_refuse_the_same_files(seed: int, tiny_weights: Path, tmp_path: Path):
    draw, pipeline, path = random.Random(seed), load(tiny_weights, "tiny"), tmp_path / "x.safetensors"
    modules, bare, stack = paths(pipeline), weights(pipeline), LoraStack(pipeline)
    served = 0
    for _ in range(60):
        # of every format 0x40 is a number near one, 0xff not a number
        byte = draw.choice([b"\x40"] * 8 + [b"\xff", b"\x00"])
        write(path, byte, *spoiled(draw, modules))
        found, refusal = inspected(path, "--against", "tiny"), ""
        assert found["status"] == int(found["verdict"] == "refused")
        try:
            stack.fuse([(path, 1.0)])
        except LoraError as error:
            refusal = str(error)
        assert bool(refusal) == bool(found["refusal"])
        changed = sum(not torch.equal(weight, bare[name]) for name, weight in weights(pipeline).items())
        assert changed == (0 if refusal or byte == b"\x00" else found["modules"])
        served += not refusal
        stack.clear()
        assert all(torch.equal(weight, bare[name]) for name, weight in weights(pipeline).items())
    assert 10 < served < 50
