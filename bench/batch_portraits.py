"""`punks batch` that hands portraits on in place of what random weights paint; bench.batch starts it.

`BENCH_PORTRAITS` is the folder that they are in.
"""

import os
import sys
from pathlib import Path

from PIL import Image

from bench.gpu_rows import StandIn
from punks.batch.places import worker
from punks.cli import main


class Portraits(StandIn):
    def __init__(self) -> None:
        super().__init__([Image.open(path) for path in Path(os.environ["BENCH_PORTRAITS"]).iterdir()])


worker.Pipeline = Portraits  # at the top level: the processes that paint import this file too

if __name__ == "__main__":
    sys.exit(main())
