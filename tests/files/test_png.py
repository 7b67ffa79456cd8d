"""Every PNG is lossless and valid and carries its texts, whichever way it is written."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from punks import Finish, Recipe, generate
from punks.cli import main
from punks.errors import ImageError, RecipeError
from punks.files.init_image import picture_hash
from punks.files.png import CELLS, RECIPE, read_texts, write_png, write_rows, write_webp
from punks.request import from_json
from punks.snap import PixelArt

TEXTS = {RECIPE: '{"prompt": "lady, é漢字🙂 \\\\ \\"x\\""}', CELLS: "eNo="}


def art_of(cells: NDArray[np.uint8]) -> PixelArt:
    blank = np.zeros(cells.shape[:2], np.bool_)
    return PixelArt(cells=cells, background=blank)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [24, 25, 100, 1024])
def test_what_is_written_is_read(size: int, channels: int, tmp_path: Path):
    art = art_of(np.random.default_rng(size).integers(0, 256, (24, 24, channels), np.uint8))
    write_rows(*art.rows(size), tmp_path / "art.png", TEXTS)
    write_png(art.enlarge(size), tmp_path / "image.png", TEXTS)
    write_webp(art.enlarge(size), tmp_path / "image.webp", TEXTS)
    for path in (tmp_path / "art.png", tmp_path / "image.png", tmp_path / "image.webp"):
        with Image.open(path) as image:
            image.verify()  # the checksum of every chunk
        with Image.open(path) as image:
            assert (np.asarray(image) == np.asarray(art.enlarge(size))).all()
        assert read_texts(path) == TEXTS


def test_fewer_pixels_than_cells_are_refused(tmp_path: Path):
    art = art_of(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(RecipeError, match=r"output_size: 63 .*64 to 4096"):
        write_rows(*art.rows(63), tmp_path / "art.png")
    assert not list(tmp_path.iterdir())


def test_large_cells_make_a_small_file(tmp_path: Path):
    art = art_of(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))
    write_rows(*art.rows(1024), tmp_path / "ours.png")
    art.enlarge(1024).save(tmp_path / "pillow.png")
    assert (tmp_path / "ours.png").stat().st_size < 1.5 * (tmp_path / "pillow.png").stat().st_size
    assert (tmp_path / "ours.png").stat().st_size < 15_000


def test_a_punk_saves_what_the_command_writes_and_what_paints_it_again(tmp_path: Path):
    start, by_command = tmp_path / "start.png", tmp_path / "by command.png"
    Image.linear_gradient("L").save(start)
    recipe = Recipe(prompt="lady", variant="tiny", num_inference_steps=2, image_sha256=picture_hash(start))
    punk = generate(recipe, Finish(output_size=100), image=start)
    for path in (tmp_path / "punk.png", tmp_path / "punk.webp"):
        punk.save(str(path))
        again = generate(*from_json(read_texts(path)[RECIPE]), image=start)
        with Image.open(path) as image:
            assert image.size == (100, 100)
            assert image.tobytes() == again.image.tobytes()
    assert main(["generate", "--recipe", str(path), "--image", str(start), "-o", str(by_command)]) == 0
    assert by_command.read_bytes() == (tmp_path / "punk.png").read_bytes()
    with pytest.raises(
        RecipeError, match=r"path: 'punk\.jpg' is not allowed; use a file name that ends in \.png, \.webp, \.svg"
    ):
        punk.save("punk.jpg")
    with pytest.raises(ImageError, match="cannot be written"):
        punk.save(tmp_path / "absent/punk.png")
