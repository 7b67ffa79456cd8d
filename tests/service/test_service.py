"""What a request to the service gets, asked of Cog's own server."""

import ast
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from punks.files.checksums import sha256
from punks.request import from_json
from punks.variants import VARIANTS
from tests.support import ROOT
from tests.support.cog_server import QUICK, Cog, data_uri, file_bytes, picture, receiver
from tests.support.recipes import recipe_in
from tests.support.servers import lora


def test_the_schema_is_served(service: Cog):
    schemas = service.ask("GET", "/openapi.json").json()["components"]["schemas"]
    nodes = ast.walk(ast.parse((ROOT / "predict.py").read_text()))
    (predict,) = (one.args.args for one in nodes if isinstance(one, ast.FunctionDef) and one.name == "predict")
    assert set(schemas["Input"]["properties"]) == {one.arg for one in predict[1:]}
    assert set(schemas["Output"]["properties"]) == set(service.output())


def test_one_prediction_has_every_part_of_the_output(service: Cog, tmp_path: Path):
    output = service.output(seed=7, background="transparent", palette="#ff0000,#00ff00,#000000")
    assert list(output) == ["confidences", "images", "paintings", "palettes", "pixels", "recipes", "seeds", "warnings"]
    assert output["seeds"] == [7]
    assert output["paintings"] is None
    image, pixels = picture(output["images"][0]), picture(output["pixels"][0])
    assert (image.format, image.size, pixels.format, pixels.size) == ("PNG", (48, 48), "PNG", (24, 24))
    assert image.resize((24, 24), Image.Resampling.NEAREST).tobytes() == pixels.tobytes()
    opaque = {color for _, color in pixels.convert("RGBA").getcolors(576) if color[3]}
    assert set(output["palettes"][0].split(",")) == {"#{:02x}{:02x}{:02x}".format(*color[:3]) for color in opaque}
    assert 0 <= output["confidences"][0] <= 1
    recipe, finish = from_json(output["recipes"][0])
    assert (recipe.seed, recipe.variant, finish.background) == (7, "sd15-perfect", "transparent")
    (tmp_path / "punk.png").write_bytes(file_bytes(output["images"][0]))
    assert recipe_in(tmp_path / "punk.png") == (recipe, finish)


def test_traits_are_one_json_input_and_what_was_not_given_is_said(service: Cog):
    bare = {name: value for name, value in QUICK.items() if name != "prompt"} | {"seed": 7, "background": "keep"}
    asked = bare | {"traits": '{"subject": "lad", "hair": "blond"}'}
    output = service.ask("POST", "/predictions", json={"input": asked}).json()["output"]
    assert from_json(output["recipes"][0])[0].prompt == "portrait of bespoke punk lad, blond hair"
    (warnings,) = output["warnings"]
    assert warnings.startswith("traits.hair: 'blond' is not in the training captions; did you mean 'blonde'?; ")
    failed = service.ask("POST", "/predictions", json={"input": bare}).json()
    assert "prompt: missing; say what to paint, for example: lady, red hair" in failed["error"]


def test_outputs_are_paired_with_their_seeds(service: Cog):
    two = service.output(seed=2**32 - 1, num_outputs=2, return_painting=True)
    assert two["seeds"] == [2**32 - 1, 0]
    assert [json.loads(one)["seed"] for one in two["recipes"]] == two["seeds"]
    for i, seed in enumerate(two["seeds"]):
        alone = service.output(seed=seed, return_painting=True)
        for part in ("images", "pixels", "palettes", "paintings", "confidences"):
            assert alone[part] == [two[part][i]]
    assert [picture(one).size for one in two["paintings"]] == [(512, 512)] * 2
    assert len(set(two["pixels"])) == 2


def test_a_webp_has_the_pixels_of_the_png_and_the_recipe(service: Cog, tmp_path: Path):
    png, webp = (service.output(output_format=kind, background="transparent") for kind in ("png", "webp"))
    image = picture(webp["images"][0])
    assert image.format == "WEBP"
    assert image.convert("RGBA").tobytes() == picture(png["images"][0]).convert("RGBA").tobytes()
    (tmp_path / "punk.webp").write_bytes(file_bytes(webp["images"][0]))
    assert recipe_in(tmp_path / "punk.webp") == from_json(webp["recipes"][0])


def test_without_a_seed_each_prediction_draws_its_own(service: Cog):
    inputs = {name: value for name, value in QUICK.items() if name != "seed"}
    answers = [service.ask("POST", "/predictions", json={"input": inputs}).json() for _ in range(2)]
    assert len({answer["output"]["seeds"][0] for answer in answers}) == 2


def test_numbers_are_what_json_says_not_how_it_is_written(service: Cog):
    whole, floats = service.output(seed=3, epoch=7, colors=4), service.output(seed=3.0, epoch=7.0, colors=4.0)
    assert whole == floats


def test_progress_metrics_and_the_line_of_the_log(service: Cog, served_weights: Path):
    answer = service.predict(num_inference_steps=2, num_outputs=2, prompt="a very private lady")
    *progress, line = answer["logs"].splitlines()
    assert progress == [" 25%|##        | 1/4", " 50%|#####     | 2/4", " 75%|#######   | 3/4", "100%|##########| 4/4"]
    facts, metrics = json.loads(line), answer["metrics"]
    assert facts["status"] == "succeeded"
    assert {"lora", "encode", "denoise", "decode", "snap", "total"} == set(metrics["seconds"])
    assert sum(metrics["seconds"].values()) - metrics["seconds"]["total"] < metrics["seconds"]["total"]
    row = VARIANTS["sd15-perfect"]
    for name, value in {
        "model": row.name,
        "epoch": row.epoch,
        "images": 2,
        "lora_sha256": sha256(served_weights / "sd15/lora" / row.lora_file(row.epoch)),
    }.items():
        assert facts[name] == metrics[name] == value
    assert "private" not in service.log


def test_another_variant_epoch_and_scale(service: Cog):
    usual = service.output()["pixels"]
    others = [service.output(**other)["pixels"] for other in ({"epoch": 10}, {"lora_scale": 0.0}, {"seed": 2})]
    assert len({*usual, *(one for other in others for one in other)}) == 4
    assert service.predict(variant="sdxl-fixed")["metrics"]["base"] == "sdxl"
    assert service.output()["pixels"] == usual


def test_a_picture_becomes_a_punk(service: Cog):
    start = Image.new("RGB", (24, 24), "red")
    start.putpixel((0, 0), (0, 0, 255))
    asked: dict[str, Any] = {"num_inference_steps": 4, "return_painting": True}
    with receiver() as web:
        uri = data_uri(start)
        web.pages["/start.png"] = file_bytes(uri)
        near, same, far, fetched = (
            service.output(image=image, prompt_strength=strength, **asked)
            for image, strength in ((uri, 0.3), (uri, 0.3), (uri, 1.0), (f"{web.url}/start.png", 0.3))
        )
    assert near == same == fetched
    assert near["paintings"] != far["paintings"]
    assert from_json(near["recipes"][0])[0].image_sha256 == json.loads(fetched["recipes"][0])["image_sha256"]


def test_a_lora_that_does_not_fit_is_refused_without_a_path(service: Cog, served_weights: Path):
    uri = f"data:application/octet-stream;base64,{base64.b64encode(lora(seed=1)).decode()}"
    error = service.predict(lora=uri)["error"]
    assert "has shapes (3072, 32) x (32, 768), the base has" in error
    assert str(served_weights) not in error


def test_what_reading_a_picture_lost_is_in_the_log_without_a_path(service: Cog):
    file = io.BytesIO()
    Image.new("RGB", (24, 24), "red").save(file, "PNG", icc_profile=b"no profile")
    uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    logs = service.predict(image=uri, num_inference_steps=2)["logs"]
    assert "its color profile is broken" in logs
    assert str(service.folder) not in logs


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("/etc/hostname", "image: '/etc/hostname' is not allowed; use an http:, https: or data: URL"),
        ("file:///etc/hostname", "image: 'file:///etc/hostname' is not allowed"),
        ("ftp://host/x.png", "image: 'ftp://host/x.png' is not allowed"),
        ("", "image: '' is not allowed"),
        ("data:text/plain;base64,aGVsbG8=", "image: not a picture that can be read"),
        ("data:image/eps;base64,JSFQUy1BZG9iZS0zLjAgRVBTRi0zLjAK", "image: not a picture that can be read"),
        ("http://127.0.0.1:9/x.png", "Connection refused"),
    ],
)
def test_only_a_picture_that_was_downloaded_is_opened(service: Cog, image: str, words: str):
    answer = service.predict(image=image, num_inference_steps=2)
    assert answer["status"] == "failed"
    assert words in answer["error"]
    assert str(service.temporary) not in answer["error"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("prompt", 5, "is not of type"),
        ("prompt", "x" * 4001, "is longer than 4000 characters"),
        ("negative_prompt", "x" * 4001, "is longer than 4000 characters"),
        ("variant", "sd3", "is not one of"),
        ("epoch", 1000, "greater than the maximum of 999"),
        ("epoch", 2.5, "is not of type"),
        ("lora_scale", -0.1, "less than the minimum of 0"),
        ("seed", 2**32, "greater than the maximum"),
        ("seed", None, "null"),
        ("num_outputs", 9, "greater than the maximum of 8"),
        ("num_inference_steps", 0, "less than the minimum of 1"),
        ("guidance_scale", 20.5, "greater than the maximum of 20"),
        ("scheduler", "dpm", "is not one of"),
        ("template", "yes", "is not of type"),
        ("palette", "x" * 5001, "is longer than 5000 characters"),
        ("colors", 1, "less than the minimum of 2"),
        ("background", "x" * 41, "is longer than 40 characters"),
        ("output_size", 4097, "greater than the maximum of 4096"),
        ("output_format", "jpg", "is not one of"),
        ("return_painting", 1, "is not of type"),
        ("image", 7, "is not of type"),
        ("prompt_strength", 1.1, "greater than the maximum of 1"),
    ],
)
def test_a_bad_field_is_refused_by_name(service: Cog, field: str, value: object, words: str):
    response = service.ask("POST", "/predictions", json={"input": QUICK | {field: value}})
    assert response.status_code == 422
    (detail,) = response.json()["detail"]
    assert detail["loc"] == ["body", "input", field]
    assert words in detail["msg"]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"traits": "{"}, "traits: '{' is not allowed; it is not JSON"),
        ({"traits": '{"hair": "red"}'}, "traits.subject: missing; use lady or lad"),
        ({"prompt": "   "}, "prompt: '   ' is not allowed; say what to paint"),
        ({"prompt": "red " * 400}, "prompt: 404 tokens|tokens fit; shorten it by"),
        ({"palette": "#12"}, "palette: '#12' is not allowed; use a hex code"),
        ({"palette": "prompt"}, "palette: 'prompt' is not allowed; there is no hex code"),
        ({"background": "nowhere"}, "background: 'nowhere' is not allowed; use keep, solid, transparent"),
        ({"variant": "sdxl-fixed", "epoch": 3}, "script/download-weights sdxl-fixed --epoch 3"),
        ({"variant": "sdxl-current"}, "script/download-weights sdxl-current"),
        (
            {"fast": "on"},
            "is not installed; get it with `script/download-weights sd15-perfect --fast`",
        ),
        ({"fast": "lightning"}, "fast: 'lightning' is not allowed; the base sd15 has hyper, lcm"),
        ({"image": data_uri(Image.new("RGB", (9, 9))), "prompt_strength": 0.1}, "too low for 1 steps; use 1"),
    ],
)
def test_what_the_schema_cannot_say_fails_with_the_way_out(
    service: Cog, served_weights: Path, inputs: dict[str, Any], words: str
):
    answer = service.predict(**inputs)
    assert answer["status"] == "failed"
    assert any(word in answer["error"] for word in words.split("|"))
    assert str(served_weights) not in answer["error"]


def test_habits_of_prompts(service: Cog):
    answer = service.output(prompt="{lady|lad}, (red hair:1.3)", num_outputs=4)
    prompts = [json.loads(recipe)["prompt"] for recipe in answer["recipes"]]
    assert set(prompts) == {"lady, (red hair:1.3)", "lad, (red hair:1.3)"}
    assert all("prompt: (red hair:1.3) is painted as text" in warned for warned in answer["warnings"])


def test_unknown_inputs_are_dropped(service: Cog):
    assert service.output(steps=5) == service.output()
