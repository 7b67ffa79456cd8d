"""Steering changes the background of what a model predicts, and nothing else."""

from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from punks import Recipe, variants
from punks.painter.steering import Steering
from punks.painter.warm import WarmBases


def recipe(**fields: Any) -> Recipe:
    return Recipe(**({"prompt": "lady", "variant": "tiny", "seed": 1, "num_inference_steps": 2} | fields))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("DDIMScheduler", {"prediction_type": "epsilon"}),
        ("DDIMScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
        ("EulerDiscreteScheduler", {"prediction_type": "epsilon"}),
        ("EulerDiscreteScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
    ],
)
def test_steering_changes_the_background_of_what_is_predicted(kind: str, settings: dict[str, Any]):
    """A model that predicts known latents exactly: the sampler sees the color around, and the middle unchanged."""
    model = WarmBases().painter(variants.variant("tiny")).model
    scheduler = getattr(diffusers, kind).from_config(
        model.scheduler.config, **settings, timestep_spacing="trailing", clip_sample=False
    )
    scheduler.set_timesteps(4)
    with torch.inference_mode():
        steering = Steering(model.vae, scheduler, [recipe(steer=1.0, steer_color="#ff00ff"), recipe()])
    known = torch.zeros(2, 4, 24, 24)
    known[:, :, 8:, 6:18] = 3.0
    noise = torch.randn(2, 4, 24, 24, generator=torch.Generator().manual_seed(3))
    timestep = scheduler.timesteps[0]
    level = scheduler.alphas_cumprod[int(timestep)].sqrt()
    rest = (1 - level**2).sqrt()
    noisy = level * known + rest * noise
    output = level * noise - rest * known if settings["prediction_type"] == "v_prediction" else noise
    sample = noisy * (scheduler.sigmas[0] ** 2 + 1).sqrt() if kind == "EulerDiscreteScheduler" else noisy
    noisy = scheduler.scale_model_input(sample, timestep)
    seen = scheduler.step(steering(output, timestep, noisy), timestep, sample).pred_original_sample
    target = (seen[0, :, 0, 0]).view(4, 1, 1)
    assert torch.allclose(seen[1], known[1], atol=2e-2)
    assert torch.allclose(seen[0, :, 8:, 6:18], known[0, :, 8:, 6:18], atol=2e-2)
    assert torch.allclose(seen[0, :, :8], target.expand(4, 8, 24), atol=2e-2)
    with torch.inference_mode():
        color = torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 192, 192)
        latents = model.vae.encode(color).latent_dist.mean.mean((2, 3)) * model.vae.config.scaling_factor
    assert torch.allclose(target.flatten(), latents[0], atol=5e-2)


def test_a_steered_picture_is_its_own_in_every_batch():
    colors = ("teal", "red", None, "teal")
    four = [recipe(steer=1.0, steer_color=color, seed=seed) for seed, color in enumerate(colors)]
    painter = WarmBases().painter(variants.variant("tiny"))
    together = [image for image, _ in painter.paint(four)]
    for one, image in zip(four, together, strict=True):
        ((alone, _),) = painter.paint([one])
        assert np.abs(np.asarray(image, int) - np.asarray(alone, int)).max() <= 1
    unsteered = [image for one in four for image, _ in painter.paint([one.replace(steer=0.0)])]
    changed = [image.tobytes() != plain.tobytes() for image, plain in zip(together, unsteered, strict=True)]
    assert changed[:2] == [True, True]
    assert np.abs(np.asarray(together[2], int) - np.asarray(unsteered[2], int)).max() <= 1
