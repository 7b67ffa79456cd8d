"""Every sampler is one of diffusers with the base's noise schedule."""

from typing import Any

import diffusers
import pytest
import torch
from diffusers.utils.torch_utils import randn_tensor

from punks.errors import RecipeError
from punks.painter.samplers import SAMPLERS, make_scheduler, step_noise
from punks.recipe import SCHEDULERS, Recipe
from punks.request import recorded
from tests.support import ROOT

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def own() -> Any:
    return diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True
    )


def test_every_choice_has_a_sampler():
    assert set(SCHEDULERS) - {"default"} <= SAMPLERS.keys()


@pytest.mark.parametrize("name", ["default", *SAMPLERS])
@pytest.mark.parametrize("steps", [1, 4, 60])
def test_every_sampler_goes_from_noise_to_nothing_in_its_steps(own: Any, name: str, steps: int):
    scheduler = make_scheduler(own, name, steps)
    assert scheduler.config.beta_end == own.config.beta_end
    one_more = isinstance(scheduler, diffusers.PNDMScheduler) and steps > 1
    assert len(scheduler.timesteps) == steps + one_more
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    latents = sample * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(latents, timestep)
        # all that is there is noise: the finished picture is nothing
        noise = scaled / (1 - scheduler.alphas_cumprod[int(timestep)]).sqrt()
        latents = scheduler.step(noise, timestep, latents, return_dict=False)[0]
    most = 0.5 if name in ("lcm", "tcd", "euler_a") else 0.1
    # one step of PNDM is half of what it does in two
    assert float(latents.std()) < (1 if isinstance(scheduler, diffusers.PNDMScheduler) and steps == 1 else most)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]])
def test_steps_add_the_noise_of_diffusers(device: str, seeds: list[int]):
    def generators() -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    shape, to = torch.Size([len(seeds), 4, 8, 8]), torch.device(device)
    for kind in (torch.float32, torch.float16):
        theirs = randn_tensor(shape, generators(), to, kind)
        assert torch.equal(step_noise(shape, generators(), to, kind), theirs)


def test_samplers_without_generators_draw_as_before():
    noises: list[torch.Tensor] = []
    for draw in (randn_tensor, step_noise):
        torch.manual_seed(3)
        noises.append(draw(torch.Size([1, 4, 8, 8]), generator=None, device=torch.device("cpu"), dtype=torch.float32))
    assert torch.equal(*noises)


def test_trailing_timesteps_begin_at_the_last_one(own: Any):
    assert make_scheduler(own, "ddim_trailing", 8).timesteps[0] == 999
    assert make_scheduler(own, "ddim", 8).timesteps[0] < 999


def test_a_sampler_that_cannot_sample_the_base_is_refused(own: Any):
    own.register_to_config(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    with pytest.raises(RecipeError, match="scheduler: 'pndm' is not allowed; this base needs a sampler for zero"):
        make_scheduler(own, "pndm", 4)
    for name in ("ddim", "ddim_trailing", "tcd", "lcm", "euler"):
        make_scheduler(own, name, 4)


def test_demo_punks_of_before_are_painted_by_their_sampler():
    own = diffusers.DDIMScheduler.from_pretrained(ROOT / "weights/demo/scheduler")
    painted = {"prompt": "lady", "variant": "demo", "scheduler": "default", "num_inference_steps": 8, "seed": 1}
    recipe, _ = recorded(painted)
    before, now = make_scheduler(own, "default", 8), make_scheduler(own, recipe.scheduler, recipe.num_inference_steps)
    assert (type(now), dict(now.config)) == (type(before), dict(before.config))
    assert now.timesteps.tolist() == before.timesteps.tolist()
    assert Recipe(prompt="lady", variant="demo").scheduler == "unipc"
