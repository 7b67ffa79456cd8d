"""Stock diffusers on the same model: `python -m bench.gpu_stock FAMILY` (bench.gpu calls it); prints JSON."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch.utils.flop_counter import FlopCounterMode

from bench.gpu_rows import FEW, PROMPT, finish, row_of
from punks import Recipe
from punks.files import weights
from punks.painter.samplers import make_scheduler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=["sd15", "sdxl"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--few", action="store_true", help="leave the rows of many steps out")
    args = parser.parse_args()
    row = row_of(args.family)
    cuda = torch.cuda.is_available()
    pipe: Any = DiffusionPipeline.from_pretrained(
        weights.base_folder(row), variant="fp16", dtype=torch.float16 if cuda else torch.float32
    )
    pipe.to("cuda" if cuda else "cpu").set_progress_bar_config(disable=True)
    negative = Recipe(prompt=PROMPT, variant=row.name).negative_prompt

    def request(pictures: int = 1, steps: int = args.steps, guidance: float = 7.5) -> float:
        start = time.perf_counter()
        words, avoided = [PROMPT] * pictures, [negative] * pictures
        pipe(words, negative_prompt=avoided, num_inference_steps=steps, guidance_scale=guidance)
        for _ in range(pictures):
            finish()
        return time.perf_counter() - start

    def median(runs: int, pictures: int = 1) -> float:
        request(pictures)
        return statistics.median(request(pictures) for _ in range(runs))

    result: dict[str, float] = {"teraflop_a_second": matmul_rate() if cuda else 0.0}

    def count(name: str, act: Callable[[], object]) -> None:
        with FlopCounterMode(display=False) as counted:
            act()
        result[f"{name}teraflop"] = counted.get_total_flops() / 1e12

    pipe.load_lora_weights(str(weights.lora_path(row, 1)))
    if not args.few:
        result["unfused"] = median(3)
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    if not args.few:
        count("", request)
        result["fused"] = median(5)
        result["fused_8"] = median(3, 8)
    own = pipe.scheduler
    for name, settings in FEW.items():
        pipe.scheduler = make_scheduler(own, settings["scheduler"], settings["num_inference_steps"])
        few = settings["num_inference_steps"], settings["guidance_scale"]
        count(f"{name}_", lambda few=few: request(1, *few))
        for pictures in (1, 8):
            request(pictures, *few)
            result[f"{name}_batch_{pictures}"] = statistics.median(request(pictures, *few) for _ in range(3))
    print(json.dumps(result), flush=True)


def matmul_rate(side: int = 8192, runs: int = 20) -> float:
    """TFLOP/s of fp16 matrix products, median of `runs`."""
    one = torch.randn(side, side, device="cuda", dtype=torch.float16)
    times: list[float] = []
    for _ in range(runs):
        torch.cuda.synchronize()
        start = time.perf_counter()
        one @ one
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times) / 1e12


if __name__ == "__main__":
    main()
