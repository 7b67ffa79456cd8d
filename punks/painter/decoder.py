"""Latents to pictures: a GPU decodes the next ones while the host works on those that have landed."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from punks.errors import PunkError
from punks.painter.device import mark

PREVIEWS = 0.1  # of the time
# levels, whether they are finite, and the event after which the host has both
Landing = tuple[Tensor, Tensor, "torch.cuda.Event | None"]


def pixels_of(vae: Any) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A function: latents (1, 4, h, w) -> RGB uint8 (8h, 8w, 3) and whether all values are finite, bool ()."""

    def decode(latents: Tensor) -> tuple[Tensor, Tensor]:
        values = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        # as diffusers' image processor: [-1, 1] to [0, 1] in the model's precision, to levels in float32
        unit = (values * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)[0].float()
        return (unit * 255).round().to(torch.uint8).contiguous(), values.isfinite().all()

    return decode


class Previews:
    """Shows a painting while it is painted, as often as that costs a tenth of the time."""

    def __init__(self, vae: Any, show: Callable[[NDArray[np.uint8]], None]) -> None:
        self._vae, self._show = vae, show
        self._started, self._spent = time.perf_counter(), 0.0

    @torch.inference_mode()
    def show(self, latents: Tensor) -> None:
        """Shows latents (1, 4, h, w) at any noise as a rough 24x24; shrunk first, decoding is a seventh of the work."""
        now = time.perf_counter()
        if self._spent > PREVIEWS * (now - self._started):
            return
        small = functional.interpolate(latents.to(self._vae.dtype), (24, 24), mode="area")
        values = self._vae.decode(small / self._vae.config.scaling_factor, return_dict=False)[0].float()
        unit = functional.adaptive_avg_pool2d(values, 24).mul(0.5).add(0.5).clamp(0, 1)
        self._show((unit[0].permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy())
        self._spent += time.perf_counter() - now


def launch(decode: Callable[[Tensor], tuple[Tensor, Tensor]], latents: Tensor) -> list[Landing]:
    """Starts to decode latents (N, 4, h, w), one picture after the other."""
    return [_copied(*decode(one)) for one in latents.split(1)]


def _copied(levels: Tensor, finite: Tensor) -> Landing:
    if levels.device.type != "cuda":
        return levels, finite, None
    host = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in (levels, finite)]
    for to, given in zip(host, (levels, finite), strict=True):
        to.copy_(given, non_blocking=True)
    return host[0], host[1], mark(levels.device, timed=True)


def landed(levels: Tensor, finite: Tensor, event: "torch.cuda.Event | None") -> Image.Image:
    """Waits for a picture. Raises PunkError where it is not finite."""
    if event is not None:
        event.synchronize()
    if not bool(finite):
        raise PunkError("the painting holds values that are not finite; lower lora_scale or guidance_scale")
    return Image.fromarray(levels.cpu().numpy())
