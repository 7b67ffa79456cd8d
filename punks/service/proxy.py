"""The front door of `punks serve`: hands predictions to Cog's server and refuses what Cog would let any caller do.

A request must address this machine (against DNS rebinding) and, if a web page sends it, come from an allowed origin.
/shutdown cannot be reached; webhooks are off by default; ids that are paths and unknown inputs are refused.
"""

import difflib
import ipaddress
import json
import re
import secrets
import shutil
import socket
import time
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from punks.request import ALIASES

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_COG_FOLDERS = Path("/tmp/coglet/predictions")  # noqa: S108 - Cog makes one a prediction and never removes it
_LARGEST = 100_000_000  # bytes of a request, as in Cog
_ABSENT = {"error": "the model is still loading, or its server has ended", "status": "failed"}
_LATE = 1.0  # seconds: Cog answers before its slot is free, so a 409 right after an answer says nothing


class RefusedError(Exception):
    """A request that is not handed on: status and `detail` of the answer."""

    def __init__(self, status: int, why: str, *where: str) -> None:
        super().__init__(why)
        self.status = status
        self.detail: Any = [{"loc": ["body", *where], "msg": why, "type": "value_error"}] if where else why


class Proxy:
    """Stands in front of the Cog server at `target`, whose predictor has the inputs `names`.

    `host` is the name it is served under, `origins` are of the web pages that may use it; `say` gets one line for each
    prediction.
    """

    def __init__(
        self,
        target: str,
        names: Collection[str],
        *,
        host: str,
        origins: Collection[str] = (),
        webhooks: bool = False,
        say: Callable[[str], object],
    ) -> None:
        self._cog = httpx2.AsyncClient(base_url=target, timeout=None, trust_env=False)
        self._names, self._webhooks, self._say = sorted(names), webhooks, say
        self._ids: set[str] = set()
        routes = [
            *(Route(path, self._read) for path in ("/", "/health-check", "/openapi.json")),
            Route("/predictions", self._predict, methods=["POST"]),
            Route("/predictions/{id}", self._predict, methods=["PUT"]),
            Route("/predictions/{id}/cancel", self._cancel, methods=["POST"]),
        ]
        cors = Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=["Prefer"],
            allow_private_network=True,
        )
        guard = Middleware(_Guard, host=host, origins=origins)
        self.app = Starlette(
            routes=routes,
            middleware=[cors, guard] if origins else [guard],
            exception_handlers={RefusedError: _refusal, httpx2.TransportError: _absent, ClientDisconnect: _gone},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncGenerator[None]:
        async with self._cog:
            yield
        for name in self._ids:
            shutil.rmtree(_COG_FOLDERS / name, ignore_errors=True)

    async def _read(self, request: Request) -> Response:
        return _response(await self._cog.get(request.url.path))

    async def _cancel(self, request: Request) -> Response:
        return _response(await self._cog.post(f"/predictions/{_checked(request.path_params['id'])}/cancel"))

    async def _predict(self, request: Request) -> Response:
        body, started = await self._body(request), time.perf_counter()
        name, content = request.path_params.get("id") or body["id"], _text(body)
        answer = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_until_gone, request, tasks.cancel_scope)  # Cog cancels when its client leaves
            answer = await self._ask(request, content)
            tasks.cancel_scope.cancel()
        if answer is None or answer.status_code in (200, 202):
            self._ids.add(name)
        if answer is None:
            self._say("canceled: the client left")
            return Response(status_code=499)
        if answer.status_code == 200:
            ended = answer.json()
            why = f": {ended['error']}" if "error" in ended else ""
            self._say(f"{ended['status']}{why} ({time.perf_counter() - started:.1f} s)")
        return _response(answer)

    async def _ask(self, request: Request, content: str) -> httpx2.Response:
        headers = {"Content-Type": "application/json", "Prefer": request.headers.get("prefer", "wait")}
        end = anyio.current_time() + _LATE
        while True:
            try:
                answer = await self._cog.request(request.method, request.url.path, content=content, headers=headers)
            except httpx2.TransportError:
                return httpx2.Response(503, json=_ABSENT)
            if answer.status_code != 409 or anyio.current_time() > end:
                return answer
            await anyio.sleep(0.02)

    async def _body(self, request: Request) -> dict[str, Any]:
        """The request as it is handed on. Raises RefusedError."""
        body = await _json(request)
        _checked(request.path_params.get("id") or body.setdefault("id", secrets.token_hex(13)))
        if body.get("webhook") is not None and not self._webhooks:
            raise RefusedError(422, "webhooks are off; start the server with --webhooks", "webhook")
        given = body.get("input")
        for unknown in sorted(cast(dict[str, Any], given)) if isinstance(given, dict) else ():
            if unknown not in self._names:
                near = difflib.get_close_matches(unknown.lower(), [*self._names, *ALIASES], 1, 0.75)
                hint = f"did you mean {ALIASES.get(near[0], near[0])}? " if near else ""
                raise RefusedError(
                    422, f"unknown input {unknown!r}; {hint}inputs are {', '.join(self._names)}", "input", unknown
                )
        return body


class _Guard:
    """Refuses requests that address another name, and those of web pages that are not allowed."""

    def __init__(self, app: ASGIApp, host: str, origins: Collection[str]) -> None:
        own = socket.gethostname()
        self._app, self._names, self._origins = app, {host, "localhost", own, f"{own}.local"}, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            headers = Request(scope).headers
            host, origin = headers.get("host", ""), headers.get("origin")
            if not self._is_own(host):
                own = socket.gethostname()
                app = _forbidden(f"{host!r} is not this server; use its IP address or {own}, also in a proxy before it")
            elif origin not in (None, f"http://{host}", *self._origins) and "*" not in self._origins:
                app = _forbidden(f"web pages of {origin} may not use this server; start it with --cors {origin}")
        await app(scope, receive, send)

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._names or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _forbidden(why: str) -> Response:
    return JSONResponse({"detail": why}, 403)


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    # JSONResponse would write the name of an input that is no valid text as UTF-8, and fail
    return Response(json.dumps({"detail": error.detail}), error.status, media_type="application/json")


async def _absent(request: Request, _error: Exception) -> Response:
    if request.url.path == "/health-check":
        return JSONResponse({"status": "STARTING"})
    return JSONResponse(_ABSENT, 503)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)


async def _json(request: Request) -> dict[str, Any]:
    """The object in the body. Raises RefusedError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedError(415, "send JSON with the header Content-Type: application/json")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _LARGEST:
            raise RefusedError(413, f"the request is larger than {_LARGEST // 10**6} MB")
    try:
        body: Any = json.loads(content or b"{}")
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "the body is not JSON") from error
    if not isinstance(body, dict):
        raise RefusedError(422, 'the body is not an object; send {"input": {...}}')
    return cast(dict[str, Any], body)


def _text(body: dict[str, Any]) -> str:
    try:
        return json.dumps(body)
    except RecursionError as error:
        raise RefusedError(400, "the body is nested too deeply") from error


def _checked(name: object) -> str:
    """The id of a prediction: Cog makes a folder of it, and takes a path too. Raises RefusedError."""
    if isinstance(name, str) and _ID.fullmatch(name):
        return name
    raise RefusedError(422, "use an id of letters, digits, '.', '_' and '-', at most 128", "id")


async def _until_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _response(answer: httpx2.Response) -> Response:
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
