"""Studios in processes of their own, with the variant `tiny` beside the demo."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT
from tests.support.batches import PATIENCE, TINY


@dataclass(kw_only=True)
class Served:
    """A studio that runs: where, and on which folder."""

    process: "subprocess.Popen[str]"
    url: str
    folder: Path

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Sends a signal. -> the exit code, and what it said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


def start(folder: Path, weights: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(TINY), "studio", str(folder), "--no-browser", *options]
    environment = {**os.environ, "PUNKS_WEIGHTS": str(weights), "PUNKS_DEVICE": "cpu", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ready(process: "subprocess.Popen[str]", folder: Path) -> Served:
    assert process.stdout
    line = process.stdout.readline()
    address = re.search(r"http://\S+", line)
    assert address, line + process.communicate()[1]
    return Served(process=process, url=address[0], folder=folder)


@contextmanager
def studio(folder: Path, weights: Path, *options: str) -> Iterator[Served]:
    """A studio that ends with the block, if the block has not ended it."""
    served = ready(start(folder, weights, *options), folder)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.stop()
