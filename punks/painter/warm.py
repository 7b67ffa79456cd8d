"""How many base models a device keeps: those used last, within a budget."""

# torch is typed in part only
# pyright: reportUnknownMemberType=false

import ctypes
import gc
import math
import os
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING

import torch

from punks.errors import DeviceError
from punks.files import weights
from punks.variants import Variant

if TYPE_CHECKING:
    from punks.painter.painter import Painter

_GB = 1_000_000_000
_SHARE = 0.8
_TO_PAINT = 4 * _GB  # a picture of 1024 px: decoding takes 1.9 GB (measured), and its graph keeps as much


def budget(device: torch.device) -> float:
    """Bytes that weights may take on a device: 80% of `limit`, so that there is room to paint. Raises DeviceError."""
    return _SHARE * limit(device)


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
        raise DeviceError(f"PUNKS_VRAM_GB: {asked!r} is no size; use a number of gigabytes such as 16")
    return gigabytes * _GB


def hold_to_limit(device: torch.device) -> None:
    """Makes `PUNKS_VRAM_GB` all that torch takes of a GPU, paintings included; beyond it is out of memory.

    What CUDA takes for itself, about 0.9 GB, comes on top.
    """
    if device.type == "cuda" and os.environ.get("PUNKS_VRAM_GB"):
        share = limit(device) / torch.cuda.mem_get_info(device)[1]
        torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)


def make_room(painters: "OrderedDict[str, Painter]", row: Variant) -> None:
    """Drops the painters used longest ago until the base of `row` fits beside the others, and any of them can paint."""
    if not painters:
        return
    device = next(iter(painters.values())).device
    needed = _size(row, device)
    while painters:
        side = max(row.base.side, *(one.base.side for one in painters.values()))
        room = min(budget(device), limit(device) - _TO_PAINT * (side / 1024) ** 2)
        if sum(one.nbytes for one in painters.values()) + needed <= room:
            break
        _drop(painters, next(iter(painters)))


def drop_others(painters: "OrderedDict[str, Painter]", kept: str) -> bool:
    """Drops every painter but one; whether there were others."""
    others = [name for name in painters if name != kept]
    for name in others:
        _drop(painters, name)
    return bool(others)


def _drop(painters: "OrderedDict[str, Painter]", name: str) -> None:
    device = painters.pop(name).device
    gc.collect()  # a pipeline holds itself in cycles
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """Gives what is free of the host's memory back to the system: glibc keeps gigabytes of a base that has gone."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # musl has none
        libc.malloc_trim(0)


def _size(row: Variant, device: torch.device) -> int:
    """Bytes of a base once it is loaded; its files are in half precision."""
    files = [path for path in weights.base_folder(row).glob("*/*.safetensors") if path.parent.name != "lora"]
    return sum(path.stat().st_size for path in files) * (1 if device.type == "cuda" else 2)
