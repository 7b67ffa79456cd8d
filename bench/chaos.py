"""Attacks a batch of 300 rows on two servers: `python -m bench.chaos --minutes 10`. Prints one JSON object.
Fails where something is lost, painted twice, or said that is not true.

The batch is killed and interrupted, runs out of quota, loses folders and files, and finds others damaged; the servers,
their Cog servers and workers are killed and lose temporary files; a proxy before one of the two spoils and
falsifies answers. Every line that a batch says is compared with what was done to it. Each round ends in peace, and must
leave what an undisturbed run leaves. Tiny random models, on the CPU.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.chaos_batch import BAD, FSYNC, Attack
from bench.chaos_servers import Liar, Server
from tests.support import ROOT
from tests.support.batches import facts, pictures
from tests.support.cog_server import health, write_bases
from tests.support.fault_proxy import running

ATTACKS = ("kill", "kill", "interrupt", "quota", "fsync", "folder", "servers", "servers", "liar")


def undisturbed(root: Path, jobs: Path) -> Path:
    """The folder of a run on this machine."""
    options = ["--steps", "1", "--guidance", "1", "--scheduler", "ddim", "--size", "48"]
    command = [sys.executable, "-m", "punks", "batch", str(jobs), "-o", str(root / "want"), *options]
    environment = os.environ | {"PUNKS_WEIGHTS": str(root / "weights"), "PUNKS_DEVICE": "cpu"}
    subprocess.run(
        command, cwd=ROOT, env=environment, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return root / "want"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="draws the same attacks; their moments differ"
    )
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        root = Path(name)
        write_bases(root / "weights")
        (root / "site").mkdir()
        (root / "site/sitecustomize.py").write_text(FSYNC)
        jobs, hair = root / "jobs.csv", ("red", "blue", "green", "black", "purple")
        rows = [f'"lady, {hair[i % 5]} hair, background {i}",{i}' for i in range(args.rows - len(BAD))]
        jobs.write_text("\n".join(["prompt,seed", *rows, *BAD, ""]))
        want = undisturbed(root, jobs)
        servers = [Server(root / f"server{i}", root / "weights", threads=i) for i in (1, 2)]
        for server in servers:
            stack.callback(server.close)
        done, rate = list[tuple[str, str]](), [0.0]
        state: dict[str, Any] = {"target": servers[1].url, "faults": [], "asked": [], "draw": draw}
        url, liar = stack.enter_context(running(Liar, **state, rate=rate, done=done))
        attack = Attack(root, jobs, args.rows, servers, liar, f"{servers[0].url},{url}")
        _until_ready(servers)
        rounds, end = 0, time.monotonic() + 60 * args.minutes
        while time.monotonic() < end:
            shutil.rmtree(attack.folder, ignore_errors=True)
            for _ in range(draw.randrange(5, 15)):
                rate[0] = draw.choice([0, 0.2, 0.8])
                kind = draw.choice(ATTACKS)
                rate[0] = 0.5 if kind == "liar" else rate[0]
                attack.damage()
                print(f"{kind} ...", file=sys.stderr, flush=True)
                code = attack.run(kind, verify=draw.random() < 0.3)
                print(f"{kind}: exit {code}, {len(attack.whole(verify=False))} whole", file=sys.stderr, flush=True)
            rate[0] = 0.0
            _until_ready(servers)
            attack.damage()
            code = attack.run("nothing", verify=True)
            assert code == 1, "the bad rows have failed"
            differ = sorted({name for name, _ in pictures(attack.folder).items() ^ pictures(want).items()})
            assert not differ, f"other pictures than of a run that is left alone: {differ[:9]}"
            pairs = zip(facts(attack.folder), facts(want), strict=True)
            assert not (other := [pair for pair in pairs if pair[0] != pair[1]]), other[:2]
            rounds += 1
        result = {"seed": args.seed, "rounds": rounds, "rows": args.rows, **attack.seen}
        result |= {f"server: {hit}": n for hit, n in Counter(hit for one in servers for hit in one.hits).items()}
        result |= {f"answer: {fault}": n for fault, n in Counter(fault for _, fault in done).items() if fault}
    print(json.dumps(result, indent=1))


def _until_ready(servers: list[Server]) -> None:
    while not all(health(server.url).get("status") == "READY" for server in servers):
        time.sleep(0.5)


if __name__ == "__main__":
    main()
