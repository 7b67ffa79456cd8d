"""The service for hours in minutes, with tiny random bases on the CPU: random requests, then many predictions.

The memory of the worker is printed by quarters: of plain predictions, of some with failures and cancels among them, and
of changes of the base. Prints one JSON object; fails where the server gives a 5xx, hangs, loses its worker, leaves a
file or grows, or paints something else after a cancel. `--full` serves random bases of full size on this machine's GPU
within 12 GB.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.cog_server import FAST, QUICK, Cog, start, until, write_bases
from tests.support.fuzzing import fuzz, strays

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="random ones")
    parser.add_argument("--predictions", type=int, default=1000, help="plain ones, during which memory is watched")
    parser.add_argument("--mixed", type=int, default=1000, help="with failures and cancels, likewise")
    parser.add_argument("--switches", type=int, default=50, help="changes of the base, during which memory is watched")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a run")
    parser.add_argument("--full", action="store_true", help="bases of full size on the GPU, a picture as users ask it")
    args = parser.parse_args()
    place = {"PUNKS_DEVICE": "cuda", "PUNKS_VRAM_GB": "12"} if args.full else {"PUNKS_VRAM_GB": "0.001"}
    slow = {"num_inference_steps": 30, "guidance_scale": 7.5, "scheduler": "default"} if args.full else FAST
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_bases(root / "weights", full=args.full)
        (root / "server").mkdir()
        setting_up = time.perf_counter()
        # room to paint with one base only, so that every switch drops the other
        with start(root / "weights", root / "server", **place) as cog:
            setup = time.perf_counter() - setting_up
            assert cog.state["status"] == "READY", cog.log
            canceling = cancel(cog)
            before = strays(set(), ROOT / "punks", ROOT / "script")
            began = time.perf_counter()
            counts = fuzz(cog, args.requests, args.seed)
            seconds = time.perf_counter() - began
            assert not {p for p in strays(before, ROOT / "punks", ROOT / "script") if p.suffix != ".pyc"}
            worker = cog.worker()

            on_gpu: list[float] = []

            def watch(count: int, predict: Callable[[int], object]) -> tuple[list[float], list[float]]:
                sizes: list[float] = []
                took: list[float] = []
                for number in range(count):
                    start = time.perf_counter()
                    predict(number)
                    took.append(time.perf_counter() - start)
                    sizes.append(worker.memory_info().rss / 1e6)
                return sizes, took

            def switched(number: int) -> None:
                cog.output(seed=number, variant=("sdxl-fixed", "sd15-perfect")[number % 2])
                if args.full and number % 2:
                    on_gpu.append(gpu_mb())

            draw = random.Random(args.seed)
            plain, took = watch(args.predictions, lambda number: cog.output(seed=number, **slow))
            usual = cog.output()
            mixed, _ = watch(args.mixed, lambda number: one_of_many(cog, number, draw))
            assert cog.output() == usual, "another picture after failures and cancels"
            switching, _ = watch(args.switches, switched)
            assert worker == cog.worker()
            result = {
                "seed": args.seed,
                "cores": os.cpu_count(),
                "setup_s": round(setup, 1),
                "cancel_s": round(canceling, 3),
                "answers": dict(counts),
                "requests_per_second": round(args.requests / seconds, 2),
                "prediction_median_s": round(statistics.median(took), 3),
                "worker_mb": quarters(plain),
                "worker_mb_mixed": quarters(mixed),
                "worker_mb_switching": quarters(switching),
                "gpu_mb_switching": quarters(on_gpu) if on_gpu else [],
                "descriptors": worker.num_fds(),
            }
    print(json.dumps(result, indent=2))
    for sizes in (value for name, value in result.items() if "_mb" in name):
        assert not sizes or sizes[-1] - sizes[1] < (400 if args.full else 40), "the worker grows"


def one_of_many(cog: Cog, number: int, draw: random.Random) -> None:
    """A prediction that fails, one that is canceled at a random moment, or one that succeeds, by turns."""
    match number % 5:
        case 0:
            wrong = draw.choice([{"background": "nowhere"}, {"variant": "sdxl-current"}, {"image": "data:,x"}])
            assert cog.predict(**wrong)["status"] == "failed"
        case 1:
            body = {"id": f"mixed-{number}", "input": QUICK | {"num_inference_steps": 100, "num_outputs": 8}}
            cog.ask("POST", "/predictions", json=body, headers={"Prefer": "respond-async"})
            time.sleep(draw.uniform(0, 1))
            cog.http.post(f"/predictions/{body['id']}/cancel").raise_for_status()
            cog.wait_idle()
        case _:
            cog.output(seed=number)


def cancel(cog: Cog) -> float:
    """Seconds from a cancel in the middle of denoising until the server is ready again; checks what it paints then."""
    usual = cog.output()
    body = {"id": "stop", "input": QUICK | {"num_inference_steps": 100, "num_outputs": 8, "epoch": 10}}
    cog.ask("POST", "/predictions", json=body, headers={"Prefer": "respond-async"})
    until(lambda: " 20/" in cog.log)
    started = time.perf_counter()
    cog.http.post("/predictions/stop/cancel").raise_for_status()
    cog.wait_idle()
    seconds = time.perf_counter() - started
    assert cog.output() == usual, "another picture after a cancel"
    assert cog.health() == "READY"
    return seconds


def gpu_mb() -> float:
    """What this machine's first GPU holds."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0])


def quarters(sizes: list[float]) -> list[float]:
    """The least resident size in each quarter of a run: the allocator's ups and downs are left out."""
    step = max(1, len(sizes) // 4)
    return [round(min(sizes[i : i + step])) for i in range(0, 4 * step, step)]


if __name__ == "__main__":
    main()
