"""The service for hours in minutes: random requests, then many predictions, with tiny random bases on the CPU.

Prints one JSON object; fails where the server gives a 5xx, hangs, loses its worker, leaves a file or grows.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.cog_server import start, write_bases
from tests.fuzzing import fuzz, strays

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="random ones")
    parser.add_argument("--predictions", type=int, default=500, help="plain ones, during which memory is watched")
    parser.add_argument("--switches", type=int, default=50, help="changes of the base, during which memory is watched")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_bases(root / "weights")
        (root / "server").mkdir()
        # room for one base only, so that every switch drops the other
        with start(root / "weights", root / "server", PUNKS_VRAM_GB="0.001") as cog:
            before = strays(set(), ROOT / "punks", ROOT / "script")
            began = time.perf_counter()
            counts = fuzz(cog, args.requests, args.seed)
            seconds = time.perf_counter() - began
            assert not {p for p in strays(before, ROOT / "punks", ROOT / "script") if p.suffix != ".pyc"}
            worker = cog.worker()

            def watch(count: int, switch: bool) -> tuple[list[float], list[float]]:
                sizes: list[float] = []
                took: list[float] = []
                for seed in range(count):
                    start = time.perf_counter()
                    cog.output(seed=seed, **({"variant": ("sdxl-fixed", "sd15-perfect")[seed % 2]} if switch else {}))
                    took.append(time.perf_counter() - start)
                    sizes.append(worker.memory_info().rss / 1e6)
                return sizes, took

            sizes, took = watch(args.predictions, switch=False)
            switched, _ = watch(args.switches, switch=True)
            assert worker == cog.worker()
            result = {
                "seed": args.seed,
                "cores": os.cpu_count(),
                "answers": dict(counts),
                "requests_per_second": round(args.requests / seconds, 2),
                "prediction_median_s": round(statistics.median(took), 3),
                "worker_mb": quarters(sizes),
                "worker_mb_switching": quarters(switched),
                "descriptors": worker.num_fds(),
            }
    print(json.dumps(result, indent=2))
    for sizes in (result["worker_mb"], result["worker_mb_switching"]):
        assert sizes[-1] - sizes[1] < 40, "the worker grows"


def quarters(sizes: list[float]) -> list[float]:
    """The least resident size in each quarter of a run: the allocator's ups and downs are left out."""
    step = max(1, len(sizes) // 4)
    return [round(min(sizes[i : i + step])) for i in range(0, 4 * step, step)]


if __name__ == "__main__":
    main()
