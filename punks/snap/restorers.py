"""Processes that restore paintings beside the one that paints: threads of it would wait for Python's lock."""

import logging
import os
import pickle
import queue
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from PIL import Image

from punks.errors import PunkError
from punks.snap.art import Cells
from punks.snap.restore import restore

log = logging.getLogger(__name__)
AHEAD = 16  # paintings that wait for these processes
Seconds = dict[str, float]  # of each stage
Painted = tuple[Image.Image, Seconds]
Restored = tuple[Cells, float]  # and the seconds it took
Process = subprocess.Popen[bytes]


class Restorers:
    """So many processes; they load neither torch nor the main module, and end when this object or its process does."""

    def __init__(self, count: int) -> None:
        self._idle: queue.SimpleQueue[Process] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(_start())
        self._threads = ThreadPoolExecutor(count)  # each waits for one process
        self.close = weakref.finalize(self, _close, self._threads, self._idle)

    def beside(self, paintings: Iterator[Painted], *, rules: bool) -> Iterator[tuple[Image.Image, Seconds, Cells]]:
        """Paintings in their order, with their cells, each restored while the next ones are painted.

        Those that are there come before an error of the one that follows. Raises ImageError.
        """
        waiting: deque[tuple[Painted, Future[Restored]]] = deque()

        def first() -> tuple[Image.Image, Seconds, Cells]:
            (image, seconds), future = waiting.popleft()
            cells, taken = future.result()
            return image, {**seconds, "snap": taken}, cells

        try:
            for image, seconds in paintings:
                future = self._threads.submit(_restored, self._idle, image, rules)
                waiting.append(((image, seconds), future))
                while waiting and (len(waiting) > AHEAD or waiting[0][1].done()):
                    yield first()
        except PunkError:
            while waiting:
                yield first()
            raise
        while waiting:
            yield first()


def _start() -> Process:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", __name__]
    return subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,  # which Ctrl-C does not reach; it ends when there is nothing more to read
    )


def _restored(idle: "queue.SimpleQueue[Process]", image: Image.Image, rules: bool) -> Restored:
    process = idle.get()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump((image, rules), process.stdin)
        process.stdin.flush()
        return pickle.load(process.stdout)  # noqa: S301 - of our own process
    except (OSError, EOFError, pickle.UnpicklingError):
        _end(process)
        log.warning("a process that restores paintings ended (exit code %d)", process.returncode)
        process = _start()
        return _timed(image, rules)  # and what ended that process is raised here
    finally:
        idle.put(process)


def _timed(image: Image.Image, rules: bool) -> Restored:
    start = time.perf_counter()
    return restore(image, rules=rules), time.perf_counter() - start


def _close(threads: ThreadPoolExecutor, idle: "queue.SimpleQueue[Process]") -> None:
    threads.shutdown(cancel_futures=True)
    while not idle.empty():
        _end(idle.get())


def _end(process: Process) -> None:
    with suppress(BrokenPipeError):
        process.communicate()  # closes its input


def _serve() -> None:
    """Restores what comes in until nothing more does, or nobody listens."""
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            found = _timed(*pickle.load(sys.stdin.buffer))  # noqa: S301 - of our own program
            pickle.dump(found, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    os._exit(0)  # without a word about output that nobody takes


if __name__ == "__main__":
    _serve()
