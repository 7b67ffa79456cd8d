"""Cog servers: requests in, pixel art out. https://github.com/replicate/cog, docs/http.md"""

import base64
import binascii
import hashlib
import io
import json
import math
import mimetypes
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import httpx2
import numpy as np
from PIL import Image, UnidentifiedImageError

from punks.batch.jobs import Job
from punks.batch.manifest import AGAIN
from punks.batch.places.servers import TIMEOUT, JobError, LaterError, Servers, checked, log, shown
from punks.batch.places.worker import Outcome, recipe_of
from punks.errors import BatchError, ImageError, RecipeError
from punks.files.png import CELLS
from punks.generate import Painting, Punk
from punks.request import FIELDS, asked, flat
from punks.snap import Cells, PixelArt, restore

_GONE = ("UNHEALTHY", "DEFUNCT", "SETUP_FAILED")


def at_urls(urls: Sequence[str], *, paintings: bool = False) -> Servers:
    """Servers by their addresses, each with one job at a time. Raises BatchError if none answers."""
    try:
        servers = [Cog(url, paintings=paintings) for url in urls]
    except httpx2.InvalidURL as error:
        raise RecipeError("on", ",".join(map(shown, urls)), f"not an address ({error})") from error
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.close)
        absent = [server for server in servers if not server.there()]
        if len(absent) == len(servers):
            raise BatchError(f"{', '.join(map(shown, urls))}: no server answers there; start one with `punks serve`")
        for server in absent:
            log.warning("%s: no server answers there yet", server.name)
        stack.pop_all()
    return Servers(servers, paintings=paintings)


class Cog:
    """A Cog server that runs this program's predict.py."""

    def __init__(self, url: str, *, paintings: bool) -> None:
        self.name = shown(url)
        self._paintings = paintings
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT)

    def there(self) -> bool:
        """Whether a server that can serve answers, or may soon."""
        try:
            return self._health() in ("READY", "BUSY", "STARTING")
        except LaterError:
            return False

    def _health(self) -> str:
        return str(json_of(checked(self._http, "GET", "/health-check", timeout=10)).get("status"))

    def close(self) -> None:
        self._http.close()

    def paint(self, job: Job) -> Outcome:
        """Asks under an id of the job's own: while an earlier request of that id runs, no second one is started."""
        body = {"input": inputs(job, paintings=self._paintings)}
        try:
            answer = json_of(checked(self._http, "PUT", f"/predictions/{key(job)}", json=body))
        except LaterError:
            if (health := self._health()) in _GONE:  # it never comes back by itself
                raise BatchError(f"{self.name}: the server is {health}; restart it, and {AGAIN}") from None
            raise
        if answer.get("status") != "succeeded":
            error = str(answer.get("error") or answer.get("status"))
            if error.startswith("Prediction failed"):
                raise JobError(plain(error))
            raise LaterError(error, blame=True)
        return outcome(job, answer, self._file)

    def _file(self, url: str) -> bytes:
        return checked(self._http, "GET", url).content


def plain(error: str) -> str:
    """What predict.py said, without what Cog puts before it."""
    return re.sub(r"^(Prediction failed: )*([A-Z]\w*Error: )?", "", error)


def key(job: Job) -> str:
    """An id for what is asked: the same for the same recipe, today and tomorrow."""
    return hashlib.sha256(json.dumps(_asked(job)).encode()).hexdigest()[:32]


def inputs(job: Job, *, paintings: bool) -> dict[str, Any]:
    """What predict.py takes. The picture is enlarged here."""
    given: dict[str, Any] = {
        name: value
        for name, value in {**asked(recipe_of(job), job.finish), "output_size": 24}.items()
        if value is not None and name not in ("image_sha256", "loras")
    }
    if "traits" in given:
        given["traits"] = json.dumps({name: value for name, value in given["traits"].items() if value})
    if job.image is not None:
        given["image"] = _inline(job.image)
    return {**given, "return_painting": True} if paintings else given


def _inline(path: Path) -> str:
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _asked(job: Job) -> dict[str, Any]:
    """What a server is given: the smallest size, which costs the least to send."""
    return {**flat(recipe_of(job), job.finish), "output_size": 24}


def json_of(response: httpx2.Response) -> dict[str, Any]:
    """The object in an answer. Raises LaterError if it was damaged on its way."""
    try:
        return dict(response.json())
    except (ValueError, TypeError) as error:
        raise LaterError("a damaged answer", blame=True) from error


def outcome(job: Job, answer: dict[str, Any], file: Any) -> Outcome:
    """The punk in an answer of predict.py; `file(url)` fetches what is not in the answer itself.

    Raises BatchError if it is no such answer, JobError if the server does not know a field that the job sets.
    """
    try:
        output = answer["output"]
        painted, confidence = json.loads(output["recipes"][0]), float(output["confidences"][0])
        pixels = output["pixels"][0]
        painting = (output.get("paintings") or [None])[0]
        said = (output.get("warnings") or [""])[0]
        seconds = {str(stage): float(taken) for stage, taken in _table(_table(answer, "metrics"), "seconds").items()}
        table = cast("dict[str, Any]", painted)
        fits = isinstance(painted, dict) and isinstance(pixels, str) and isinstance(said, str) and 0 <= confidence <= 1
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BatchError("the server answers, but not as this program's predict.py does") from error
    if not fits or not all(map(math.isfinite, seconds.values())) or not isinstance(painting, str | None):
        raise LaterError("a damaged answer", blame=True)
    for name, value in _asked(job).items():
        default = FIELDS[name].default
        # traits have had their effect on the other fields
        if name == "loras":
            value, default = _stack(value), []
            if _stack(table.get(name)) != value:
                raise JobError("the server painted with other LoRAs")
        elif name != "traits" and table.get(name, default) != value and (table.get(name) or value):
            raise JobError(f"the server painted another recipe: {name} {table.get(name)!r}, not {value!r}")
    picture = _picture(pixels, file)
    if picture.size != (24, 24) or picture.mode not in ("RGB", "RGBA"):
        raise LaterError(
            f"a picture of {picture.width}x{picture.height} px, mode {picture.mode}, not 24x24", blame=True
        )
    try:
        text = getattr(picture, "text", {}).get(CELLS)
        cells = Cells.from_text(text) if text else restore(picture)
    except ImageError as error:
        raise LaterError("a damaged picture", blame=True) from error
    image = _picture(painting, file) if painting else None
    recipe = recipe_of(job)
    whole = Painting(recipe=recipe, image=image, restored=cells, prompt=recipe.painted_prompt, seconds=seconds)
    art = PixelArt(cells=np.asarray(picture), background=cells.background, confidence=confidence, drift=cells.drift)
    warnings = tuple(filter(None, said.split("; ")))
    return Outcome(job=job, punk=Punk(painting=whole, finish=job.finish, art=art, warnings=warnings))


def _stack(loras: Any) -> list[Any]:
    return [(one.get("sha256"), one.get("scale")) for one in loras or () if isinstance(one, dict)]  # pyright: ignore


def _table(values: Any, name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _picture(url: str, file: Any) -> Image.Image:
    try:
        content = base64.b64decode(url.partition(",")[2], validate=True) if url.startswith("data:") else file(url)
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        image.load()
    except (binascii.Error, OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise LaterError("a damaged picture", blame=True) from error
    return image
