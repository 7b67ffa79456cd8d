"""What the attack on a batch does to its servers, and to what they answer."""

import base64
import io
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
from PIL import Image

from punks.service.server import free_port
from tests.support import ROOT
from tests.support.fault_proxy import Proxy

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
