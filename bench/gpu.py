"""What a GPU does with a model of full size: `python -m bench.gpu [--family sd15] [--json FILE]`.

Random weights are honest here: speed does not depend on their values.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from bench.random_models import Family, build, kohya_names, write_lora
from punks import Recipe
from punks.lora.file import read_header
from punks.painter.pipeline import Painter
from punks.variants import SD15, SDXL, VARIANTS, Variant

RANKS = {"sd15": (32, 16), "sdxl": (128, 64)}


def seconds(act: Callable[[], object]) -> float:
    torch.cuda.synchronize() if torch.cuda.is_available() else None
    start = time.perf_counter()
    act()
    torch.cuda.synchronize() if torch.cuda.is_available() else None
    return time.perf_counter() - start


def median(act: Callable[[], object], runs: int = 5) -> float:
    return statistics.median(seconds(act) for _ in range(runs))


def measure(family: Family, folder: Path, *, full: bool) -> dict[str, Any]:
    """Loads, fuses, paints, changes scale and epoch; every number is in seconds unless its name says otherwise."""
    row = Variant(
        name=f"random-{family}", base=SD15 if family == "sd15" else SDXL, lora="random", epochs=2, epoch=1, verdict=""
    )
    VARIANTS[row.name] = row
    base = folder / row.base.name
    device = "cuda" if torch.cuda.is_available() else "cpu"
    build(base, family, full=full, device=device)
    pipeline = DiffusionPipeline.from_pretrained(base, variant="fp16", dtype=torch.float16)
    rank, alpha = RANKS[family]
    for epoch in (1, 2):
        write_lora(base / "lora" / row.lora_file(epoch), pipeline, rank=rank, alpha=alpha, strength=0.1, seed=epoch)
    modules = len(kohya_names(pipeline))
    del pipeline

    result: dict[str, Any] = {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "family": family}
    started = time.perf_counter()
    painter = Painter(row)
    result["load"] = time.perf_counter() - started
    recipe = Recipe(prompt="lady, red hair", variant=row.name, seed=1, num_inference_steps=30 if full else 1)
    file = base / "lora" / row.lora_file(1)
    result["lora_modules"] = [modules, len(read_header(file).modules)]
    result["lora_megabytes"] = file.stat().st_size / 1e6
    result["first_fuse"] = seconds(lambda: painter.use_lora(recipe))

    def painted(one: Recipe) -> bytes:
        return painter.paint([one], ["lady, red hair"]).images[0].tobytes()

    result["first_picture"] = seconds(lambda: painted(recipe))
    first = painted(recipe)
    result["picture"] = median(lambda: painted(recipe), 3)
    changes = {
        "scale_change": [recipe.replace(lora_scale=0.5), recipe],
        "epoch_change": [recipe.replace(epoch=2), recipe],
        "lora_off_and_on": [recipe.replace(lora_scale=0.0), recipe],
    }
    for name, pair in changes.items():
        times = [seconds(lambda one=one: painter.use_lora(one)) for _ in range(5) for one in pair]
        result[name] = statistics.median(times)
        result[f"{name}_worst"] = max(times)
        other = painted(pair[0])
        result[f"{name}_restores_bits"] = painted(recipe) == first and other != first
    if device == "cuda":
        result["peak_gigabytes"] = torch.cuda.max_memory_allocated() / 1e9
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=["sd15", "sdxl"], action="append")
    parser.add_argument("--tiny", action="store_true", help="try the program itself out on a small model")
    parser.add_argument("--json", type=Path, help="also write the results here")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    for family in args.family or ["sd15", "sdxl"]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PUNKS_WEIGHTS"] = folder
            results.append(measure(family, Path(folder), full=not args.tiny))
        for name, value in results[-1].items():
            print(f"{name:32} {value:.4f}" if isinstance(value, float) else f"{name:32} {value}", flush=True)
        if args.json:
            args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
