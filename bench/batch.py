"""Long batches: `python -m bench.batch kills|rows|gpu`. Prints one JSON object each; fails where something is lost.

kills   jobs on a tiny model, killed with SIGKILL at random moments and resumed, against an undisturbed run
rows    how soon the first of many rows is painted, and the memory that a run of them takes
gpu     pictures a second by --workers, and how busy the GPU is; random weights of full size, --few paints 4 LCM steps
        (restored: the noise that they paint, and portraits in its place)
"""

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from diffusers import DiffusionPipeline

from bench.pixels_damage import damage
from bench.random_models import build, write_lora
from punks import Painting
from punks.batch.jobs import Job, read_jobs
from punks.batch.manifest import entries
from punks.batch.places.worker import Outcome
from punks.batch.run import run
from tests.support.batches import facts, lines, pictures, start
from training.portraits import draw, sample

PORTRAITS = 64
PROGRAMS = {"noise": "punks", "portraits": "bench.batch_portraits"}
HAIR = ("red", "blue", "green", "black", "purple")


def jobs_file(folder: Path, count: int) -> Path:
    path = folder / "jobs.csv"
    with path.open("w") as file:
        file.write("prompt,seed\n")
        file.writelines(f'"lady, {HAIR[i % 5]} hair, background {i}",{i}\n' for i in range(count))
    return path


def kills(count: int, times: int, seed: int, workers: int) -> dict[str, Any]:
    """The final folder of a run that is killed `times` times equals that of one that is not."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        build(root / "weights/tiny", "sd15")
        pipeline = DiffusionPipeline.from_pretrained(root / "weights/tiny", variant="fp16")
        write_lora(root / "weights/tiny/lora/tiny-000001.safetensors", pipeline, rank=4, alpha=2)
        jobs = jobs_file(root, count)
        began = time.perf_counter()
        process = start(jobs, "--workers", str(workers), root / "one", weights=root / "weights")
        process.communicate()
        seconds = time.perf_counter() - began
        moments: list[int] = []
        # the lines of the manifest at which it is killed, spread over the run
        for at in sorted(chance.sample(range(1, count), times)):
            process = start(jobs, "--workers", str(workers), root / "two", weights=root / "weights")
            while lines(root / "two") < at and process.poll() is None:
                time.sleep(0.005)
            time.sleep(chance.random() / 4)
            process.kill()
            process.communicate()
            moments.append(lines(root / "two"))
            print(f"killed at {moments[-1]} of {count}", file=sys.stderr, flush=True)
        process = start(jobs, "--workers", str(workers), root / "two", weights=root / "weights")
        _, said = process.communicate()
        assert process.returncode == 0, said
        assert pictures(root / "one") == pictures(root / "two"), "the folders differ"
        assert facts(root / "one") == facts(root / "two"), "the manifests differ"
        painted_twice = lines(root / "two") - count
    return {
        "jobs": count,
        "killed_at": moments,
        "undisturbed_s": round(seconds, 1),
        "lines_more_than_jobs": painted_twice,
        "equal": True,
    }


class Still:
    """A Place that has one picture for all jobs: what is measured is everything else."""

    paintings = False

    def __init__(self) -> None:
        from PIL import Image

        self.painting = Painting(image=Image.fromarray(np.zeros((24, 24, 3), np.uint8)))
        self.first = 0.0

    def paint(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        for job in jobs:
            self.first = self.first or time.perf_counter()
            painting = replace(self.painting, recipe=job.recipe, image=None, restored=self.painting.cells)
            yield Outcome(job=job, punk=painting.finish(job.finish))

    def close(self) -> None:
        pass


def rows(count: int) -> dict[str, Any]:
    """Seconds to the first painting, of a fresh run and of one that is resumed, and the memory in megabytes."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        path = jobs_file(root, count)
        result: dict[str, Any] = {"rows": count}
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        for step in ("fresh", "resumed"):
            began = time.perf_counter()
            jobs = read_jobs(path, {"variant": "demo", "output_size": 24})
            total = len(jobs)
            with closing(Still()) as place:
                tally = run(jobs, root / "out", place)
            if step == "fresh":
                result["to_first_s"] = round(place.first - began, 2)
                assert tally.done == total
            else:
                assert tally.kept == total
            result[f"{step}_s"] = round(time.perf_counter() - began, 1)
            result[f"{step}_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before)
        began = time.perf_counter()
        assert sum(1 for _ in entries(root / "out")) == total
        result["entries_s"] = round(time.perf_counter() - began, 1)
        result["manifest_mb"] = round((root / "out/manifest.jsonl").stat().st_size / 1e6)
    return result


def gpu(count: int, workers: list[int], *, few: bool) -> dict[str, Any]:
    """Pictures a second and how busy the GPUs are, by the number of processes; and whether the pictures are equal.

    Of the noise that random weights paint, and of portraits, which are restored in less time, in its place.
    """
    import torch

    from bench.gpu_rows import FEW, make

    settings = FEW["lcm_4"] if few else {}
    result: dict[str, Any] = {"device": torch.cuda.get_device_name(), "jobs": count, "settings": settings}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        # under the name that every process knows
        make("sd15", root / "weights", full=True)
        lora = root / "weights/sd15/lora"
        (lora / "random-000001.safetensors").rename(lora / "bespoke_punks_SD15_PERFECT-000007.safetensors")
        (root / "portraits").mkdir()
        for seed in range(PORTRAITS):
            rng = np.random.default_rng(seed)
            damage("real", draw(sample(rng), rng).cells, seed).save(root / f"portraits/{seed}.png")
        jobs = jobs_file(root, count)
        options = [str(word) for field, value in settings.items() for word in (f"--{field.replace('_', '-')}", value)]
        for number, (what, program) in itertools.product(workers, PROGRAMS.items()):
            out = root / f"{what}_{number}"
            command = [sys.executable, "-m", program, "batch", jobs, "--workers", number, *options, "-o", out]
            result[out.name] = _painted(list(map(str, command)), root, out, count, 16 * number)
            print(json.dumps(result), file=sys.stderr, flush=True)
        noise = [pictures(root / f"noise_{number}") for number in workers]
        result["equal"] = all(one == noise[0] for one in noise)
    return result


def _painted(command: list[str], root: Path, out: Path, count: int, loaded: int) -> dict[str, float]:
    """How fast a command paints `count` punks into a folder once `loaded` are there: loading is no part of a long run.

    The model is in `weights`, the portraits in `portraits` of the root.
    """
    environment = {**os.environ, "PUNKS_WEIGHTS": str(root / "weights"), "BENCH_PORTRAITS": str(root / "portraits")}
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    watch = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen(command, env=environment)
    while lines(out) < loaded and process.poll() is None:
        time.sleep(0.05)
    first, began = lines(out), time.perf_counter()
    while (done := lines(out)) < count and process.poll() is None:
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    watch.terminate()
    if process.wait() != 0:
        raise SystemExit(f"not all were painted: {[entry.get('error') for entry in entries(out)]}")
    # the last line may be cut off
    busy = [int(line) for line in watch.communicate()[0].splitlines()[:-1]]
    busy = busy[next(i for i, use in enumerate(busy) if use > 50) :]
    return {
        "seconds": round(seconds, 1),
        "pictures_a_second": round((done - first) / seconds, 2),
        "busy_percent": round(statistics.mean(busy), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["kills", "rows", "gpu"])
    parser.add_argument("--count", type=int, help="of jobs; by default 1000, 100000, 400")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="processes; gpu takes several numbers")
    parser.add_argument("--few", action="store_true", help="4 steps of LCM without guidance")
    parser.add_argument("--seed", type=int, default=1, help="repeats the moments of the kills")
    args = parser.parse_args()
    match args.what:
        case "kills":
            result = kills(args.count or 1000, args.kills, args.seed, args.workers[0])
        case "rows":
            result = rows(args.count or 100_000)
        case _:
            result = gpu(args.count or 400, args.workers, few=args.few)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
