"""This machine: one process a GPU, or as many as asked for; a process that dies takes no other along."""

import itertools
import multiprocessing
import os
import queue
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from tqdm import tqdm

from punks.batch.jobs import Job
from punks.batch.manifest import AGAIN
from punks.batch.places.worker import Outcome, Worker, grouped
from punks.errors import BatchError

DEATHS = 3  # of processes with no picture in between: the machine is at fault, not a row
_FEWER = "fewer --workers leave more memory for each"
TRIES = 2  # of a row during which its process died


class Local:
    """A Place: processes that keep their models warm, started when there is work for them.

    Raises BatchError if process after process dies.
    """

    def __init__(self, *, workers: int | None = None, paintings: bool = False) -> None:
        self.paintings, self._devices = paintings, _devices(workers)
        self._crew: dict[int, _Process] = {}

    def paint(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        # a GPU paints eight at once; on a CPU a row of its own is as fast, and shared out more evenly
        gpu = self._devices[0].startswith("cuda")
        size = 8 if gpu else 1
        # one group to paint for each, then one at hand; a GPU paints one while another is finished
        room = [count * size for count in range(3 if gpu else 2)]
        chunks, again = grouped(jobs, size), deque[list[Job]]()
        crew, deaths, died = self._crew, 0, Counter[int]()
        while True:
            for most, (place, device) in itertools.product(room, enumerate(self._devices)):
                if place in crew and len(crew[place].left) > most:
                    continue
                if not (chunk := again.popleft() if again else next(chunks, None)):
                    break
                if place not in crew:
                    crew[place] = _Process(device, paintings=self.paintings)
                crew[place].give(chunk)
            if not any(worker.left for worker in crew.values()):
                return
            ready = wait([worker.connection for worker in crew.values()])
            for place, worker in [(place, worker) for place, worker in crew.items() if worker.connection in ready]:
                if outcome := worker.take():
                    deaths = 0
                    yield outcome
                    continue
                deaths += 1
                way = crew.pop(place).end()
                if deaths == DEATHS:
                    raise BatchError(f"{deaths} painting processes in a row ended ({way}); {_FEWER}, and {AGAIN}")
                left = list(worker.left.values())
                if left:
                    died[left[0].number] += 1
                    if died[left[0].number] == TRIES:
                        yield Outcome(job=left.pop(0), error=f"the painting process ended {TRIES} times ({way})")
                # one by one, to find out which of them it was
                again.extend([job] for job in left)

    def close(self) -> None:
        for worker in self._crew.values():
            worker.end()
        self._crew.clear()


class _Process:
    """A process, and the jobs it has not answered yet, in the order they were given."""

    def __init__(self, device: str, *, paintings: bool) -> None:
        # spawned: a forked process can use neither CUDA nor the threads that torch has started
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, device, paintings), daemon=True)
        # Ctrl-C reaches every process of a terminal, also one that is starting; the run decides what becomes of it
        resource_tracker.ensure_running()  # which lets it through again when it starts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        theirs.close()
        self.left: dict[int, Job] = {}

    def give(self, jobs: list[Job]) -> None:
        self.left |= {job.number: job for job in jobs}
        with suppress(OSError):  # it died; take() says so
            self.connection.send(jobs)

    def take(self) -> Outcome | None:
        """What it has to say; None if it died."""
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, OSError):
            return None
        del self.left[outcome.job.number]
        return outcome

    def end(self) -> str:
        """Ends the process, if it has not ended; how it ended, in words."""
        self._process.join(0.1)
        self._process.kill()
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit {code}"


def _devices(workers: int | None) -> list[str]:
    """What PUNKS_DEVICE is in each process; empty lets it choose."""
    asked = os.environ.get("PUNKS_DEVICE", "")
    found = [asked]
    if not asked:
        import torch

        found = [f"cuda:{i}" for i in range(torch.cuda.device_count())] or [""]
    return list(itertools.islice(itertools.cycle(found), workers or len(found)))


def _work(connection: Connection, device: str, paintings: bool) -> None:
    """What a process does until its connection closes, which it also does when the run is killed."""
    # its own would be shared between processes, and outlive one that is killed
    tqdm.set_lock(threading.RLock())  # pyright: ignore[reportUnknownMemberType]
    if device:
        os.environ["PUNKS_DEVICE"] = device
    given: queue.SimpleQueue[list[Job]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, given), daemon=True).start()
    lock = threading.Lock()

    def emit(outcome: Outcome) -> None:
        with lock:
            connection.send(outcome)

    worker = Worker(emit, paintings=paintings)
    while True:
        worker.paint(given.get())
        while given.empty() and worker.settle():
            pass


def _listen(connection: Connection, given: "queue.SimpleQueue[Any]") -> None:
    try:
        while True:
            given.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)
