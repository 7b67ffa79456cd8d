"""`python -m punks.painter.warm [VARIANT]`: compiles the engine of a variant's base, once for this GPU and torch."""

import argparse
import logging
import os
import shutil
import sys
import time

from punks import variants, weights
from punks.errors import DeviceError, PunkError


def main() -> int:
    """Compiles, and says what came of it. 0: the packages are there; 1: it could not be done."""
    parser = argparse.ArgumentParser(prog="script/warm-engine", description="Compile the engine for this GPU, once.")
    parser.add_argument("variant", nargs="?", default=variants.DEFAULT, choices=list(variants.VARIANTS))
    parser.add_argument("--pictures", type=int, nargs="+", default=[1, 8], metavar="N", help="batch sizes (1 8)")
    parser.add_argument("--tokens", type=int, nargs="+", default=[77], choices=[77, 227], help="prompt lengths (77)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        warm(args.variant, [(pictures, tokens) for tokens in args.tokens for pictures in args.pictures])
    except PunkError as error:
        print(f"punks: {error}", file=sys.stderr)
        return 1
    return 0


def warm(variant: str, shapes: list[tuple[int, int]]) -> None:
    """Compiles the base of a variant for (pictures, tokens). Raises DeviceError, WeightsError."""
    row = variants.variant(variant)
    weights.require(row, row.epoch)
    from punks.painter.device import choose_device
    from punks.painter.pipeline import Painter

    device = choose_device()
    if device.type != "cuda":
        raise DeviceError(f"the engine is compiled on the GPU that it is for, and this device is {device}")
    if shutil.which("g++") is None:
        raise DeviceError("the engine is compiled with g++, which is not here; install it (Debian: apt install g++)")
    os.environ["PUNKS_ENGINE"] = "eager"  # packages are made of the models themselves, not of graphs or older packages
    started = time.perf_counter()
    folder = Painter(row, device).compile(shapes)
    size = sum(path.stat().st_size for path in folder.glob("*.pt2")) / 1e6
    print(f"{folder}: {size:.0f} MB, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
