"""Attacks a batch of 300 rows on two servers: `python -m bench.chaos --minutes 10`. Prints one JSON object.
Fails where something is lost, painted twice, or said that is not true.

The batch is killed and interrupted, runs out of quota, loses folders and files, and finds others damaged; `punks serve`,
its Cog server and its worker are killed and lose their temporary files; a proxy before one of the two spoils and
falsifies answers. Every line that a batch says is compared with what was done to it. Each round ends in peace, and must
leave what an undisturbed run leaves. Tiny random models, on the CPU.
"""

import argparse
import base64
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
from PIL import Image

from punks.batch.manifest import DAMAGED, NAME
from punks.files.checksums import sha256
from punks.service.server import free_port
from tests.support.batches import facts, lines, pictures
from tests.support.cog_server import health, write_bases
from tests.support.fault_proxy import Proxy, running

ROOT = Path(__file__).resolve().parent.parent
SPOILED = b'{"name": 1}'
BAD = ("lady,x", f'"{"abcd, " * 300}",1', "lady,1e10")  # rows that no server can paint
FSYNC = """
import errno, itertools, os
calls, fsync = itertools.count(1), os.fsync
def refuse(number):
    if next(calls) >= int(os.environ["CHAOS_FSYNC"]):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    fsync(number)
if "CHAOS_FSYNC" in os.environ:
    os.fsync = refuse
"""
# what the proxy does, and what a row says that failed because of it
FAULTS = {
    "500": r"an error of the server \(HTTP 500\)",
    "502": r"an error of the server \(HTTP 502\)",
    "truncated": r"the connection broke \(.*\)",
    "lost": r"the connection broke \(.*\)",
    "garbage": "a damaged answer",
    "crashed": "Worker crashed",
    "409": "",
    "429": "",
    "503": "",
    "slow": "",
    "small": "a picture of 1x1 px, mode RGB, not 24x24",
    "gray": "a picture of 24x24 px, mode L, not 24x24",
    "torn": "a damaged picture",
    "sure": "a damaged answer",
    "seed": r"the server painted another recipe: seed \d+, not \d+",
    "null": "",
}


class Liar(Proxy):
    """Spoils or falsifies some answers, and notes which."""

    draw: random.Random
    rate: list[float]
    done: list[tuple[str, str]]  # path and fault
    fault = ""

    def handle(self) -> None:
        with suppress(OSError):  # the batch was killed
            super().handle()

    def do_GET(self) -> None:  # noqa: N802
        with self._absent():
            super().do_GET()

    def do_PUT(self) -> None:  # noqa: N802
        self.fault = (
            self.draw.choice([name for name in FAULTS if name != "502"]) if self.draw.random() < self.rate[0] else ""
        )
        self.faults[:] = [self.fault]
        self.done.append((self.path, self.fault))
        with self._absent():
            super().do_PUT()

    def _hand_on(self, body: bytes) -> httpx2.Response:
        answer = super()._hand_on(body)
        with suppress(ValueError, KeyError, TypeError):
            content = answer.json()
            _falsify(content["output"], content, self.fault)
            return httpx2.Response(answer.status_code, json=content)
        return answer

    @contextmanager
    def _absent(self) -> Generator[None]:
        """As a proxy does whose server is away or ends in the middle."""
        try:
            yield
        except httpx2.TransportError:
            self.done.append((self.path, "502"))
            self._send(502, b"bad gateway")


def _falsify(output: dict[str, Any], answer: dict[str, Any], fault: str) -> None:
    match fault:
        case "small":
            output["pixels"] = [_png(Image.new("RGB", (1, 1)))]
        case "gray":
            output["pixels"] = [_png(Image.new("L", (24, 24)))]
        case "torn":
            output["pixels"] = [output["pixels"][0][:-400]]
        case "sure":
            output["confidences"] = ["NaN"]
        case "seed":
            recipe = json.loads(output["recipes"][0])
            output["recipes"] = [json.dumps(recipe | {"seed": recipe["seed"] + 1})]
        case "null":
            answer["metrics"] = None
        case _:
            pass


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


class Server:
    """`punks serve` under a supervisor that starts it again; `hits` is what was done to it."""

    def __init__(self, folder: Path, weights: Path, threads: int) -> None:
        self.folder, self.hits = folder, list[str]()
        self.port, self._ending = free_port(), threading.Event()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = os.environ | {"PUNKS_WEIGHTS": str(weights), "OMP_NUM_THREADS": str(threads)}
        self._environment |= {"TMPDIR": str(folder / "tmp")}
        (folder / "tmp").mkdir(parents=True)
        self._thread = threading.Thread(target=self._supervise)
        self._thread.start()

    def _supervise(self) -> None:
        command = [sys.executable, "-m", "punks", "serve", "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            while not self._ending.is_set():
                self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
                self.process.wait()
                self._ending.wait(1)

    def hit(self, draw: random.Random) -> None:
        """Does something bad to it."""
        self.hits.append(kind := draw.choice(["program", "server", "worker", "temporary"]))
        with suppress(psutil.NoSuchProcess, IndexError):
            family = psutil.Process(self.process.pid).children(recursive=True)
            match kind:
                case "program":
                    self.process.kill()
                case "temporary":
                    for path in [*self.folder.glob("tmp/punks-*/tmp/punks-*")]:
                        shutil.rmtree(path, ignore_errors=True)
                case _:
                    worker = [one for one in family if any("_run_worker" in word for word in one.cmdline())]
                    (worker if kind == "worker" else [one for one in family if one not in worker])[0].kill()

    def close(self) -> None:
        self._ending.set()
        self.process.terminate()
        self._thread.join()


class Attack:
    """One batch in a folder, run again and again."""

    def __init__(self, root: Path, jobs: Path, count: int, servers: list[Server], liar: type[Liar], url: str) -> None:
        self.root, self.jobs, self.count, self.servers, self.liar, self.url = root, jobs, count, servers, liar, url
        self.folder, self.draw, self.seen = root / "out", liar.draw, Counter[str]()

    def whole(self, *, verify: bool) -> set[int]:
        """Rows that the manifest calls done and whose files are whole."""
        if not (self.folder / NAME).exists():
            return set()
        return {
            entry["job"]
            for entry in facts(self.folder)
            if entry["status"] == "done"
            and all(
                (path := self.folder / name).is_file()
                and path.stat().st_size == entry["bytes"][kind]
                and not (verify and sha256(path) != entry["sha256"][kind])
                for kind, name in entry["files"].items()
            )
        }

    def lines(self) -> Counter[bytes]:
        """The whole lines of the manifest."""
        path = self.folder / NAME
        return Counter(path.read_bytes().split(b"\n")[:-1]) if path.exists() else Counter()

    def damage(self) -> None:
        """Spoils some of what lies in the folder."""
        files = sorted(pictures(self.folder))
        kind = self.draw.choice(["bits", "cut", "lost", "folder", "all", "lines", "nul", "tail", "part", "nothing"])
        self.seen[f"damage: {kind}"] += 1
        manifest = self.folder / NAME
        if kind in ("bits", "cut", "lost"):
            for name in self.draw.sample(files, len(files) // 4):
                content = bytearray((self.folder / name).read_bytes())
                content[len(content) // 2] ^= 0xFF
                (self.folder / name).write_bytes(content[: len(content) // 2] if kind == "cut" else content)
                if kind == "lost":
                    (self.folder / name).unlink()
        elif kind == "folder":
            shutil.rmtree(self.folder / self.draw.choice(["images", "pixels"]), ignore_errors=True)
        elif kind == "all":
            shutil.rmtree(self.folder, ignore_errors=True)
        elif kind == "part" and (self.folder / "images").is_dir():
            (self.folder / "images/.000001.png.0badcafe.part").write_bytes(b"left")
        elif manifest.exists() and kind in ("lines", "nul", "tail"):
            every = manifest.read_bytes().splitlines(keepends=True)
            every = [line for line in every if line.endswith(b"\n")]
            spoiled = {"lines": SPOILED + b"\n", "nul": bytes(99) + b"\n", "tail": b'{"name": "00'}[kind]
            where = self.draw.sample(range(len(every)), min(3, len(every))) if kind == "lines" else []
            every = [spoiled if at in where else line for at, line in enumerate(every)]
            manifest.write_bytes(b"".join(every) + (b"" if kind == "lines" else spoiled))

    def run(self, attack: str, *, verify: bool = False) -> int:
        """Runs the batch once while something is done to it; checks what it says. -> its exit code."""
        self.seen[f"attack: {attack}"] += 1
        before, old, asked = self.whole(verify=verify), self.lines(), len(self.liar.done)
        hits = [len(server.hits) for server in self.servers]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(self.root / "site"), str(ROOT)])}
        room = 10**9
        if attack == "quota":
            room = max((self.folder / NAME).stat().st_size if old else 0, 30_000) + self.draw.randrange(30_000)
        elif attack == "fsync":
            environment["CHAOS_FSYNC"] = str(self.draw.randrange(1, 120))
        command = [sys.executable, "-m", "punks", "batch", self.jobs, "-o", self.folder, "--on", self.url]
        command += ["--steps", "1", "--guidance", "1", "--scheduler", "ddim", "--size", "48"]
        command += ["--verify"] if verify else []
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: _limit(room),
        )
        stop = threading.Event()
        attacker = threading.Thread(target=self._strike, args=(attack, process, stop), daemon=True)
        attacker.start()
        out = process.communicate()[0]
        stop.set()
        attacker.join()
        struck = {hit for server, first in zip(self.servers, hits, strict=True) for hit in server.hits[first:]}
        self._check(out.splitlines(), process.returncode, attack, before, old, self.liar.done[asked:], struck)
        return process.returncode

    def _strike(self, attack: str, process: "subprocess.Popen[str]", stop: threading.Event) -> None:
        end = lines(self.folder) + self.draw.randrange(1, 40)
        while attack in ("kill", "interrupt", "folder") and lines(self.folder) < end and not stop.wait(0.02):
            pass
        match attack:
            case "kill":
                process.kill()
            case "interrupt":
                process.send_signal(self.draw.choice([signal.SIGINT, signal.SIGTERM]))
            case "folder":
                shutil.rmtree(self.folder / self.draw.choice(["images", "pixels"]), ignore_errors=True)
            case "servers":
                for _ in range(4):  # so that there is time to come back
                    if not stop.wait(self.draw.uniform(1, 15)):
                        self.draw.choice(self.servers).hit(self.draw)
            case _:
                pass

    def _check(
        self,
        said: list[str],
        code: int,
        attack: str,
        before: set[int],
        old: Counter[bytes],
        done: list[tuple[str, str]],
        struck: set[str],
    ) -> None:
        new = [json.loads(line) for line in (self.lines() - old).elements()]
        painted = Counter(entry["job"] for entry in new if entry["status"] == "done")
        failed = {entry["job"]: entry["error"] for entry in new if entry["status"] == "failed"}
        faults, broken = Counter(fault for _, fault in done), struck - {"temporary"}

        def true(what: object, line: str) -> None:
            if not what:
                raise SystemExit(f"not true in a run with {attack}, {struck}, {faults}: {line}\n" + "\n".join(said))

        def explained(row: int, error: str) -> bool:
            if row > self.count - len(BAD) and "is not allowed" in error:
                return True
            reason = error.removeprefix("given up after 5 tries: ")
            known = any(faults[name] and words and re.fullmatch(words, reason) for name, words in FAULTS.items())
            return failed.get(row) == error and (known or bool(broken))

        true(max(painted.values(), default=0) < 2, "painted twice in one run")
        true(attack == "folder" or not before & set(painted), f"painted again: {sorted(before & set(painted))[:9]}")
        ended = ""
        for line in said:
            match = next((found for words in _SAYINGS if (found := re.fullmatch(words, line))), None)
            if match is None:
                raise SystemExit(f"unexplained in a run with {attack}, {struck}, {faults}: {line}\n" + "\n".join(said))
            self.seen[match.re.pattern] += 1
            kind, rest = _SAYINGS[match.re.pattern], match.groups()
            match kind:
                case "counts":
                    ended, number = "counts", {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", rest[0])}
                    true(number.get("painted", 0) == painted.total(), f"{line}; in fact {painted.total()}")
                    true(sum(number.values()) == self.count, f"{line}; of {self.count}")
                    true(attack == "folder" or number.get("kept", 0) == len(before), f"{line}; in fact {len(before)}")
                    true(code == (1 if number.get("failed") else 0), f"exit {code}: {line}")
                case "row":
                    true(explained(int(rest[0]), rest[1]), line)
                case "interrupted":
                    ended = kind
                    true((attack, code) == ("interrupt", 130), line)
                    true(int(rest[0]) == painted.total(), f"{line}; in fact {painted.total()}")
                case "quota" | "disk":
                    ended = kind
                    true((attack, code) in (("quota", 1), ("fsync", 1)), line)
                case "damaged":
                    true(int(rest[0]) == (count := old[SPOILED] + old[bytes(99)]), f"{line}; in fact {count}")
                    true((self.folder / DAMAGED).exists(), line)
                case "absent" | "gone":
                    ended = kind if code else ""
                    true(broken or self._away, line)
                case "spoiled":
                    ended = kind
                    kept = sum(entry["status"] == "done" for entry in facts(self.folder))
                    true(code == 1 and len(self.whole(verify=True)) < kept, line)
                case "warned":
                    true(any(rest[0] in entry.get("warnings", "") for entry in facts(self.folder)), line)
                case "look":
                    true((self.folder / "index.html").exists() and (self.folder / "sheet.png").exists(), line)
                case _:
                    pass
        true(code == -signal.SIGKILL or ended, f"exit {code} without a reason")
        self._away = bool(broken)

    _away = True  # servers may still be starting


def _limit(size: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


_SAYINGS: dict[str, str] = {
    r"\S+/out: (.*)": "counts",
    r"row (\d+): (.*)": "row",
    r"and \d+ more in \S+manifest\.jsonl": "more",
    r"punks: interrupted after (\d+) punks; run the same command again to go on": "interrupted",
    r"punks: \S+: cannot be written \((?:File too large|Disk quota exceeded)\); run the same .*": "quota",
    r"\S+manifest\.jsonl: (\d+) damaged lines are now in \S+; their punks are painted again": "damaged",
    r"(?:punks: )?\S+: no server answers there.*": "absent",
    r"(?:punks: )?http\S+: .*; (?:restart it, and )?run the same command again to go on.*": "gone",
    r"punks: .*; run the same command with --verify to repaint what is damaged": "spoiled",
    r"\d{6}.*: (\w+: .*)": "warned",
    r"look at it: \S+index\.html, sheet\.png( to \S+)?": "look",
}
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
            assert pictures(attack.folder) == pictures(want), "other pictures than of a run that is left alone"
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
