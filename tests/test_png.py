"""Every PNG is lossless and valid and carries its recipe, whichever way its rows are filtered."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from punks import Recipe
from punks.png import read_recipe, write_png

RECIPE = Recipe(prompt="lady, é漢字🙂")


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("side", "times"), [(24, 1), (24, 2), (24, 42), (1, 1), (1, 3)])
def test_what_is_written_is_read(side: int, times: int, channels: int, tmp_path: Path):
    cells = np.random.default_rng(side).integers(0, 256, (side, side, channels), np.uint8)
    pixels = cells.repeat(times, axis=0).repeat(times, axis=1)
    write_png(Image.fromarray(pixels), tmp_path / "x.png", RECIPE)
    with Image.open(tmp_path / "x.png") as image:
        image.verify()  # the checksum of every chunk
    with Image.open(tmp_path / "x.png") as image:
        assert (np.asarray(image) == pixels).all()
    assert read_recipe(tmp_path / "x.png") == RECIPE


def test_a_picture_of_large_cells_is_a_small_file(tmp_path: Path):
    cells = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    image = Image.fromarray(cells).resize((1008, 1008), Image.Resampling.NEAREST)
    write_png(image, tmp_path / "ours.png")
    image.save(tmp_path / "pillow.png")
    assert (tmp_path / "ours.png").stat().st_size < 1.5 * (tmp_path / "pillow.png").stat().st_size
    assert (tmp_path / "ours.png").stat().st_size < 15_000
