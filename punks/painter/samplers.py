"""The samplers by the names that recipes use."""

# diffusers is typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import diffusers

from punks.errors import RecipeError
from punks.recipe import Recipe

_SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "dpmpp_2m_karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}


def make_scheduler(own: Any, recipe: Recipe) -> Any:
    """A fresh scheduler for one request, with the base's own noise schedule; schedulers keep state while they run."""
    if recipe.scheduler == "default":
        return _on_host(type(own).from_config(own.config))
    name, settings = _SCHEDULERS[recipe.scheduler]
    kind = getattr(diffusers, name)
    if own.config.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in kind._get_init_keys(kind):
        raise RecipeError("scheduler", recipe.scheduler, f"it cannot sample {recipe.variant}, which needs zero SNR")
    if recipe.scheduler == "lcm":
        settings = {"original_inference_steps": max(50, recipe.num_inference_steps)}
    return _on_host(kind.from_config(own.config, **settings))


def _on_host(scheduler: Any) -> Any:
    """Keeps its timesteps on the host, where its arithmetic reads them: on the device each read would wait for it."""
    own = scheduler.set_timesteps

    def set_timesteps(steps: int, device: Any = None, **options: Any) -> None:  # noqa: ARG001
        own(steps, device="cpu", **options)

    scheduler.set_timesteps = set_timesteps
    return scheduler
