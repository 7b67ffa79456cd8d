"""`python -m bench.store`: what a store costs. Seconds a prediction with and without PUNKS_STORE, and of an import.

Two servers with the demo model answer in turns, so that what else the machine does meets both alike.
"""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.batch_folder import write_folder
from punks.files import weights
from punks.store.database import connect, make_url
from punks.store.folder import StoredFolder
from tests.support.cog_server import Cog, start


def seconds(cog: Cog, number: int) -> float:
    """Of one prediction, as its client sees it."""
    began = time.perf_counter()
    cog.output(seed=number, num_inference_steps=4, variant="demo", output_size=1024)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", help="by default an SQLite file")
    parser.add_argument("--predictions", type=int, default=40)
    parser.add_argument("--pictures", type=int, default=1000)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = options.store or str(folder / "punks.db")
        servers: dict[str, Cog] = {}
        for name, extra in (("without", {}), ("with", {"PUNKS_STORE": url})):
            (folder / name).mkdir()
            servers[name] = stack.enter_context(start(weights.folder(), folder / name, variant="demo", **extra))
        taken: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(options.predictions):
            for name, cog in sorted(servers.items(), reverse=bool(number % 2)):
                taken[name].append(seconds(cog, number))
        for name, values in taken.items():
            print(f"{name} a store: median {statistics.median(values):.3f} s, least {min(values):.3f} s")
        print(f"ratio of medians {statistics.median(taken['with']) / statistics.median(taken['without']):.3f}")
        write_folder(folder / "batch", options.pictures)
        engine = connect(make_url(url))
        for time_of in ("first", "second"):
            began, stored = time.perf_counter(), StoredFolder(folder / "batch")
            stored.sync(engine)
            print(f"{time_of} import of {stored.count(engine)} pictures: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
