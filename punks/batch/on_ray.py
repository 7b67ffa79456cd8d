"""A Ray cluster: Ray Data with one warm studio an actor. https://docs.ray.io/en/latest/data/batch_inference.html"""

# Ray is an optional extra, and typed in part only
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

import itertools
import logging
import pickle
from collections.abc import Generator, Iterator
from typing import Any

from punks.batch.artist import Artist, Outcome, grouped
from punks.batch.jobs import Job
from punks.errors import BatchError

WINDOW = 512  # groups of rows that the cluster holds at once; after each the actors are made anew


def paint(jobs: Iterator[Job], *, workers: int | None = None, paintings: bool = False) -> Generator[Outcome]:
    """A Place: an actor a GPU of the cluster, or `workers` of them. Raises BatchError without ray.

    The cluster is the one that RAY_ADDRESS names or that runs on this machine, else one is started here. Weights and
    this program have to be on its machines.
    """
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext, from_items
    except ImportError as error:
        raise BatchError("Ray is not here; get it: pip install 'punks[ray]'") from error
    started = not ray.is_initialized()
    if started:
        ray.init(logging_level=logging.WARNING, log_to_driver=False)
    try:
        context = DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        chunks = (pickle.dumps(chunk) for chunk in grouped(jobs, 8 if gpus else 1))
        while window := list(itertools.islice(chunks, WINDOW)):
            rows = from_items([{"jobs": chunk} for chunk in window], override_num_blocks=len(window))
            painted = rows.map_batches(
                _Actor,
                fn_constructor_args=(paintings,),
                batch_size=1,
                compute=ActorPoolStrategy(size=workers or gpus or 1),
                num_gpus=1 if gpus else 0,
            )
            for row in painted.iter_rows():
                yield pickle.loads(row["outcome"])  # noqa: S301 - of our own actors
    finally:
        if started:
            ray.shutdown()


class _Actor:
    def __init__(self, paintings: bool) -> None:
        self._outcomes: list[bytes] = []
        self._artist = Artist(lambda outcome: self._outcomes.append(pickle.dumps(outcome)), paintings=paintings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        self._outcomes.clear()
        for chunk in batch["jobs"]:
            self._artist.paint(pickle.loads(chunk))  # noqa: S301 - of our own run
        self._artist.finish()
        return {"outcome": list(self._outcomes)}
