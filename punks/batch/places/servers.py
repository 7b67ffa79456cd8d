"""Servers that share jobs: each takes the next one when it is free, and those that rest or fall hold up nobody."""

import logging
import queue
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx2

from punks.batch.jobs import Job
from punks.batch.manifest import AGAIN
from punks.batch.places.worker import Outcome
from punks.errors import BatchError

TRIES = 5  # of a job, at whatever server
PATIENCE = 600.0  # seconds that a server may be away or busy with others
FIRST_WAIT, LONGEST_WAIT = 0.1, 30.0  # seconds, doubled from one try to the next
_GOODBYE = 1.0  # seconds
TIMEOUT = httpx2.Timeout(600, connect=10)  # a prediction is answered when it is done
MOST = 64_000_000  # bytes of an answer: eight pictures of 4,096 px have less
_BAD_INPUT = (400, 413, 422)
_COME_LATER = (202, 409, 429, 503)
log = logging.getLogger(__name__)


class LaterError(Exception):
    """It may go well the next time. `blame`: the job may be the cause; `wait`: the seconds that the server asks for."""

    def __init__(self, reason: str, *, blame: bool = False, wait: float = 0) -> None:
        super().__init__(reason)
        self.blame, self.wait = blame, wait


class JobError(Exception):
    """The server refuses this job, and would again."""


class Server(Protocol):
    """Paints one job at a time, on one thread. Raises LaterError, JobError, or BatchError if it never will."""

    name: str

    def paint(self, job: Job) -> Outcome: ...

    def close(self) -> None: ...


@dataclass(kw_only=True)
class _Task:
    job: Job
    tries: int = 0


class Servers:
    """A Place: one thread a server. Raises BatchError if no server is left."""

    def __init__(self, servers: Sequence[Server], *, paintings: bool) -> None:
        self.paintings = paintings
        self._left = len(servers)
        self._todo: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Outcome | BatchError] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(server,), daemon=True) for server in servers]
        for thread in self._threads:
            thread.start()

    def paint(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        out = 0
        while True:
            while out < 2 * self._left and (job := next(jobs, None)):
                self._todo.put(_Task(job=job))
                out += 1
            if not out:
                return
            result = self._done.get()
            if isinstance(result, Outcome):
                out -= 1
                yield result
                continue
            self._left -= 1
            if not self._left:
                raise result
            log.warning("%s; going on without it", result)

    def close(self) -> None:
        self._stop.set()
        for _ in self._threads:
            self._todo.put(None)
        end = time.monotonic() + _GOODBYE
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))  # one that waits for an answer ends with the program

    def _work(self, server: Server) -> None:
        end = BatchError(f"{server.name}: this program failed there, as said above; {AGAIN}")
        try:
            with closing(server):
                end = self._serve(server)
        finally:
            self._done.put(end)  # whatever ended it, nobody waits for it

    def _serve(self, server: Server) -> BatchError:
        """Takes jobs until the run ends, or this server can take no more; the reason."""
        good, failures = time.monotonic(), 0
        while True:
            if self._todo.empty():  # a time without work is none of patience
                good = time.monotonic()
            task = self._todo.get()
            if task is None or self._stop.is_set():
                return BatchError(f"{server.name}: the run has ended")
            try:
                self._done.put(server.paint(task.job))
            except JobError as error:
                self._done.put(Outcome(job=task.job, error=str(error)))
            except BatchError as error:
                self._todo.put(task)
                return error
            except LaterError as error:
                task.tries += error.blame
                if task.tries == TRIES:
                    self._done.put(Outcome(job=task.job, error=f"given up after {TRIES} tries: {error}"))
                else:
                    self._todo.put(task)  # whoever is free takes it
                if time.monotonic() - good > PATIENCE:
                    return BatchError(f"{server.name}: {error}, for {PATIENCE / 60:.0f} minutes; {AGAIN}")
                failures += 1
                # not all at once again
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (failures - 1)) * random.uniform(0.5, 1)
                self._stop.wait(max(wait, error.wait))
                continue
            good, failures = time.monotonic(), 0


def shown(url: str) -> str:
    """An address without what may be a secret: user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def checked(ask: "httpx2.Client", method: str, url: str, **options: object) -> "httpx2.Response":
    """The answer to a request, if it is one. Raises LaterError, JobError or BatchError otherwise."""
    try:
        with ask.stream(method, url, **options) as stream:  # pyright: ignore[reportArgumentType]
            response = _read(stream)
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise LaterError(f"no connection ({error})") from error
    except httpx2.RequestError as error:
        raise LaterError(f"the connection broke ({error})", blame=True) from error
    status = response.status_code
    if status in _COME_LATER:
        raise LaterError(f"busy (HTTP {status})", wait=_retry_after(response))
    if status >= 500:
        raise LaterError(f"an error of the server (HTTP {status})", blame=True, wait=_retry_after(response))
    if status in _BAD_INPUT:
        raise JobError(f"refused (HTTP {status}): {response.text[:500]}")
    if not response.is_success:
        where = shown(str(ask.base_url))
        raise BatchError(f"{where}: refused (HTTP {status}): {response.text[:200]}; check the address")
    return response


def _read(stream: "httpx2.Response") -> "httpx2.Response":
    """The whole of an answer of at most MOST bytes, also once it is unpacked. Raises LaterError."""
    content = bytearray()
    for chunk in stream.iter_bytes():
        content += chunk
        if len(content) > MOST:
            raise LaterError(f"an answer of more than {MOST // 1_000_000} MB", blame=True)
    headers = {
        name: value for name, value in stream.headers.items() if name not in ("content-encoding", "content-length")
    }
    return httpx2.Response(stream.status_code, headers=headers, content=bytes(content))


def _retry_after(response: "httpx2.Response") -> float:
    """The seconds that a server asks to wait, 0 if it does not; a number or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdecimal():
        return min(float(text), PATIENCE)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
