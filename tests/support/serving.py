"""`punks serve` as the program that people start."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil

from punks.service.server import free_port
from tests.support import ROOT
from tests.support.cog_server import PATIENCE, QUICK, Cog, until


class Served(Cog):
    """The running program; its log is what it wrote to stderr."""

    def ready(self) -> list[str]:
        """The two lines it prints when it can paint."""
        assert self.process.stdout
        return [self.process.stdout.readline().decode() for _ in range(2)]

    def post(self, body: Any = None, /, **inputs: Any) -> httpx2.Response:
        """One prediction of QUICK with these inputs, or of another body, asked for once."""
        return self.http.post("/predictions", json=body or {"input": QUICK | inputs})

    def children(self) -> list[psutil.Process]:
        """Cog's server and its worker."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> psutil.Process:
        return until(lambda: [one for one in self.children() if _works(one)])[0]


def _works(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # it may end in between
        return any("_run_worker" in word for word in process.cmdline())
    return False


@contextmanager
def serving(weights: Path, folder: Path, *options: str, meanwhile: Callable[[str], object] = str) -> Generator[Served]:
    """Starts the program with its temporary files and log in `folder`; kills it at the end if it still runs."""
    (folder / "tmp").mkdir()
    port = str(free_port())
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "PUNKS_WEIGHTS": str(weights),
        "PUNKS_DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder / "tmp"),
    }
    command = [sys.executable, "-m", "punks", "serve", "--port", port, *options]
    with (
        (folder / "log").open("w") as log,
        httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            meanwhile(url)
            yield Served(process, http, folder, {})
        finally:
            process.kill()
