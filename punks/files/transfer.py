"""Brings one file to its final name: resumable, checked, its SHA-256 recorded.

huggingface_hub's own cannot resume after a kill: no later call reads their temporary files (2.4).
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from punks.errors import WeightsError
from punks.files.checksums import record, recorded, sha256
from punks.files.weights import fault, whole_size

if TYPE_CHECKING:
    import httpx2
    from tenacity import RetryCallState

Say = Callable[[str], None]
Check = Callable[[Path], str | None]

AGAIN = "run the same command again: it goes on where it stopped"
SIGN_IN = "set HF_TOKEN to a token that may read it; for a gated repository also accept the licence on its page"
_BUSY = (408, 429, 500, 502, 503, 504)
_TRIES, _LONGEST_WAIT = 4, 30  # in a row without a new byte; seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A file to bring. `shown` names its origin without secrets; `digest` is its SHA-256 or git blob hash."""

    target: Path
    shown: str
    origin: "httpx2.URL | Path"
    size: int | None = None
    digest: str | None = None

    @property
    def part(self) -> Path:
        """The partial file."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def tag(self) -> Path:
        """Beside the partial file: the length of the whole, and its digest or strong ETag."""
        return self.target.with_name(f"{self.target.name}.part.tag")


class _TransientError(Exception):
    """A request that may succeed later; `wait` are the seconds that the server asks for."""

    def __init__(self, why: str, wait: int = 0) -> None:
        super().__init__(why)
        self.wait = wait


def keep(root: Path, target: Path, say: Say, check: Check = fault, digest: str | None = None) -> bool:
    """Whether the file is present and whole; its SHA-256 is recorded then. `check` is for safetensors files."""
    if not target.is_file():
        return False
    name = target.relative_to(root).as_posix()
    try:
        record(root, name, _verify(target, target.suffix, check, digest or recorded(root).get(name)))
    except WeightsError as error:
        say(f"{name}: {error}")
        return False
    say(f"{name}: kept")
    return True


def bring(root: Path, item: Item, say: Say, check: Check = fault) -> None:
    """Brings the file unless it is present and whole, and records its SHA-256. Raises WeightsError."""
    if keep(root, item.target, say, check, item.digest):
        return
    item.target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(item.origin, Path):
        _discard(item)
        require_room(item.part.parent, item.origin.stat().st_size)
        shutil.copyfile(item.origin, item.part)
        digest = _complete(item, check)
    else:
        digest = _download(item, item.origin, say, check)
    item.tag.unlink(missing_ok=True)
    with item.part.open("rb") as file:
        os.fsync(file.fileno())
    item.part.replace(item.target)
    name = item.target.relative_to(root).as_posix()
    record(root, name, digest)
    say(f"{name}: fetched, {tqdm.format_sizeof(item.target.stat().st_size, 'B')}")


def require_room(folder: Path, need: int) -> None:
    """Raises WeightsError if the disk of `folder` has less than `need` bytes free."""
    free = shutil.disk_usage(folder).free
    if need > free:
        sizes = f"{tqdm.format_sizeof(need, 'B')} more, {tqdm.format_sizeof(free, 'B')} is free"
        raise WeightsError(f"not enough room in {folder}: needs {sizes}; make room or set PUNKS_WEIGHTS, then {AGAIN}")


def arrived(item: Item) -> int:
    """The bytes of the item that an earlier call left and this one can continue."""
    return item.part.stat().st_size if _tagged(item)[1] and item.part.is_file() else 0


def hub_token() -> str | None:
    """The token for Hugging Face: HF_TOKEN, else that of `hf auth login`."""
    from huggingface_hub import get_token

    token = get_token()
    if token and not re.fullmatch(r"[!-~]+", token):  # an HTTP client would show it in its complaint
        raise WeightsError("HF_TOKEN contains a character that no token has; copy it again")
    return token


def _verify(path: Path, suffix: str, check: Check, digest: str | None) -> str:
    """The SHA-256 of a file that is what it should be. Raises WeightsError."""
    from huggingface_hub.utils.sha import git_hash

    if suffix == ".safetensors" and (wrong := check(path)):
        raise WeightsError(wrong)
    found = sha256(path)
    if digest and digest != (found if len(digest) == len(found) else git_hash(path.read_bytes())):
        raise WeightsError("checksum mismatch")
    return found


def _complete(item: Item, check: Check, *, resumed: bool = False) -> str:
    """The SHA-256 of the partial file, which has all its bytes; one that is not what it should be is deleted."""
    try:
        return _verify(item.part, item.target.suffix, check, item.digest)
    except WeightsError as error:
        _discard(item)
        if resumed:
            raise _TransientError(f"{error} after resuming") from None
        raise WeightsError(f"{item.shown}: {error}") from None


def _download(item: Item, url: "httpx2.URL", say: Say, check: Check) -> str:
    """The SHA-256 of the partial file, filled and verified. Tries again as long as new bytes arrive."""
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled
    from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exception, wait_exponential

    transient = (_TransientError, httpx2.NetworkError, httpx2.TimeoutException, httpx2.ProtocolError, httpx2.ProxyError)
    most = arrived(item)

    def why(error: BaseException | None) -> str:
        if isinstance(error, _TransientError):
            return str(error)
        return f"no connection ({error})" if isinstance(error, httpx2.ConnectError) else "connection lost"

    def count(state: "RetryCallState") -> None:
        nonlocal most  # a try that brought bytes is not counted
        if (have := arrived(item)) > most:
            most, state.attempt_number = have, 0

    try:
        return Retrying(
            retry=retry_if_exception_type(transient),
            after=count,
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential(0.5) + wait_exception(lambda error: getattr(error, "wait", 0)),
            before_sleep=lambda state: say(
                f"{item.shown}: {why(state.outcome and state.outcome.exception())}; trying again"
            ),
            reraise=True,
        )(_stream, item, url, check)
    except transient as error:
        final = f"{why(error)}; {AGAIN}"
    except httpx2.TooManyRedirects:
        final = "redirect loop"
    except httpx2.UnsupportedProtocol as error:
        final = f"redirect to {error.request.url.scheme}://, which is not followed"
    except OfflineModeIsEnabled:
        final = "HF_HUB_OFFLINE is set; unset it to fetch"
    raise WeightsError(f"{item.shown}: {final}")


def _stream(item: Item, url: "httpx2.URL", check: Check) -> str:
    """Appends what is missing to the partial file, or begins it anew."""
    import httpx2
    from huggingface_hub import constants, get_session

    have, (length, identity) = arrived(item), _tagged(item)
    if have and str(have) == length:
        return _complete(item, check, resumed=True)
    on_hub = url.origin == httpx2.URL(constants.ENDPOINT).origin
    headers = {"Accept-Encoding": "identity"}
    if on_hub and (token := hub_token()):
        headers["Authorization"] = f"Bearer {token}"
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({} if item.digest else {"If-Range": identity})
    with get_session().stream("GET", url, headers=headers, timeout=30) as response:
        _refuse(item, response, on_hub=on_hub)
        # a weak ETag (W/) may stand for other bytes of the same meaning
        etag = re.fullmatch("(?!W/)[!-~]+", response.headers.get("ETag", ""))
        offered = item.digest or (etag[0] if etag else "")
        if resumed := response.status_code != 200:
            # some servers ignore If-Range and send a part of another file
            extent = re.fullmatch(rf"bytes {have}-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if not have or not extent or (extent[1], offered) != (length, identity):
                _discard(item)
                raise _TransientError("the server's answer does not continue the partial file")
        else:
            length = response.headers.get("Content-Length", "")
            _discard(item)
            item.tag.write_text(f"{length} {offered}", encoding="utf-8")
        total, have = int(length) if length else item.size, arrived(item)
        require_room(item.part.parent, (total or 0) - have)
        bound, name = item.size, item.target.name
        bar = tqdm(desc=name, total=total, initial=have, unit="B", unit_scale=True, leave=False, disable=None)
        with bar, item.part.open("a+b") as file:
            for chunk in response.iter_raw():
                bar.update(file.write(chunk))
                bound = whole_size(file) if bound is None else bound
                if bound is not None and file.tell() > bound:
                    break  # it cannot become whole
    return _complete(item, check, resumed=resumed)


def _refuse(item: Item, response: "httpx2.Response", *, on_hub: bool) -> None:
    status, after = response.status_code, response.headers.get("Retry-After", "")
    if status in _BUSY:
        wait = int(after) if re.fullmatch("[0-9]{1,9}", after) else 0
        if wait > _LONGEST_WAIT:
            raise WeightsError(f"{item.shown}: the server is busy (HTTP {status}); in {wait} s {AGAIN}")
        raise _TransientError(f"the server is busy (HTTP {status})", wait)
    if status in (401, 403):
        way = SIGN_IN if on_hub else "the address needs a login or has expired"
        raise WeightsError(f"{item.shown}: access denied (HTTP {status}); {way}")
    if status not in (200, 206, 416):
        why = "no such file" if status in (404, 410) else "the server does not send the file"
        raise WeightsError(f"{item.shown}: {why} (HTTP {status})")


def _tagged(item: Item) -> tuple[str, str]:
    """The length of the whole file and what identifies it, both "" if its partial file cannot be continued."""
    text = item.tag.read_text(encoding="utf-8", errors="replace") if item.tag.is_file() else ""
    length, _, identity = text.partition(" ")
    return (length, identity) if identity == (item.digest or identity) else ("", "")


def _discard(item: Item) -> None:
    item.part.unlink(missing_ok=True)
    item.tag.unlink(missing_ok=True)
