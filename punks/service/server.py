"""Cog's HTTP server as a child process: started with its schema, ended with everything it started."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from punks.errors import PunkError
from punks.files.weights import PREDICT
from punks.variants import DEFAULT

_PACKAGES = Path(__file__).resolve().parents[2]  # where the server and its worker import punks from
_GRACE = 10.0  # seconds
# Cog's server with a leash: its standard input ends when this process does, however it was killed, and so do the server
# and its worker, which are a process group of their own
_LEASHED = """
import os, runpy, signal, threading
def leash():
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=leash, daemon=True).start()
runpy.run_module("cog.server.http", run_name="__main__")
"""


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
    """Runs the server in an empty folder, which gets its schema; `extra` is added to its environment.

    On leaving, it has ten seconds to finish the running prediction; then it and its worker are killed.
    """
    environment = {
        **os.environ,
        # the server starts its worker as `python`
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PACKAGES), os.environ.get("PYTHONPATH")])),
        "COG_PREDICT_TYPE_STUB": f"{PREDICT}:Predictor",
        "PORT": str(port),
        "PUNKS_VARIANT": variant,
        "TMPDIR": str(folder / "tmp"),  # what a killed worker leaves goes with the folder
        "HF_HUB_OFFLINE": "1",
        **(extra or {}),
    }
    describe = [sys.executable, "-m", "punks.service.schema", str(PREDICT)]
    schema = subprocess.run(describe, env=environment, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
    (folder / ".cog").mkdir()
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / ".cog/openapi_schema.json").write_bytes(schema)
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _LEASHED, "--host", host, *options],
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
    )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()


def listener(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises PunkError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not 0 <= port <= 65535:
        raise PunkError(f"cannot listen on {host}, port {port} (ports go from 0 to 65535); pass another --port")
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror or error).partition(" (while")[0]
        raise PunkError(f"cannot listen on {host}, port {port} ({why}); pass another --host or --port") from error


def free_port(host: str = "127.0.0.1") -> int:
    """A port on which nothing listens."""
    with listener(host) as found:
        return found.getsockname()[1]


def hidden_host() -> str:
    """A loopback address that web pages cannot find by scanning ports, where the system has more than one (Linux)."""
    host = "127." + ".".join(str(random.SystemRandom().randint(1, 254)) for _ in range(3))
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return "127.0.0.1"
    return host
