"""The contract of the service, asked of Cog's own server: what a request gets."""

import json
from typing import Any

from PIL import Image

from punks import Recipe
from punks.png import read_recipe
from punks.schema import openapi
from tests.cog_server import Cog, file_bytes, picture


def test_the_schema_is_served(service: Cog):
    assert service.ask("GET", "/openapi.json").json() == openapi()


def test_one_prediction_has_every_part_of_the_output(service: Cog, tmp_path: Any):
    answer = service.predict(seed=7)
    assert answer["status"] == "succeeded"
    output = answer["output"]
    assert output["seeds"] == [7]
    assert output["paintings"] is None
    (image,), (pixels,) = map(picture, output["images"]), map(picture, output["pixels"])
    assert (image.format, image.size) == ("PNG", (48, 48))
    assert (pixels.format, pixels.size) == ("PNG", (24, 24))
    assert image.resize((24, 24), Image.Resampling.NEAREST).tobytes() == pixels.tobytes()
    colors = {"#{:02x}{:02x}{:02x}".format(*color) for _, color in pixels.getcolors(576)}
    assert set(output["palettes"][0].split(",")) == colors
    assert 0 <= output["confidences"][0] <= 1
    recipe = Recipe.from_json(output["recipes"][0])
    assert (recipe.seed, recipe.variant, recipe.output_size) == (7, "sd15-perfect", 48)
    (tmp_path / "punk.png").write_bytes(file_bytes(output["images"][0]))
    assert read_recipe(tmp_path / "punk.png") == recipe


def test_outputs_are_paired_with_their_seeds(service: Cog):
    three = service.output(seed=5, num_outputs=3, return_painting=True)
    assert three["seeds"] == [5, 6, 7]
    assert [json.loads(one)["seed"] for one in three["recipes"]] == [5, 6, 7]
    for i, seed in enumerate(three["seeds"]):
        alone = service.output(seed=seed)
        assert alone["images"][0] == three["images"][i]
        assert alone["pixels"][0] == three["pixels"][i]
        assert alone["palettes"][0] == three["palettes"][i]
    assert [picture(one).size for one in three["paintings"]] == [(512, 512)] * 3
    assert len(set(three["pixels"])) == 3
