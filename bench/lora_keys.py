"""Acceleration LoRAs of full shape on bases of full size: `python -m bench.lora_keys [--family sd15]`.

The keys are those of LCM-LoRA and Hyper-SD, to the byte (tests/lora/test_formats.py), and of SDXL-Lightning; the values
are random. Each is fused into a base whose projections are joined as on a GPU, compared with a formula, and taken out
again. On a GPU where there is one.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from bench.random_models import Family, _sd15, _sdxl
from punks.painter.cuda.graphs import join_projections
from punks.painter.lora import LoraStack
from tests.support.lora_files import ACCELERATED, factors, keys, modules, paths

RANK, ALPHA, SCALE = 64, 8.0, 0.5
STYLE = "kohya on diffusers' paths"


@torch.inference_mode()
def fused(family: Family, device: str) -> str:
    with tempfile.TemporaryDirectory() as name:
        with torch.device(device):
            base = (_sdxl if family == "sdxl" else _sd15)(Path(name), True).to(torch.float16)
        asked = {path: shape for path, shape in paths(base).items() if ACCELERATED.fullmatch(path)}
        weights = {path: module.weight for path, module in modules(base).items()}
        join_projections(base.unet)
        before = {path: weight.clone() for path, weight in weights.items()}
        given = factors(asked, STYLE, xl=family == "sdxl", rank=RANK, alpha=ALPHA)
        given = {key: value.to(device, torch.float16) for key, value in given.items()}
        file = Path(name) / "lora.safetensors"
        save_file(given, file)
        stack, started, worst = LoraStack(base), time.perf_counter(), 0.0
        stack.fuse([(file, SCALE)])
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
        for path, weight in weights.items():
            expected = before[path].float()
            if path in asked:
                down, up = (given[key].flatten(1).float() for key in keys(path, STYLE, xl=family == "sdxl")[:2])
                change = (up @ down).view_as(expected) * (SCALE * ALPHA / RANK)
                assert change.abs().max() > 0.01, path
                expected += change
            worst = max(worst, (weight.float() - expected).abs().max().item())
            assert worst < 2e-4, path  # as fp16 rounds weights of up to 0.25
        stack.clear()
        assert all(torch.equal(weight, before[path]) for path, weight in weights.items())
    return (
        f"{family} on {device}: {len(given)} keys change {len(asked)} of {len(weights)} modules in {seconds:.1f} s, "
        f"off by {worst:.5f} at most; restored to the bit"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=["sd15", "sdxl"], action="append")
    for name in parser.parse_args().family or ["sd15", "sdxl"]:
        print(fused(name, "cuda" if torch.cuda.is_available() else "cpu"), flush=True)
