"""Brings one file to its final name: resumable, checked, its SHA-256 recorded.

The bytes take a path of our own over huggingface_hub's HTTP client: the library's downloads drop their partial file
when they end early, its `http_get` writes URLs with their tokens into warnings and sleeps as long as a Retry-After
says; pooch cannot resume.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from punks.errors import WeightsError
from punks.files.checksums import record, recorded, sha256
from punks.files.weights import fault

if TYPE_CHECKING:
    import httpx2

Say = Callable[[str], object]

AGAIN = "run the same command again: it goes on where it stopped"
SIGN_IN = "set HF_TOKEN to a token that may read it; a gated repository also wants its licence accepted on its page"
_BUSY = (408, 429, 500, 502, 503, 504)
_TRIES = 4  # without a new byte
_LONGEST_WAIT = 30  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A file to bring. `shown` names its origin without secrets; `digest`: its SHA-256 or git blob hash."""

    target: Path
    shown: str
    origin: "httpx2.URL | Path | None" = None
    hub: bool = False
    size: int | None = None
    digest: str | None = None

    @property
    def part(self) -> Path:
        """The partial file."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def tag(self) -> Path:
        """Beside the partial file: what it is a part of, as its digest or the server's validator."""
        return self.target.with_name(f"{self.target.name}.part.tag")


class _BusyError(Exception):
    """The server may well answer later: why, and the seconds it asks to wait (0: it does not say)."""


def bring(root: Path, item: Item, say: Say, check: Callable[[Path], str | None] = fault) -> None:
    """Brings the file unless it is there and whole, and records its SHA-256. Raises WeightsError.

    `check` says what is wrong with a safetensors file.
    """
    name = item.target.relative_to(root).as_posix()
    if item.target.is_file():
        wrong = _wrong(item, item.target, item.digest or recorded(root).get(name), check)
        if not wrong:
            record(root, name, sha256(item.target))
            say(f"{name}: kept")
            return
        say(f"{name}: fetching it again: it is {wrong}" if item.origin else f"{name}: is {wrong}")
    if item.origin is None:
        raise WeightsError(item.shown)
    item.target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(item.origin, Path):
        require_room(item.part.parent, item.origin.stat().st_size)
        item.tag.unlink(missing_ok=True)
        shutil.copyfile(item.origin, item.part)
    else:
        _download(item, item.origin, say)
    wrong = _wrong(item, item.part, item.digest, check)
    item.tag.unlink(missing_ok=True)
    if wrong:
        item.part.unlink()
        raise WeightsError(f"{item.shown} is {wrong}")
    with item.part.open("rb") as file:
        os.fsync(file.fileno())
    digest = sha256(item.part)
    item.part.replace(item.target)
    record(root, name, digest)
    say(f"{name}: fetched, {tqdm.format_sizeof(item.target.stat().st_size, 'B')}")


def require_room(folder: Path, need: int) -> None:
    """Raises WeightsError if the disk of `folder` has less than `need` bytes free."""
    free = shutil.disk_usage(folder).free
    if need > free:
        sizes = f"{tqdm.format_sizeof(need, 'B')} more, {tqdm.format_sizeof(free, 'B')} is free"
        raise WeightsError(f"not enough room in {folder}: needs {sizes}; make room or set PUNKS_WEIGHTS, then {AGAIN}")


def arrived(item: Item) -> int:
    """The bytes of the item that an earlier call left and this one can go on from."""
    mark = item.tag.read_text(encoding="utf-8") if item.tag.is_file() else ""
    return item.part.stat().st_size if item.part.is_file() and mark and mark == (item.digest or mark) else 0


def hub_token() -> str | None:
    """The token for Hugging Face: HF_TOKEN, else that of `hf auth login`."""
    from huggingface_hub import get_token

    token = get_token()
    if token and not re.fullmatch(r"[!-~]+", token):  # an HTTP client would show it in its complaint
        raise WeightsError("HF_TOKEN holds a character that no token has: copy it again")
    return token


def _download(item: Item, url: "httpx2.URL", say: Say) -> None:
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled

    most, tries = arrived(item), 0
    while True:
        wait = 0.0
        try:
            _stream(item, url)
        except _BusyError as error:
            reason, wait = error.args
        except httpx2.RequestError as error:
            reason = f"no connection ({error})" if isinstance(error, httpx2.ConnectError) else "the connection broke"
        except OfflineModeIsEnabled:
            raise WeightsError(f"{item.shown}: HF_HUB_OFFLINE is set, so nothing can be fetched") from None
        else:
            return
        tries, most = (0 if arrived(item) > most else tries + 1), max(most, arrived(item))
        if tries == _TRIES or wait > _LONGEST_WAIT:
            raise WeightsError(f"{item.shown}: {reason}; {f'in {wait:.0f} s ' if wait else ''}{AGAIN}")
        say(f"{item.shown}: {reason}, trying again")
        time.sleep(wait or 0.25 * 2**tries)


def _stream(item: Item, url: "httpx2.URL") -> None:
    from huggingface_hub import get_session

    have = arrived(item)
    if have and have == item.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if item.hub and (token := hub_token()):
        headers["Authorization"] = f"Bearer {token}"
    if have:
        headers["Range"] = f"bytes={have}-"
        if not item.digest:
            headers["If-Range"] = item.tag.read_text(encoding="utf-8")
    with get_session().stream("GET", url, headers=headers, timeout=30) as response:
        extent = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
        resumed = response.status_code == 206 and extent is not None and extent[1] == str(have)
        if response.status_code == 416 and extent and extent[2] == str(have):
            return
        if response.status_code == 416 or (response.status_code == 206 and not resumed):
            item.part.unlink(missing_ok=True)
            raise _BusyError("the server sent another range than the one asked for", 0)
        _refuse(item, response)
        length = response.headers.get("Content-Length", "")
        total = int(length) + (have if resumed else 0) if length.isdigit() else item.size
        # a weak ETag (W/) may stand for other bytes of the same meaning
        etag = re.sub("^W/.*", "", response.headers.get("ETag", ""))
        mark = item.digest or etag or response.headers.get("Last-Modified", "")
        if not resumed:
            item.part.unlink(missing_ok=True)
            item.tag.write_text(mark, encoding="utf-8")
        require_room(item.part.parent, (total or 0) - arrived(item))
        bar = tqdm(
            desc=item.target.name,
            total=total,
            initial=arrived(item),
            unit="B",
            unit_scale=True,
            leave=False,
            disable=None,
        )
        with bar, item.part.open("ab") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                bar.update(len(chunk))


def _refuse(item: Item, response: "httpx2.Response") -> None:
    status = response.status_code
    after = response.headers.get("Retry-After", "")
    if status in _BUSY:
        raise _BusyError(f"the server is busy (HTTP {status})", float(after) if after.isdigit() else 0)
    if status in (401, 403):
        way = SIGN_IN if item.hub else "the address needs a login or has expired"
        raise WeightsError(f"{item.shown}: the server refuses it (HTTP {status}); {way}")
    if status not in (200, 206):
        gone = "there is no such file" if status in (404, 410) else "the server does not give the file"
        raise WeightsError(f"{item.shown}: {gone} (HTTP {status})")


def _wrong(item: Item, path: Path, digest: str | None, check: Callable[[Path], str | None]) -> str | None:
    """What is wrong with the item as it lies at `path`."""
    if item.target.suffix == ".safetensors" and (wrong := check(path)):
        return wrong
    return "not the file it should be (another hash)" if digest and _digest(path, like=digest) != digest else None


def _digest(path: Path, like: str) -> str:
    """The hash of a file of the kind `like` is: SHA-256 (64 digits), or git's of a blob (40 digits)."""
    if len(like) == 64:
        return sha256(path)
    from huggingface_hub.utils.sha import git_hash

    return git_hash(path.read_bytes())
