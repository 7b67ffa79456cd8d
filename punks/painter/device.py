"""Which device computes, and how the host keeps time and pace with it."""

# torch is typed in part only
# pyright: reportUnknownMemberType=false

import os
import time
from collections import deque

import torch
from torch import Tensor

from punks.errors import DeviceError


def choose_device() -> torch.device:
    """`PUNKS_DEVICE`, else CUDA where there is one, else MPS, else the CPU. Raises DeviceError."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    asked = os.environ.get("PUNKS_DEVICE") or next(name for name, present in there.items() if present)
    kind, _, index = asked.partition(":")
    if kind not in there or (index and not (kind == "cuda" and index.isdecimal())):
        raise DeviceError(f"PUNKS_DEVICE: {asked!r} is no device; use cuda, cuda:N, mps or cpu")
    if not there[kind] or (index and int(index) >= torch.cuda.device_count()):
        raise DeviceError(
            f"PUNKS_DEVICE is {asked}, but torch {torch.__version__} finds no such device here; "
            "check the driver and that torch is a build for it, or set PUNKS_DEVICE=cpu"
        )
    # tensors name their GPU by its number: what is compared with them or asked about it has to do so too
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host, on a device. The host does not wait for the copy to a GPU."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def mark(device: torch.device, *, timed: bool = False) -> torch.cuda.Event:
    """An event after all that was launched on this GPU, whichever GPU torch takes for the current one."""
    event = torch.cuda.Event(enable_timing=timed)
    event.record(torch.cuda.current_stream(device))
    return event


class Clock:
    """Wall seconds that stages took. A GPU keeps the time of its laps, so that the host need not wait for them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = {}
        self._laps: list[tuple[str, torch.cuda.Event]] = []
        self._passed = mark(device, timed=True) if device.type == "cuda" else None
        self.start()

    def start(self) -> None:
        """Leaves out the host's time since the last stage."""
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """What was launched since the last lap was this stage; `seconds` has it from the next `settle` or `add` on."""
        if self._device.type == "cuda":
            self._laps.append((name, mark(self._device, timed=True)))
        else:
            self.add(name)

    def settle(self) -> None:
        """Waits for the laps and counts them."""
        for name, lap in self._laps:
            lap.synchronize()
            if self._passed is not None:
                self._count(name, self._passed.elapsed_time(lap) / 1000)
            self._passed = lap
        self._laps.clear()

    def add(self, name: str, until: torch.cuda.Event | None = None) -> None:
        """Counts what is not counted yet, which the host has waited for; on a GPU up to `until`."""
        if until is not None:
            self._laps.append((name, until))
        self.settle()
        if until is None:
            self._count(name, time.perf_counter() - self._last)

    def _count(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self._last += seconds


class Pace:
    """Keeps the host at most two steps ahead of the device, so that progress is true and a cancel is soon heard."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ahead: deque[torch.cuda.Event] = deque()

    def step(self) -> None:
        """One denoising step was launched; waits until the step before the last one is done."""
        if self._device.type != "cuda":
            return
        self._ahead.append(mark(self._device))
        if len(self._ahead) > 2:
            self._ahead.popleft().synchronize()
