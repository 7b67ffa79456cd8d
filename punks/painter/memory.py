"""How much of a device's memory this program may take, and how the host's goes back to the system."""

# torch is typed in part only
# pyright: reportUnknownMemberType=false

import ctypes
import math
import os
import sys

import torch

from punks.errors import DeviceError

GB = 1_000_000_000
_WEIGHTS_SHARE = 0.8


def limit(device: torch.device) -> float:
    """Bytes that this program may take on a device: `PUNKS_VRAM_GB`, else all its memory. Raises DeviceError."""
    asked = os.environ.get("PUNKS_VRAM_GB")
    if not asked:
        if device.type == "cuda":
            return torch.cuda.mem_get_info(device)[1]
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        gigabytes = float(asked)
    except ValueError:
        gigabytes = math.nan
    if not 0 < gigabytes < math.inf:
        raise DeviceError(f"PUNKS_VRAM_GB: {asked!r} is not a size; use a number of gigabytes such as 16")
    return gigabytes * GB


def budget(device: torch.device) -> float:
    """Bytes that weights may take on a device: 80% of `limit`; the rest is for painting. Raises DeviceError."""
    return _WEIGHTS_SHARE * limit(device)


def enforce_limit(device: torch.device) -> None:
    """Makes torch run out of memory at `PUNKS_VRAM_GB` on a GPU. CUDA itself takes about 0.9 GB on top."""
    if device.type == "cuda" and os.environ.get("PUNKS_VRAM_GB"):
        share = limit(device) / torch.cuda.mem_get_info(device)[1]
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)


def trim_host() -> None:
    """Returns free host memory to the system: glibc keeps gigabytes of a base that was dropped."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # musl has none
        libc.malloc_trim(0)
