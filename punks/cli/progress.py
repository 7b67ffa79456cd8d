"""A batch with its progress bar, which Ctrl-C ends in words."""

import signal
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punks.batch.manifest import AGAIN

if TYPE_CHECKING:
    from punks.batch.jobs import Job
    from punks.batch.places.worker import Place
    from punks.batch.run import Tally


def run_jobs(jobs: Any, folder: Path, place: "Place", **options: Any) -> "tuple[Tally, Counter[str]]":
    """Runs jobs, which have a length, as batch.run does. -> what became of them, and the count of each status.

    Raises KeyboardInterrupt after saying how to go on.
    """
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from punks.batch.run import run

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    counts: Counter[str] = Counter()
    bar = tqdm(desc="painting", total=len(jobs), unit="punk", dynamic_ncols=True, disable=None)
    with bar, logging_redirect_tqdm():

        def report(_job: "Job", status: str) -> None:
            counts[status] += 1
            bar.set_postfix_str(_counted(counts, ("kept", "finished", "failed", "again")), refresh=False)
            if status in ("done", "failed"):
                bar.update()
            elif bar.total is not None:  # not part of the rate
                bar.total += 1 if status == "again" else -1

        try:
            return run(jobs, folder, place, report=report, **options), counts
        except KeyboardInterrupt:
            bar.close()
            print(f"punks: interrupted after {counts['done']} punks; {AGAIN}", file=sys.stderr)
            raise


def _counted(counts: Counter[str], names: Iterable[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name])
