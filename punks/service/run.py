"""`punks serve`: Cog's server behind the proxy, watched until it is stopped or cannot go on."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from punks.errors import PunkError
from punks.service.proxy import Proxy
from punks.service.server import free_port, hidden_host, server

_QUIET = {"LOG_FORMAT": "console", "NO_COLOR": "1", "RUST_LOG": "coglet=warn,coglet::predictor=error,coglet::user=info"}
_STRIKES = 3  # unhealthy answers in a row; a worker that is merely slow to answer gets ten seconds for each


def serve(
    folder: Path,
    listener: socket.socket,
    variant: str,
    *,
    host: str,
    origins: Collection[str] = (),
    webhooks: bool = False,
    verbose: bool = False,
    ready: Callable[[], object],
    say: Callable[[str], object],
) -> None:
    """Serves a variant until a signal arrives, with its files in an empty folder; calls `ready` once it is loaded.

    Raises PunkError with the reason if it cannot start, or if its worker ends or stays unhealthy.
    """
    own = verbose or not {"RUST_LOG", "COG_LOG_LEVEL"}.isdisjoint(os.environ)
    hidden, port = (address := hidden_host()), free_port(address)
    target = f"http://{hidden}:{port}"
    with server(folder, port, host=hidden, variant=variant, extra={} if own else _QUIET) as process:
        schema = json.loads((folder / ".cog/openapi_schema.json").read_bytes())
        names = schema["components"]["schemas"]["Input"]["properties"]
        proxy = Proxy(target, names, host=host, origins=origins, webhooks=webhooks, say=say)
        config = uvicorn.Config(proxy.app, log_level="error", ws="none", timeout_graceful_shutdown=10)
        raise PunkError(asyncio.run(_run(uvicorn.Server(config), listener, _watch(process, target, ready))))


async def _run(web: uvicorn.Server, listener: socket.socket, watch: Coroutine[Any, Any, str]) -> str:
    """Until the watch returns; a signal ends it with KeyboardInterrupt."""
    watching = asyncio.create_task(watch)
    watching.add_done_callback(lambda _: setattr(web, "should_exit", True))
    try:
        await web.serve([listener])
    finally:
        ended = watching.done()
        watching.cancel()
    if not ended:
        raise KeyboardInterrupt
    return watching.result()


async def _watch(process: subprocess.Popen[bytes], target: str, ready: Callable[[], object]) -> str:
    """The reason why the server cannot go on."""
    served, strikes = False, 0
    async with httpx2.AsyncClient(base_url=target, timeout=15, trust_env=False) as http:
        while process.poll() is None:
            state: dict[str, Any] = {}
            with suppress(httpx2.TransportError):
                state = (await http.get("/health-check")).json()
            status = state.get("status")
            strikes = strikes + 1 if status == "UNHEALTHY" else 0
            if status in ("SETUP_FAILED", "DEFUNCT"):
                return f"setup failed: {state['setup']['logs'].strip().splitlines()[-1]}"
            if strikes == _STRIKES:
                return f"the worker has ended or its device has failed ({state['user_healthcheck_error']})"
            if status in ("READY", "BUSY") and not served:
                served = True
                ready()
            await asyncio.sleep(1 if served else 0.1)
    return f"Cog's server ended by itself (exit code {process.returncode})"
