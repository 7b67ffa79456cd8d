"""The real Cog server on a free port, with tiny random bases in the place of the real ones, for the contract tests."""

import base64
import io
import json
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from diffusers import DiffusionPipeline
from PIL import Image

from bench.random_models import build, write_lora
from punks.service.server import free_port, server
from punks.variants import VARIANTS

PATIENCE = 120
SERVED = ("sd15-perfect", "sdxl-fixed")
# one pass of the U-Net without guidance
FAST: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 1, "scheduler": "ddim"}
QUICK: dict[str, Any] = {"prompt": "lady, red hair, green eyes", "seed": 1, "output_size": 48, **FAST}


@pytest.fixture(scope="session")
def served_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder whose `sd15` and `sdxl` are tiny; the variants SERVED have their default epoch and the last."""
    folder = tmp_path_factory.mktemp("served weights")
    write_bases(folder)
    return folder


@pytest.fixture(scope="session")
def service(served_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Cog"]:
    """One server for all tests that leave it as it was."""
    with start(served_weights, tmp_path_factory.mktemp("service")) as cog:
        assert cog.state["status"] == "READY", cog.log
        yield cog


def write_bases(folder: Path, *, full: bool = False) -> None:
    """Random bases, tiny or of full size, under the names of the real ones, with two LoRA epochs for each of SERVED."""
    for name in SERVED:
        row = VARIANTS[name]
        base = folder / row.base.name
        build(base, row.base.family, full=full, device="cuda" if full else "cpu")
        pipeline = DiffusionPipeline.from_pretrained(base, variant="fp16")
        for epoch in (row.epoch, row.epochs):
            write_lora(base / "lora" / row.lora_file(epoch), pipeline, seed=epoch)


class Cog:
    """A running server: `state` is its health when setup ended."""

    def __init__(
        self, process: subprocess.Popen[bytes], http: httpx2.Client, folder: Path, state: dict[str, Any]
    ) -> None:
        self.process, self.http, self.state = process, http, state
        self.url = str(http.base_url).rstrip("/")
        self.folder, self.temporary = folder, folder / "tmp"
        self._log = folder / "log"

    @property
    def log(self) -> str:
        """All that the server and its worker wrote."""
        return self._log.read_text()

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request; asks again while the server is at capacity, as every client of Cog must."""
        end = time.monotonic() + PATIENCE
        while (response := self.http.request(method, path, **options)).status_code == 409:
            assert time.monotonic() < end, "at capacity for too long"
            time.sleep(0.05)
        return response

    def predict(self, **inputs: Any) -> dict[str, Any]:
        """The answer to a prediction of QUICK with these inputs."""
        response = self.ask("POST", "/predictions", json={"input": QUICK | inputs})
        assert response.status_code == 200, response.text
        return response.json()

    def output(self, **inputs: Any) -> dict[str, Any]:
        """The output of a prediction, which has to succeed."""
        answer = self.predict(**inputs)
        assert answer["status"] == "succeeded", answer
        return answer["output"]

    def health(self) -> str:
        return health(self.url)["status"]

    def wait_idle(self) -> None:
        """Until nothing runs."""
        until(lambda: self.health() == "READY")

    def worker(self) -> psutil.Process:
        """The process that paints."""
        (child,) = psutil.Process(self.process.pid).children()
        return child


@contextmanager
def start(
    weights: Path, folder: Path, *options: str, variant: str = "sd15-perfect", **environment: str
) -> Generator[Cog]:
    """A server in an empty folder, when its setup has ended one way or the other."""
    (folder / "run").mkdir()
    (folder / "tmp").mkdir()
    url = f"http://127.0.0.1:{(port := free_port())}"
    extra = {
        "PUNKS_WEIGHTS": str(weights),
        "PUNKS_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",  # with one arena a thread the resident size goes up and down by 90 MB
        "TMPDIR": str(folder / "tmp"),
        **environment,
    }
    with (
        (folder / "log").open("wb") as log,
        server(folder / "run", port, variant=variant, options=options, extra=extra, log=log) as process,
        httpx2.Client(base_url=url, timeout=PATIENCE) as http,
    ):
        yield Cog(process, http, folder, wait(process, url))


def health(url: str) -> dict[str, Any]:
    """The answer of `/health-check`; empty while nothing listens."""
    try:
        return httpx2.get(f"{url}/health-check", timeout=PATIENCE, trust_env=False).json()
    except httpx2.TransportError:
        return {}


def wait(process: subprocess.Popen[bytes], url: str) -> dict[str, Any]:
    """The health when setup has ended, well or badly; empty if the server ended instead."""
    while process.poll() is None:
        state = health(url)
        if state.get("status", "STARTING") not in ("STARTING", "UNKNOWN"):
            return state
        time.sleep(0.1)
    return {}


def until(condition: Callable[[], Any]) -> Any:
    """What the condition returns as soon as that is true."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)
    return found


def picture(uri: str) -> Image.Image:
    """The picture inside a data: URL."""
    return Image.open(io.BytesIO(file_bytes(uri)))


def file_bytes(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def data_uri(image: Image.Image, kind: str = "png") -> str:
    """The picture as a client uploads it."""
    file = io.BytesIO()
    image.save(file, format=kind)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


@dataclass
class Receiver:
    """A web server that records what it gets: `bodies` of JSON requests in order, `files` by path; serves `pages`."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def receiver() -> Generator[Receiver]:
    """Runs a Receiver on a free port."""
    got = Receiver()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.bodies.append(json.loads(self._body()))

        def do_PUT(self) -> None:
            got.files[self.path] = self._body()

        def _body(self) -> bytes:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            return body

        def do_GET(self) -> None:
            page = got.pages.get(self.path)
            self.send_response(200 if page is not None else 404)
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as web:
        got.url = f"http://127.0.0.1:{web.server_port}"
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        yield got
        web.shutdown()
