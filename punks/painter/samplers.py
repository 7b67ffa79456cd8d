"""The samplers by the names that recipes use: each is a row, a scheduler of diffusers and its settings."""

# diffusers is typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import inspect
import sys
from typing import Any

import diffusers
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from punks.errors import RecipeError
from punks.painter.device import sent

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_trailing": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "ddim_trailing": ("DDIMScheduler", {"timestep_spacing": "trailing"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}


def make_scheduler(own: Any, name: str, steps: int) -> Any:
    """A fresh scheduler for one request, with the base's `own` noise schedule; schedulers keep state while they run."""
    kind, settings = type(own), dict[str, Any]()
    if name != "default":
        row, settings = SAMPLERS[name]
        kind = getattr(diffusers, row)
        known = inspect.signature(kind).parameters
        if own.config.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in known:
            raise RecipeError("scheduler", name, "this base needs a sampler for zero terminal SNR, such as ddim")
        if "original_inference_steps" in known:  # distilled models pick their steps from those of their training
            settings = settings | {"original_inference_steps": max(50, steps)}
    module = sys.modules[kind.__module__]
    if hasattr(module, "randn_tensor"):  # which waits at each step until a GPU has done it
        module.__dict__["randn_tensor"] = step_noise
    scheduler = kind.from_config(own.config, **settings)
    scheduler.set_timesteps(steps)  # on the host, where its arithmetic reads them
    return scheduler


def step_noise(shape: torch.Size, generator: Any, device: torch.device, dtype: torch.dtype) -> Tensor:
    """As `randn_tensor` of diffusers, but the host does not wait until noise drawn on the CPU is copied."""
    first = generator[0] if isinstance(generator, list) else generator
    if first is None or first.device.type != "cpu":
        return randn_tensor(shape, generator, device, dtype)
    return sent(randn_tensor(shape, generator, first.device, dtype), device)
