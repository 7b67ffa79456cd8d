"""What was asked for is painted or given, what could not be is said, and what is off changes nothing."""

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from punks import Recipe, Studio
from punks.cli import main
from punks.errors import RecipeError
from punks.files.png import read_recipe
from punks.generate import Punk, restore
from punks.painter.noise import starting_noise
from punks.painter.steering import steer
from punks.prompts import complete
from punks.snap import snap
from training.portraits import draw, sample

TRAITS = {"subject": "lady", "hair": "red, curly", "eyes": "green", "background": "teal", "wear": ["gold crown"]}
CAPTION = "portrait of bespoke punk lady, red curly hair, wearing gold crown, green eyes, teal solid background"


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio()


def recipe(**fields: Any) -> Recipe:
    return Recipe(**({"prompt": "lady, red hair", "variant": "tiny", "seed": 1} | fields))


def pixels(punk: Punk) -> np.ndarray:
    return np.asarray(punk.painting, int)


def test_with_all_options_off_the_picture_is_what_plain_diffusers_paints(studio: Studio, tiny_weights: Path):
    fields = {"traits": TRAITS, "background": "keep", "eyes": "keep", "steer": 0.0, "vary": 0.0, "vary_seed": 9}
    asked = recipe(prompt=None, lora_scale=0.0, **fields)
    stock = DiffusionPipeline.from_pretrained(tiny_weights / "tiny", variant="fp16", dtype=torch.float32)
    painted = stock(
        prompt=complete(CAPTION),
        negative_prompt=asked.negative_prompt,
        latents=torch.randn(1, 4, 24, 24, generator=torch.Generator().manual_seed(1)),
        num_inference_steps=2,
        guidance_scale=7.5,
        height=192,
        width=192,
    ).images[0]
    punk = studio.generate(asked)
    assert punk.painting.tobytes() == painted.tobytes()
    assert (punk.art.cells == snap(painted).cells).all()
    assert punk.warnings == ()


def test_traits_decide_what_nothing_else_does():
    built = Recipe(traits=TRAITS, seed=1)
    assert (built.prompt, built.background, built.eyes) == (CAPTION, "#148a8c", "green")
    assert Recipe.from_json(built.to_json()) == built
    assert Recipe(prompt="a cat", traits=TRAITS, background="keep", eyes="blue", seed=1) == built.replace(
        prompt="a cat", background="keep", eyes="blue"
    )
    other = built.replace(traits=TRAITS | {"background": "blue checkered", "eyes": "hazel"})
    assert (other.prompt.endswith("hazel eyes, blue checkered background"), other.background, other.eyes) == (
        True,
        "keep",
        "keep",
    )


def test_a_row_of_columns_is_a_recipe_with_traits():
    row = {"subject": "lady", "hair": "red, curly", "eyes": "green", "background": "teal", "wear": "gold crown"}
    assert Recipe.from_dict(row | {"seed": 1}) == Recipe(traits=TRAITS, seed=1)
    clear = Recipe.from_dict({"subject": "lady", "hair": "red", "background": "transparent", "seed": 1})
    assert (clear.background, clear.prompt) == ("transparent", "portrait of bespoke punk lady, red hair")
    plain = Recipe.from_dict({"prompt": "lady", "background": "teal", "eyes": "blue", "seed": 1})
    assert (plain.traits, plain.background, plain.eyes) == (None, "teal", "blue")
    with pytest.raises(RecipeError, match=r"traits\.subject: nothing is given"):
        Recipe.from_dict({"hair": "red"})
    with pytest.raises(RecipeError, match="traits: 3 is not allowed; use an object such as"):
        Recipe.from_dict({"traits": 3})


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


def test_variations_of_one_seed_are_painted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["generate", "lady", "--variant", "tiny", "--seed", "7", "-n", "2", "-o", str(tmp_path)]
    assert main([*command, "--vary", "0.2", "--json"]) == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["seed"], one["recipe"]["vary_seed"]) for one in facts] == [(7, 8), (7, 9)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["punk-7-8.png", "punk-7-9.png"]
    assert (tmp_path / "punk-7-8.png").read_bytes() != (tmp_path / "punk-7-9.png").read_bytes()
    again = ["generate", "--recipe", str(tmp_path / "punk-7-8.png"), "--vary-seed", "9", "-o", str(tmp_path / "9.png")]
    assert main(again) == 0
    assert (tmp_path / "9.png").read_bytes() == (tmp_path / "punk-7-9.png").read_bytes()
    with pytest.raises(RecipeError, match=r"vary: 0\.2 is not allowed; a painting that starts from a picture"):
        recipe(vary=0.2, image="0" * 64)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("DDIMScheduler", {"prediction_type": "epsilon"}),
        ("DDIMScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
        ("EulerDiscreteScheduler", {"prediction_type": "epsilon"}),
        ("EulerDiscreteScheduler", {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}),
    ],
)
def test_steering_changes_the_background_of_what_is_predicted(studio: Studio, kind: str, settings: dict[str, Any]):
    """A model that predicts known latents exactly: the sampler must see the colour around, and the middle unchanged."""
    pipeline = studio.painter("tiny")._pipeline
    pipeline.scheduler = scheduler = getattr(diffusers, kind).from_config(
        pipeline.scheduler.config, **settings, timestep_spacing="trailing", clip_sample=False
    )
    scheduler.set_timesteps(4)
    flat = recipe(background="#ff00ff", steer=1.0)
    steer(pipeline, [flat, flat.replace(background="keep")])
    known = torch.zeros(2, 4, 24, 24)
    known[:, :, 8:, 6:18] = 3.0
    noise = torch.randn(2, 4, 24, 24, generator=torch.Generator().manual_seed(3))
    timestep = scheduler.timesteps[0]
    level = scheduler.alphas_cumprod[int(timestep)].sqrt()
    rest = (1 - level**2).sqrt()
    sample_ = level * known + rest * noise
    output = level * noise - rest * known if settings["prediction_type"] == "v_prediction" else noise
    if kind == "EulerDiscreteScheduler":
        sample_ = sample_ * (scheduler.sigmas[0] ** 2 + 1).sqrt()
    seen = scheduler.step(output, timestep, sample_).pred_original_sample
    target = (seen[0, :, 0, 0]).view(4, 1, 1)
    assert torch.allclose(seen[1], known[1], atol=2e-2)
    assert torch.allclose(seen[0, :, 8:, 6:18], known[0, :, 8:, 6:18], atol=2e-2)
    assert torch.allclose(seen[0, :, :8], target.expand(4, 8, 24), atol=2e-2)
    with torch.inference_mode():
        color = torch.tensor([1.0, -1.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 192, 192)
        latents = pipeline.vae.encode(color).latent_dist.mean.mean((2, 3)) * pipeline.vae.config.scaling_factor
    assert torch.allclose(target.flatten(), latents[0], atol=5e-2)


def test_a_steered_picture_is_its_own_in_every_batch(studio: Studio):
    four = [recipe(steer=1.0, background=name, seed=seed) for seed, name in enumerate(("teal", "red", "keep", "teal"))]
    painter = studio.painter("tiny")
    together = list(painter.paint(four, ["lady"] * 4).images)
    for one, image in zip(four, together, strict=True):
        alone = next(iter(painter.paint([one], ["lady"]).images))
        assert np.abs(np.asarray(image, int) - np.asarray(alone, int)).max() <= 1
    unsteered = [next(iter(painter.paint([one.replace(steer=0.0)], ["lady"]).images)) for one in four]
    changed = [image.tobytes() != plain.tobytes() for image, plain in zip(together, unsteered, strict=True)]
    assert changed[:2] == [True, True]
    assert np.abs(np.asarray(together[2], int) - np.asarray(unsteered[2], int)).max() <= 1


def test_eyes_are_given_where_they_are_found_and_a_warning_where_not():
    portrait = draw(sample(np.random.default_rng([31, 5])), np.random.default_rng(5))
    painting = restore_input(portrait.cells)
    for name in ("brown", "green"):
        art, warnings = restore(painting, recipe(eyes=name))
        kept, _ = restore(painting, recipe())
        changed = (art.cells != kept.cells).any(-1)
        irises = portrait.masks["left eye"] | portrait.masks["right eye"]
        assert warnings == []
        assert not changed[~irises].any()
        assert changed.any() == (portrait.traits.eyes != name)
        assert {tuple(row) for row in art.palette.tolist()} == {tuple(c) for c in art.cells.reshape(-1, 3).tolist()}
    few = "#000000,#ffffff,#f2ccb3,#b02020,#b06020,#204080"
    art, warnings = restore(painting, recipe(eyes="blue", palette=few))
    assert warnings == []
    assert {tuple(c) for c in art.cells[irises].tolist()} >= {(0x20, 0x40, 0x80)}
    assert set(art.hexes) <= set(few.split(","))
    art, warnings = restore(painting, recipe(eyes="green", palette=few))
    assert warnings == ["eyes: the palette has no colour that could become green; they stay as painted"]
    assert set(art.hexes) <= set(few.split(","))
    blank = restore_input(np.full((24, 24, 3), 90, np.uint8))
    art, warnings = restore(blank, recipe(eyes="brown"))
    assert warnings == ["eyes: no two were found for sure that could become brown; they stay as painted"]
    assert (art.cells == 90).all()


def restore_input(cells: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST)


def test_warnings_say_what_may_not_be_as_asked(studio: Studio):
    odd = studio.generate(recipe(prompt="a cat", traits={"subject": "lad", "hair": "blond"}, steer=0.5))
    assert odd.warnings == (
        "traits.hair: the training knows no 'blond'; did you mean 'blonde'?",
        "prompt: it has the last word, and does not say the traits as they are given",
        "steer: with the background 'keep' there is no colour to go to",
    )


def test_the_command_line_takes_traits_and_changes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    words = ["--lady", "--hair", "red, curly", "--eyes", "green", "--background", "teal", "--wear", "gold crwn"]
    assert main(["generate", "--variant", "tiny", *words, "--seed", "1", "-o", str(first)]) == 0
    said = capsys.readouterr().err
    assert "punks: a.png: traits.wear: the training knows no 'gold crwn'; did you mean 'gold crown'?" in said
    made = read_recipe(first)
    assert made.prompt == CAPTION.replace("crown", "crwn")
    assert (made.background, made.eyes) == ("#148a8c", "green")
    changes = ["--eyes", "brown", "--background", "solid", "--wear", "tiara"]
    assert main(["generate", "--recipe", str(first), *changes, "-o", str(second)]) == 0
    changed = read_recipe(second)
    assert changed.prompt == CAPTION.replace("gold crown", "tiara").replace("green", "brown")
    assert (changed.background, changed.eyes) == ("solid", "brown")
    assert main(["generate", "--recipe", str(first), "--background", "lime", "-o", str(tmp_path / "c.png")]) == 0
    alone = read_recipe(tmp_path / "c.png")
    assert alone == made.replace(background="lime")  # the same painting, on another background
    capsys.readouterr()
    assert main(["generate", "--variant", "tiny", "--hair", "red"]) == 2
    assert "traits.subject: nothing is given; use lady or lad" in capsys.readouterr().err
    assert main(["traits", "--json"]) == 0
    assert "golden hoop earrings" in json.loads(capsys.readouterr().out)["wear"]
    assert main(["traits"]) == 0
    assert capsys.readouterr().out.startswith("subject     lady, lad\n")
