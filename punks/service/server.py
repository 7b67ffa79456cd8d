"""Cog's HTTP server as a process of this machine: started with its schema, watched, and ended with all it started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import httpx2

from punks.errors import PunkError
from punks.files.weights import PREDICT
from punks.variants import DEFAULT

ROOT = Path(__file__).resolve().parent.parent.parent
_GRACE = 10.0


@contextmanager
def server(
    folder: Path,
    port: int,
    *,
    host: str = "127.0.0.1",
    variant: str = DEFAULT,
    options: tuple[str, ...] = (),
    extra: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
) -> Generator[subprocess.Popen[bytes]]:
    """Runs the server in an empty folder, which takes its schema; `extra` is added to its environment.

    When left, it finishes what it does if that takes no longer than ten seconds, and then all it started has ended.
    """
    environment = {
        **os.environ,
        # the server starts its worker as `python`
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "COG_PREDICT_TYPE_STUB": f"{PREDICT}:Predictor",
        "PORT": str(port),
        "PUNKS_VARIANT": variant,
        "TMPDIR": str(folder / "tmp"),  # where what a worker that is killed leaves goes with the folder
        "HF_HUB_OFFLINE": "1",
        **(extra or {}),
    }
    schema = subprocess.run(
        [sys.executable, "-m", "punks.service.schema"],
        cwd=PREDICT.parent,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    (folder / ".cog").mkdir()
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / ".cog/openapi_schema.json").write_bytes(schema.stdout)
    serve = [sys.executable, "-m", "cog.server.http", "--host", host, *options]
    # a session of its own: one signal reaches the server and the worker that it starts, and nothing else
    process = subprocess.Popen(serve, cwd=folder, env=environment, start_new_session=True, stdout=log, stderr=log)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port(host: str = "127.0.0.1", port: int = 0) -> int:
    """The port, or for 0 one that is free, if a server may listen there. Raises PunkError."""
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: one that just ended is in no way
        try:
            found.bind((host, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            way = "choose others, or leave --host and --port out"
            raise PunkError(f"{host}, port {port}: no server can listen there ({why}); {way}") from error
        return found.getsockname()[1]


def health(url: str) -> dict[str, Any]:
    """What `/health-check` says; empty while nobody listens."""
    try:
        return httpx2.get(f"{url}/health-check", timeout=10).json()
    except httpx2.TransportError:
        return {}


def wait(process: subprocess.Popen[bytes], url: str) -> dict[str, Any]:
    """Waits for the end of setup; the state of health then, empty where the server ended instead."""
    while process.poll() is None:
        state = health(url)
        if state.get("status", "STARTING") not in ("STARTING", "UNKNOWN"):
            return state
        time.sleep(0.1)
    return {}
