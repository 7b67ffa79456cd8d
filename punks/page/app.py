"""The page's server: Starlette on the loopback. Nothing in a request names a path, and only the page may ask."""

import io
import json
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO, Any, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from punks.errors import ImageError, LoraError, PunkError, RecipeError, wrong
from punks.page.choices import choices
from punks.page.guard import Guard
from punks.page.studio import LORA, Studio
from punks.page.takes import kept_files, punk_file
from punks.request import divide

STATIC = Path(__file__).parent / "static"
LARGEST, LARGEST_LORA = 20_000_000, 2_000_000_000  # bytes of an upload
LONGEST = 100_000  # bytes of other requests
PAGE = 500  # punks of one answer


def make_app(studio: Studio, port: int) -> Starlette:
    """The application for a server on this port of the loopback."""

    async def index(_: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def options(_: Request) -> Response:
        return JSONResponse(await run_in_threadpool(choices, studio))

    async def prompt(request: Request) -> Response:
        recipe, _ = await run_in_threadpool(divide, await _values(request))
        return JSONResponse({"prompt": recipe.prompt, "warnings": recipe.warnings()})

    async def listed(request: Request) -> Response:
        query = request.query_params
        count = min(_number(query.get("count")) or 100, PAGE)
        before = _number(query.get("before"))
        return JSONResponse(await run_in_threadpool(studio.listed, before, count, query.get("show", "")))

    async def paint(request: Request) -> Response:
        body = await _body(request)
        of = None if body.get("of") is None else _name(body["of"])
        values, count = _object(body), body.get("count", 1)
        return JSONResponse({"names": await run_in_threadpool(studio.paint, values, count, of)})

    async def cancel(request: Request) -> Response:
        name = (await _body(request)).get("name")
        studio.queue.cancel(None if name is None else str(name))
        return JSONResponse({})

    async def finish(request: Request) -> Response:
        body, name = await _body(request), _name(request.path_params["number"])
        save = body.get("save") is True
        return JSONResponse(await run_in_threadpool(studio.finish, name, _object(body), save=save))

    async def pick(request: Request) -> Response:
        await run_in_threadpool(studio.pick, _name(request.path_params["number"]), await _values(request))
        return JSONResponse({})

    async def calls(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(studio.calls, _name(request.path_params["number"])))

    async def upload(request: Request) -> Response:
        return JSONResponse(await _uploaded(request, studio, studio.take_in))

    async def palette(request: Request) -> Response:
        return JSONResponse(await _uploaded(request, studio, studio.palette))

    async def picture(request: Request) -> Response:
        name, kind = _name(request.path_params["number"]), request.path_params["kind"]
        return FileResponse(await run_in_threadpool(studio.file, name, kind))

    async def start(request: Request) -> Response:
        if not (path := studio.input(request.path_params["digest"])).is_file():
            raise ImageError("there is no such picture")
        return FileResponse(path)

    async def take(request: Request) -> Response:
        name, suffix = _name(request.path_params["number"]), f".{request.path_params['suffix']}"
        size, indexed = _number(request.query_params.get("size")), request.query_params.get("indexed") == "1"
        return await run_in_threadpool(punk_file, studio, name, suffix, size, indexed=indexed)

    async def kept(_: Request) -> Response:
        return await run_in_threadpool(kept_files, studio)

    async def news(_: Request) -> Response:
        async def lines() -> AsyncIterator[str]:
            async for one in studio.news.listen(lambda: {"names": studio.queue.names()}):
                yield f"data: {json.dumps(one)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def failed(_: Request, error: Exception) -> Response:
        field = error.field if isinstance(error, RecipeError) else None
        return JSONResponse({"error": str(error), "field": field}, 400)

    punk = "/api/punks/{number:int}"
    routes = [
        Route("/", index),
        Route("/api/options", options),
        Route("/api/news", news),
        Route("/api/paint", paint, methods=["POST"]),
        Route("/api/cancel", cancel, methods=["POST"]),
        Route("/api/upload", upload, methods=["POST"]),
        Route("/api/prompt", prompt, methods=["POST"]),
        Route("/api/palette", palette, methods=["POST"]),
        Route("/api/inputs/{digest}", start),
        Route("/api/kept.zip", kept),
        Route("/api/punks", listed),
        Route(f"{punk}/finish", finish, methods=["POST"]),
        Route(f"{punk}/pick", pick, methods=["POST"]),
        Route(f"{punk}/calls", calls),
        Route(f"{punk}/{{kind}}.png", picture),
        Route(f"{punk}/take/punk.{{suffix}}", take),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    hosts = frozenset(f"{host}:{port}" for host in ("127.0.0.1", "localhost"))
    return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)], exception_handlers={PunkError: failed})


def _name(number: object) -> str:
    """The name of the punk with a number. Raises RecipeError."""
    if type(number) is not int or not 0 < number < 10**9:
        raise RecipeError("number", number, "use the number of a punk")
    return f"{number:06d}"


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


async def _receive(request: Request, most: int, file: IO[bytes]) -> None:
    async for chunk in request.stream():
        file.write(chunk)
        if file.tell() > most:
            raise ImageError(f"it is larger than {most // 1000:,} kB")


async def _body(request: Request) -> dict[str, Any]:
    content = io.BytesIO()
    await _receive(request, LONGEST, content)
    try:
        body = json.loads(content.getvalue())
    except (ValueError, RecursionError) as error:
        raise RecipeError("body", "", f"it is not JSON ({wrong(error)})") from error
    if not isinstance(body, dict):
        raise RecipeError("body", body, "use a JSON object")
    return cast("dict[str, Any]", body)


def _object(body: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(values := body.get("values"), dict):
        raise RecipeError("values", values, "use a JSON object of fields")
    return cast("dict[str, Any]", values)


async def _values(request: Request) -> dict[str, Any]:
    return _object(await _body(request))


async def _uploaded(request: Request, studio: Studio, take: Callable[[Path, str], dict[str, Any]]) -> dict[str, Any]:
    """What `take` makes of the file that is the body of a request, and of its name without the suffix."""
    name = Path(request.query_params.get("name", ""))
    if not re.fullmatch(rf"\.\w{{1,5}}|{LORA}", suffix := name.suffix.lower(), re.ASCII):
        raise ImageError("its name has no suffix that says what it is, such as .png")
    # in the folder, so that a picture can be moved to where it stays
    with tempfile.TemporaryDirectory(dir=studio.folder, prefix=".upload-") as room:
        path = Path(room) / f"{secrets.token_hex(4)}{suffix}"
        with path.open("wb") as file:
            await _receive(request, LARGEST_LORA if suffix == LORA else LARGEST, file)
        try:
            return await run_in_threadpool(take, path, name.stem)
        except (ImageError, LoraError) as error:
            raise type(error)(str(error).replace(f"{path}: ", "").replace(str(path), "the file")) from error
