"""One engine in a process of its own: `python -m bench.gpu_engine FAMILY` (bench.gpu calls it; PUNKS_WEIGHTS is set).

Prints one JSON object; seconds unless a name says otherwise. `BENCH_STARTED` is when the process was started.
"""

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.gpu_rows import FEW, PROMPT, StandIn, finish, painting, row_of
from punks import Pipeline, Recipe
from punks.painter.painter import Painter


def seconds(act: Callable[[], object]) -> float:
    torch.cuda.synchronize() if torch.cuda.is_available() else None
    start = time.perf_counter()
    act()
    torch.cuda.synchronize() if torch.cuda.is_available() else None
    return time.perf_counter() - start


def median(act: Callable[[], object], runs: int) -> float:
    return statistics.median(seconds(act) for _ in range(runs))


def request(pipeline: Pipeline, recipe: Recipe, pictures: int = 1) -> None:
    """What a user waits for: prompts to PNG files."""
    with tempfile.TemporaryDirectory() as folder:
        for number, painted in enumerate(pipeline.paint(recipe.outputs(pictures))):
            painted.finish().save(Path(folder) / f"{number}.png")


def lora_changes(painter: Painter, recipe: Recipe) -> dict[str, Any]:
    """How long each change takes, and whether the picture is the same to the bit after the change is undone."""
    result: dict[str, Any] = {}

    def painted(one: Recipe) -> bytes:
        return next(painter.paint([one]))[0].tobytes()

    first = painted(recipe)
    changes = {
        "scale_change": recipe.replace(lora_scale=0.5),
        "epoch_change": recipe.replace(epoch=2),
        "lora_off_and_on": recipe.replace(lora_scale=0.0),
    }
    for name, other in changes.items():
        times = [seconds(lambda one=one: painter.use_lora(one)) for _ in range(5) for one in (other, recipe)]
        result[name], result[f"{name}_worst"] = statistics.median(times), max(times)
        changed = painted(other)
        result[f"{name}_restores_bits"] = painted(recipe) == first and changed != first
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=["sd15", "sdxl"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--few", action="store_true", help="leave the rows of many steps out")
    parser.add_argument("--profile", type=Path, help="write tables of kernels here: one of four LCM steps, eight")
    args = parser.parse_args()
    started = float(os.environ.get("BENCH_STARTED", time.time()))
    row = row_of(args.family)
    result: dict[str, Any] = {"engine": os.environ.get("PUNKS_ENGINE") or "default", "imports": time.time() - started}
    pipeline = StandIn([painting()])
    recipe = Recipe(prompt=PROMPT, template=False, variant=row.name, seed=1, num_inference_steps=args.steps)
    result["load"] = seconds(lambda: pipeline.bases.painter(row))
    result["first_request"] = seconds(lambda: request(pipeline, recipe))
    result["ready"] = time.time() - started
    painter = pipeline.bases.painter(row)
    image, stages = next(painter.paint([recipe]))
    result["digest"] = hashlib.sha256(image.tobytes()).hexdigest()[:12]
    result |= {f"stage_{name}": taken for name, taken in stages.items()}
    result["stage_finish"] = median(finish, 9)
    rows = ({} if args.few else {"": {}}) | {f"{name}_": settings for name, settings in FEW.items()}
    for name, settings in rows.items():
        for pictures in args.batches:
            asked = recipe.replace(**settings)
            request(pipeline, asked, pictures)
            times = median(lambda n=pictures, one=asked: request(pipeline, one, n), 9 if name or pictures == 1 else 5)
            result[f"{name}batch_{pictures}"] = times
    result |= {} if args.few else lora_changes(painter, recipe)
    if torch.cuda.is_available():
        result["peak_gigabytes"] = torch.cuda.max_memory_reserved() / 1e9
    for pictures in (1, 8) if args.profile else ():
        profile(lambda n=pictures: request(pipeline, recipe.replace(**FEW["lcm_4"]), n), args.profile, pictures)
    print(json.dumps(result), flush=True)


def profile(act: Callable[[], object], path: Path, pictures: int) -> None:
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        act()
        torch.cuda.synchronize() if torch.cuda.is_available() else None
    table = seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=40, max_name_column_width=90)
    path.with_stem(f"{path.stem}-{pictures}").write_text(table)


if __name__ == "__main__":
    main()
