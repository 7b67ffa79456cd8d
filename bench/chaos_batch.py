"""A batch that is attacked while it runs, and whose every word is compared with what was done to it."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from bench.chaos_servers import FAULTS, Liar, Server
from punks.batch.manifest import DAMAGED, NAME
from punks.files.checksums import sha256
from tests.support import ROOT
from tests.support.batches import facts, lines, pictures

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
