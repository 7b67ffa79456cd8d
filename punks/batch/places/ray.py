"""A Ray cluster: Ray Data with one warm pipeline an actor. https://docs.ray.io/en/latest/data/batch_inference.html"""

# Ray is an optional extra, and typed in part only
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

import itertools
import logging
import pickle
from collections.abc import Iterator
from typing import Any

from punks.batch.jobs import Job
from punks.batch.places.worker import Outcome, Worker, grouped
from punks.errors import BatchError

WINDOW = 512  # groups of rows that the cluster holds at once; after each the actors are made anew


class OnRay:
    """A Place: an actor a GPU of the cluster, or `workers` of them. Raises BatchError without ray.

    The cluster is the one that RAY_ADDRESS names or that runs on this machine, else one is started here. Weights and
    this program have to be on its machines.
    """

    def __init__(self, *, workers: int | None = None, paintings: bool = False) -> None:
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise BatchError("Ray is not installed; pip install 'punks[ray]'") from error
        self.paintings, self._ray = paintings, ray
        self._started = not ray.is_initialized()
        if self._started:
            ray.init(logging_level=logging.WARNING, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        self._gpus = int(ray.cluster_resources().get("GPU", 0))
        self._size = workers or self._gpus or 1

    def paint(self, jobs: Iterator[Job]) -> Iterator[Outcome]:
        data = self._ray.data
        chunks = (pickle.dumps(chunk) for chunk in grouped(jobs, 8 if self._gpus else 1))
        while window := list(itertools.islice(chunks, WINDOW)):
            rows = data.from_items([{"jobs": chunk} for chunk in window], override_num_blocks=len(window))
            painted = rows.map_batches(
                _Actor,
                fn_constructor_args=(self.paintings,),
                batch_size=1,
                compute=data.ActorPoolStrategy(size=self._size),
                num_gpus=1 if self._gpus else 0,
            )
            for row in painted.iter_rows():
                yield pickle.loads(row["outcome"])  # noqa: S301 - of our own actors

    def close(self) -> None:
        if self._started:
            self._ray.shutdown()


class _Actor:
    def __init__(self, paintings: bool) -> None:
        self._outcomes: list[bytes] = []
        self._worker = Worker(lambda outcome: self._outcomes.append(pickle.dumps(outcome)), paintings=paintings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        self._outcomes.clear()
        for chunk in batch["jobs"]:
            self._worker.paint(pickle.loads(chunk))  # noqa: S301 - of our own run
        self._worker.finish()
        return {"outcome": list(self._outcomes)}
