"""Which device computes, and how the host keeps time and pace with it."""

# torch is typed in part only
# pyright: reportUnknownMemberType=false

import os
import time
from collections import deque

import torch

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


class Clock:
    """Wall seconds between laps; waits for the device, so a lap is what the stage took."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.add(name)

    def add(self, name: str) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - self._last
        self.start()


def recorded(device: torch.device) -> torch.cuda.Event:
    """An event after all that was launched on this GPU, whichever GPU torch takes for the current one."""
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


class Pace:
    """Keeps the host at most two steps ahead of the device, so that progress is true and a cancel is soon heard."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ahead: deque[torch.cuda.Event] = deque()

    def step(self) -> None:
        """One denoising step was launched; waits until the step before the last one is done."""
        if self._device.type != "cuda":
            return
        event = recorded(self._device)
        self._ahead.append(event)
        if len(self._ahead) > 2:
            self._ahead.popleft().synchronize()
