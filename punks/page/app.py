"""The page's server: Starlette on the loopback. Nothing in a request names a path, and other origins are refused."""

import json
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from punks import variants
from punks.errors import ImageError, PunkError, RecipeError
from punks.files import weights
from punks.files.palettes import read_palette, write_palette
from punks.finish import SUFFIXES
from punks.page.studio import Studio
from punks.palette import Palette, hex_of
from punks.request import divide
from punks.vocabulary import COLORS, EYES, TRAITS

STATIC = Path(__file__).parent / "static"
MOST = 20_000_000  # bytes of an upload
PALETTES = (".gpl", ".hex", ".pal", ".ase")
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'"
_HEADERS = {
    "Content-Security-Policy": f"{_POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
Handler = Callable[[Request], Awaitable[Response]]


class Guard(BaseHTTPMiddleware):
    """Refuses other hosts (DNS rebinding) and requests that another page sends; adds the page's own policy."""

    def __init__(self, app: Any, hosts: frozenset[str]) -> None:
        super().__init__(app)
        self._hosts = hosts

    async def dispatch(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if host not in self._hosts:
            return PlainTextResponse("unknown host", 421)
        if (origin or request.method not in ("GET", "HEAD")) and origin != f"http://{host}":
            return PlainTextResponse("other origins are refused", 403)
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return PlainTextResponse("other sites are refused", 403)
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def make_app(studio: Studio, port: int) -> Starlette:
    """The application for a server on this port of the loopback."""

    async def index(_: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def options(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(_options, studio))

    async def prompt(request: Request) -> Response:
        recipe, _ = await run_in_threadpool(divide, _object(await _body(request), "values"))
        return JSONResponse({"prompt": recipe.prompt, "warnings": recipe.warnings()})

    async def palette(request: Request) -> Response:
        return JSONResponse(
            await _uploaded(request, studio, lambda path: {"palette": str(Palette.parse(read_palette(path)))})
        )

    async def listed(request: Request) -> Response:
        before, count = (request.query_params.get(name, "") for name in ("before", "count"))
        found = await run_in_threadpool(studio.listed, _number(before), min(_number(count) or 100, 500))
        return JSONResponse({"punks": found})

    async def paint(request: Request) -> Response:
        body = await _body(request)
        return JSONResponse(
            {"names": await run_in_threadpool(studio.paint, _object(body, "values"), body.get("count", 1))}
        )

    async def cancel(request: Request) -> Response:
        name = (await _body(request)).get("name")
        studio.cancel(None if name is None else str(name))
        return JSONResponse({})

    async def finish(request: Request) -> Response:
        body, name = await _body(request), request.path_params["name"]
        save = body.get("save") is True
        return JSONResponse(await run_in_threadpool(studio.finish, name, _object(body, "values"), save=save))

    async def pick(request: Request) -> Response:
        body = await _body(request)
        await run_in_threadpool(studio.pick, request.path_params["name"], body)
        return JSONResponse({})

    async def upload(request: Request) -> Response:
        return JSONResponse(await _uploaded(request, studio, studio.take_in))

    async def download(request: Request) -> Response:
        name, kind = request.path_params["name"], request.path_params["kind"]
        if kind in ("pixels.png", "painting.png"):
            return FileResponse(await run_in_threadpool(studio.file, name, kind.partition(".")[0]))
        size = _number(request.query_params.get("size", ""))
        indexed = request.query_params.get("indexed") == "1"
        return await run_in_threadpool(_exported, studio, name, Path(kind).suffix.lower(), size, indexed=indexed)

    async def news(_: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            async for one in studio.news():
                yield f"data: {json.dumps(one)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def failed(_: Request, error: Exception) -> Response:
        field = error.field if isinstance(error, RecipeError) else None
        return JSONResponse({"error": str(error), "field": field}, 400)

    one = "/api/punks/{name:int}"
    routes = [
        Route("/", index),
        Route("/api/options", options),
        Route("/api/news", news),
        Route("/api/paint", paint, methods=["POST"]),
        Route("/api/cancel", cancel, methods=["POST"]),
        Route("/api/upload", upload, methods=["POST"]),
        Route("/api/prompt", prompt, methods=["POST"]),
        Route("/api/palette", palette, methods=["POST"]),
        Route("/api/punks", listed),
        Route(f"{one}/finish", _named(finish), methods=["POST"]),
        Route(f"{one}/pick", _named(pick), methods=["POST"]),
        Route(f"{one}/{{kind}}", _named(download)),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    hosts = frozenset(f"{host}:{port}" for host in ("127.0.0.1", "localhost"))
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)], exception_handlers={PunkError: failed})


def _named(handler: Handler) -> Handler:
    """The number in an address as the name of a punk."""

    async def handle(request: Request) -> Response:
        request.path_params["name"] = f"{request.path_params['name']:06d}"
        return await handler(request)

    return handle


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:
        raise RecipeError("body", "", f"it is not JSON ({error})") from error
    if not isinstance(body, dict):
        raise RecipeError("body", body, "use a JSON object")
    return body  # pyright: ignore[reportUnknownVariableType]


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(value := body.get(name), dict):
        raise RecipeError(name, value, "use a JSON object of fields")
    return value  # pyright: ignore[reportUnknownVariableType]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


async def _uploaded(request: Request, studio: Studio, take: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """What `take` makes of the file that is the body of a request; its name only says its kind."""
    suffix = Path(request.query_params.get("name", "")).suffix.lower()
    if not re.fullmatch(r"\.\w{1,5}", suffix, re.ASCII):
        raise ImageError("the file has no suffix that says what it is, such as .png")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MOST:
            raise ImageError(f"the file is larger than {MOST // 1_000_000} MB")
    return await run_in_threadpool(_taken, studio.folder, bytes(content), suffix, take)


def _taken(folder: Path, content: bytes, suffix: str, take: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".upload-") as room:
        path = Path(room) / f"{secrets.token_hex(4)}{suffix}"
        path.write_bytes(content)
        try:
            return take(path)
        except ImageError as error:
            raise ImageError(str(error).replace(f"{path}: ", "").replace(str(path), "the file")) from error


def _exported(studio: Studio, name: str, suffix: str, size: int | None, *, indexed: bool) -> Response:
    """A punk, or its palette, as a file to save."""
    punk = studio.punk(name)
    with tempfile.TemporaryDirectory(prefix="punks-") as folder:
        path = Path(folder) / f"punk-{name}{suffix}"
        if suffix in PALETTES:
            write_palette(path, Palette.parse(punk.art.palette).colors, f"punk {name}")
        elif suffix in SUFFIXES:
            punk.save(path, size, indexed=indexed)
        else:
            raise RecipeError("suffix", suffix, f"use one of {', '.join((*SUFFIXES, *PALETTES))}")
        content = path.read_bytes()
    kinds = {".png": "image/png", ".webp": "image/webp", ".svg": "image/svg+xml"}
    disposition = {"Content-Disposition": f'attachment; filename="{path.name}"'}
    return Response(content, media_type=kinds.get(suffix, "application/octet-stream"), headers=disposition)


def _options(studio: Studio) -> dict[str, Any]:
    """What can be chosen: words, colors, and the variants that are installed."""
    rows = [row for row in variants.VARIANTS.values() if not weights.missing(row, row.epoch)]
    return {
        "folder": studio.folder.resolve().name,
        "traits": TRAITS,
        "colors": {name: hex_of(color) for name, color in COLORS.items()},
        "eyes": {name: hex_of(color) for name, color in EYES.items()},
        "variants": [
            {
                "name": row.name,
                "verdict": row.verdict,
                "epochs": weights.epochs_present(row),
                "epoch": row.epoch,
                "steps": row.num_inference_steps,
                "guidance": row.guidance_scale,
            }
            for row in rows
        ],
        "default": variants.DEFAULT if any(row.name == variants.DEFAULT for row in rows) else rows[0].name,
    }
