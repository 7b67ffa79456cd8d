"""What a painting starts from: noise that varies, or a picture as diffusers takes it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline
from PIL import Image

from punks import Recipe, variants
from punks.files.init_image import picture_hash
from punks.painter.noise import picture_latents, starting_noise
from punks.painter.warm import WarmBases


def recipe(**fields: Any) -> Recipe:
    return Recipe(**({"prompt": "lady, red hair", "variant": "tiny", "seed": 1} | fields))


def test_a_seed_that_varies_goes_to_the_other_seed_and_stays_noise():
    def noise(**fields: Any) -> torch.Tensor:
        one = recipe(**fields)
        return starting_noise(one, torch.Generator().manual_seed(one.seed), (1, 4, 64, 64))

    start, end = noise(), noise(seed=2)
    assert torch.equal(noise(vary=0.0, vary_seed=2), start)
    assert torch.allclose(noise(vary=1.0), end, atol=1e-5)
    assert torch.equal(noise(vary=0.3, vary_seed=1), start)
    near = [float((noise(vary=vary) - start).norm()) for vary in (0.1, 0.2, 0.5)]
    assert near == sorted(near)
    # on the great circle the angle is a share of the whole: an independent formula for the middle is the sum, scaled
    middle = (start + end) * (start.norm() / (start + end).norm())
    assert torch.allclose(noise(vary=0.5), middle, atol=0.02)
    assert float(noise(vary=0.5).std()) == pytest.approx(1, abs=0.02)


def test_a_picture_is_encoded_once_for_all_that_start_from_it():
    vae = WarmBases().painter(variants.variant("tiny")).model.vae
    picture, calls = Image.linear_gradient("L").convert("RGB"), list[int]()

    def latents(*seeds: int) -> torch.Tensor:
        with torch.inference_mode():
            return picture_latents(vae, picture, 192, [torch.Generator().manual_seed(seed) for seed in seeds])

    alone = torch.cat([latents(1), latents(2)])
    vae.encoder.register_forward_hook(lambda *_: calls.append(1))
    assert torch.equal(latents(1, 2), alone)
    assert len(calls) == 1


@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning")  # of the stock pipeline
@pytest.mark.parametrize("variant", ["tiny", "tiny-xl"])
@pytest.mark.parametrize("scheduler", ["default", "ddim", "euler_a"])
def test_a_start_from_a_picture_is_what_diffusers_does(
    tiny_weights: Path, tmp_path: Path, variant: str, scheduler: str
):
    file = tmp_path / "start.png"
    Image.linear_gradient("L").resize((192, 192)).convert("RGB").save(file)
    asked = recipe(
        variant=variant,
        lora_scale=0.0,
        num_inference_steps=4,
        guidance_scale=7.5,
        scheduler=scheduler,
        image_sha256=picture_hash(file),
        prompt_strength=0.6,
    )
    stock: Any = DiffusionPipeline.from_pretrained(tiny_weights / variant, variant="fp16", dtype=torch.float32)
    kinds = {one.__name__: one for one in stock.scheduler.compatibles}
    if scheduler != "default":
        kind = kinds[{"ddim": "DDIMScheduler", "euler_a": "EulerAncestralDiscreteScheduler"}[scheduler]]
        stock.scheduler = kind.from_config(stock.scheduler.config)
    with Image.open(file) as image:
        picture = image.copy()
    want = AutoPipelineForImage2Image.from_pipe(stock)(
        prompt=asked.painted_prompt,
        negative_prompt=asked.negative_prompt,
        image=picture,
        strength=0.6,
        generator=torch.Generator().manual_seed(1),
        num_inference_steps=4,
        guidance_scale=7.5,
    ).images[0]
    steps: list[tuple[int, int]] = []
    ((got, _),) = WarmBases().paint([asked], lambda *step: steps.append(step), picture)
    assert got.tobytes() == want.tobytes()
    assert steps == [(1, 2), (2, 2)]
