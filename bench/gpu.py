"""What a GPU does with a model of full size: `python -m bench.gpu [--family sd15] [--json FILE]`.

Random weights are honest here: speed does not depend on their values. Each engine runs in a process of its own, stock
diffusers beside them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.gpu_rows import FEW, make, row_of

ENGINES = ("eager", "graph")


def child(module: str, *args: str, engine: str = "") -> dict[str, Any]:
    environment = {**os.environ, "PUNKS_ENGINE": engine, "BENCH_STARTED": str(time.time())}
    command = [sys.executable, "-m", module, *args]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(module, engine, output.splitlines()[-1], file=sys.stderr, flush=True)
    return json.loads(output.splitlines()[-1])


def measure(family: str, engines: list[str], steps: int, batches: list[int], few: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {"family": family, "stock": child("bench.gpu_stock", family, "--steps", str(steps), *few)}
    for engine in engines:
        sizes = [str(n) for n in batches]
        arguments = [family, "--steps", str(steps), *few, "--batches", *sizes]
        result[engine] = child("bench.gpu_engine", *arguments, engine=engine)
    return result


def table(result: dict[str, Any]) -> str:
    lines = many_steps(result) if "fused" in result["stock"] else [result["family"]]
    for name, settings in FEW.items():
        for size in (1, 8):
            key = f"{name}_batch_{size}"
            each = ", ".join(
                f"{who} {result[who][key] / size:.4f} s" for who in ("stock", *ENGINES) if key in result.get(who, {})
            )
            lines.append(
                f"{settings['num_inference_steps']} steps of {settings['scheduler']}, {size} at once, each: "
                f"floor {floor(result['stock'], f'{name}_'):.4f} s, {each}"
            )
    return "\n".join(lines)


def floor(stock: dict[str, Any], name: str) -> float:
    """Seconds that the arithmetic of a picture takes at the rate of large matrix products."""
    rate = stock["teraflop_a_second"]
    return stock[f"{name}teraflop"] / rate if rate else float("nan")


def many_steps(result: dict[str, Any]) -> list[str]:
    stock = result["stock"]
    lines = [
        f"{result['family']}: {stock['teraflop']:.1f} TFLOP a picture, floor {floor(stock, ''):.3f} s "
        f"at {stock['teraflop_a_second']:.0f} TFLOP/s",
        f"stock diffusers: unfused {stock['unfused']:.3f} s, fused {stock['fused']:.3f} s, "
        f"8 fused {stock['fused_8'] / 8:.3f} s a picture",
        "engine   picture  x fused  x unfused  of 8, each   ready  scale / epoch change  GB",
    ]
    for engine in ENGINES:
        if (one := result.get(engine)) is not None:
            each = one["batch_8"] / 8 if "batch_8" in one else float("nan")
            lines.append(
                f"{engine:8} {one['batch_1']:6.3f} s {stock['fused'] / one['batch_1']:7.1f} "
                f"{stock['unfused'] / one['batch_1']:10.1f} {each:9.3f} s {one['ready']:7.1f} s "
                f"{one['scale_change'] * 1000:6.0f} / {one['epoch_change'] * 1000:.0f} ms "
                f"{one.get('peak_gigabytes', float('nan')):12.1f}"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", choices=["sd15", "sdxl"], action="append")
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--few", action="store_true", help="leave the rows of many steps out")
    parser.add_argument("--tiny", action="store_true", help="try the program itself out on a small model")
    parser.add_argument("--json", type=Path, help="also write the results here")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    for family in args.family or ["sd15", "sdxl"]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PUNKS_WEIGHTS"] = folder
            row_of(family)
            make(family, Path(folder), full=not args.tiny)
            engines = args.engine or [*ENGINES]
            few = ["--few"] if args.few else []
            results.append(measure(family, engines, 2 if args.tiny else 30, args.batches, few))
        print(table(results[-1]), flush=True)
        if args.json:
            args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
