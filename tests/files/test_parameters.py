"""The text that other tools read: a library for it reads ours, ours reads theirs, and nobody's is lost."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD, Base
from sd_parsers import ParserManager

from punks import Finish, Recipe, finish, open_punk
from punks.cli import main
from punks.errors import RecipeError
from punks.files.parameters import KEY, parameters, read_parameters
from punks.files.png import CELLS, RECIPE, read_texts
from punks.generate import Painting
from punks.recipe import SCHEDULERS, Lora

# as the web UI 1.10 writes it
THEIRS = """masterpiece, (pixel art:1.2), lady, red hair, <lora:pixelart_v3:0.8>, teal background
Negative prompt: blurry, "smooth",
photo: real
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567, Size: 512x768, Model hash: 6ce01, \
Model: v1-5-pruned, Variation seed: 99, Variation seed strength: 0.25, Clip skip: 2, \
Lora hashes: "pixelart_v3: 0f1d2c3b, other: 9999", Version: v1.10.1"""


def painting(recipe: Recipe | None = None) -> Painting:
    cells = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8).repeat(3, 0).repeat(3, 1)
    return Painting(recipe=recipe, image=Image.fromarray(cells.repeat(21, 0).repeat(21, 1)))


def theirs(path: Path, text: str = THEIRS, **others: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, text)
    for key, value in others.items():
        info.add_text(key, value, zip=True)
    image = painting().image
    assert image
    image.save(path, pnginfo=info)
    return path


@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_library_for_it_reads_ours(scheduler: str, suffix: str, tmp_path: Path):
    path = tmp_path / f"punk.{suffix}"
    recipe = Recipe(prompt="lady, red hair: é", seed=7, scheduler=scheduler, vary=0.5, negative_prompt="blur, soft")
    painting(recipe).finish(Finish(output_size=48)).save(path)
    assert read_texts(path).keys() == {RECIPE, CELLS, KEY}
    # piexif, by which the web UI reads it, takes a comment of the type UNDEFINED only
    assert suffix == "png" or b"\x92\x86\0\7" in path.read_bytes()
    found = ParserManager().parse(path)
    assert found is not None
    assert [prompt.value for prompt in found.prompts] == [recipe.painted_prompt]
    assert [prompt.value for prompt in found.negative_prompts] == ["blur, soft"]
    (sampler,) = found.samplers
    assert sampler.name
    assert sampler.parameters == {"cfg_scale": "7.5", "seed": "7", "steps": "30"}
    assert found.metadata["Size"] == "512x512"
    assert {model.name for model in found.models} == {"sd15"}


letters = st.characters(codec="utf-8", exclude_characters="\r\n<>\x00")
words = st.text(letters, max_size=40).filter(lambda text: text.strip(" ,") and text == text.strip())


@given(words, words, st.integers(1, 100), st.integers(0, 2**32 - 1), st.sampled_from(SCHEDULERS), st.booleans())
def test_what_we_write_we_read(prompt: str, negative: str, steps: int, seed: int, scheduler: str, other: bool):
    loras = (Lora(name="a, b: c", sha256="0" * 64),) if other else ()
    recipe = Recipe(
        prompt=prompt, negative_prompt=negative, num_inference_steps=steps, seed=seed, scheduler=scheduler, loras=loras
    )
    values, left = read_parameters(parameters(recipe))
    again = Recipe(**values)
    assert (again.num_inference_steps, again.seed, again.guidance_scale) == (steps, seed, 7.5)
    assert again.painted_prompt.strip(" ,") == recipe.painted_prompt.strip(" ,")
    assert again.negative_prompt == negative
    own = "pndm" if scheduler == "default" else scheduler.removesuffix("_trailing")
    assert again.scheduler == own
    assert [line.partition(" ")[0] for line in left] == ["Size", "Model", *(["Lora"] if other else [])]


@pytest.mark.parametrize("suffix", ["webp", "jpg"])
@pytest.mark.parametrize("order", ["be", "le"])
def test_theirs_is_read_in_webp_and_jpeg(suffix: str, order: str, tmp_path: Path):
    """The web UI writes it big-endian, as piexif does; others by Pillow, little-endian."""
    image, exif, path = painting().image, Image.Exif(), tmp_path / f"a.{suffix}"
    assert image
    exif[IFD.Exif] = {Base.UserComment: b"UNICODE\0" + f"{THEIRS} 紅".encode(f"utf-16-{order}")}
    image.save(path, exif=exif)
    assert read_texts(path) == {KEY: f"{THEIRS} 紅"}
    assert main(["snap", str(path), "-o", str(tmp_path / "b.png")]) == 0
    assert read_texts(tmp_path / "b.png") == {KEY: f"{THEIRS} 紅"}


def test_theirs_is_taken_as_far_as_it_goes():
    values, left = read_parameters(THEIRS)
    assert values == {
        "prompt": "masterpiece, (pixel art:1.2), lady, red hair, , teal background",
        "negative_prompt": 'blurry, "smooth",\nphoto: real',
        "scheduler": "dpmpp_2m_karras",
        "num_inference_steps": 28,
        "guidance_scale": 6.5,
        "seed": 1234567,
        "vary_seed": 99,
        "vary": 0.25,
    }
    assert left == [
        "<lora:pixelart_v3:0.8> (pass its file as --lora)",
        "Size 512x768",
        "Model hash 6ce01",
        "Model v1-5-pruned",
        "Clip skip 2",
        "Lora hashes pixelart_v3: 0f1d2c3b, other: 9999",
        "Version v1.10.1",
    ]
    assert Recipe(**values).vary == 0.25


def test_what_does_not_fit_is_left_out_with_the_reason():
    values, left = read_parameters("lady\nSteps: 150, Sampler: Heun, CFG scale: x, Seed: 9999999999")
    assert values == {"prompt": "lady"}
    assert [line.partition(":")[0] for line in left] == [
        "Sampler Heun",
        "num_inference_steps",
        "guidance_scale",
        "seed",
    ]
    assert read_parameters("lady, hair: red") == ({"prompt": "lady, hair: red"}, [])
    with pytest.raises(RecipeError, match="prompt"):
        read_parameters("Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 1")


@given(st.text(max_size=300))
def test_any_text_gives_a_recipe_or_the_reason(text: str):
    try:
        values, _ = read_parameters(text)
    except RecipeError:
        return
    Recipe(**values)


def test_the_command_says_what_it_takes_and_what_not(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
):
    path, out = theirs(tmp_path / "a1111.png"), tmp_path / "out.png"
    options = ["--variant", "tiny", "--steps", "2", "--size", "48", "-o", str(out)]
    assert main(["generate", "--recipe", str(path), *options]) == 0
    said = capsys.readouterr().err
    assert "made by another tool; taken: prompt, negative_prompt, scheduler, num_inference_steps" in said
    assert "left out: Size 512x768" in said
    found = open_punk(out).recipe
    assert found
    assert (found.seed, found.vary, found.num_inference_steps, found.variant) == (1234567, 0.25, 2, "tiny")


@pytest.mark.parametrize("command", ["snap", "finish"])
def test_texts_of_others_are_kept(command: str, tmp_path: Path):
    more = {"workflow": '{"nodes": [1, 2]}', "Author": "Zoë"}
    path, out = theirs(tmp_path / "a.png", **more), tmp_path / "out"
    out.mkdir()
    for indexed in ((), ("--indexed",)):
        assert main([command, str(path), "-o", str(out), "--force", *indexed]) == 0
        assert read_texts(out / "a.png") == {KEY: THEIRS, **more}
    with Image.open(out / "a.png") as image:
        assert image.info[KEY] == THEIRS


def test_ours_are_made_anew_beside_those_of_others(tmp_path: Path):
    recipe = Recipe(prompt="lad", seed=3)
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    punk = painting(recipe).finish(Finish(output_size=48))
    punk.save(first)
    info = PngImagePlugin.PngInfo()
    for key, text in itertools.chain(read_texts(first).items(), [("Author", "me"), (KEY, "old")]):
        info.add_text(key, text)
    with Image.open(first) as image:
        image.save(second, pnginfo=info)
    finish(open_punk(second), Finish(background="lime", output_size=48)).save(second)
    texts = read_texts(second)
    for other in ("3.webp", "3.svg"):  # these have no place for the texts of others
        open_punk(second).save(tmp_path / other)
    assert read_texts(tmp_path / "3.webp") == {key: texts[key] for key in (RECIPE, CELLS, KEY)}
    assert "Author" not in (tmp_path / "3.svg").read_text("utf-8")
    assert texts["Author"] == "me"
    assert texts[KEY] == parameters(recipe)
    assert '"background": "#' in texts[RECIPE]
