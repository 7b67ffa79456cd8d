"""Batches in processes of their own, with the tiny variants."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from punks.batch.folder import KINDS
from punks.batch.manifest import NAME, entries
from tests.support import ROOT

TINY = Path(__file__).parent / "tiny_punks.py"
PATIENCE = 120


def start(*args: object, weights: Path, device: str = "cpu", **options: Any) -> "subprocess.Popen[str]":
    """`punks batch` without waiting for it; the last argument is the folder. Nothing paints on the device `none`."""
    command = [sys.executable, TINY, "batch", *args[:-1], "-o", args[-1], "--variant", "tiny", "--size", "48"]
    environment = {**os.environ, "PUNKS_WEIGHTS": str(weights), "PUNKS_DEVICE": device}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def batch(*args: object, weights: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    process = start(*args, weights=weights, **options)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.01)
    return found


def lines(folder: Path) -> int:
    return (folder / NAME).read_bytes().count(b"\n") if (folder / NAME).exists() else 0


def pictures(folder: Path) -> dict[str, bytes]:
    """The files of the punks, and what no run should leave."""
    files = [path for path in folder.rglob("*") if path.parent.name in KINDS.values() or path.suffix == ".part"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def facts(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries(folder)]
