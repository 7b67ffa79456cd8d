import logging
from pathlib import Path

import pytest
from PIL import Image

from punks import Recipe
from punks.errors import ImageError, RecipeError
from punks.files.init_image import picture_hash, read_init_image


def test_transparency_becomes_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (200, 100, 0, 255))
    image.save(tmp_path / "a.png")
    found = read_init_image(Recipe(prompt="lady", image_sha256=picture_hash(tmp_path / "a.png")), tmp_path / "a.png")
    assert found is not None
    assert (found.mode, found.getpixel((0, 0)), found.getpixel((1, 0))) == ("RGB", (255, 255, 255), (200, 100, 0))


def test_only_the_file_that_the_recipe_names(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    assert read_init_image(Recipe(prompt="lady"), None) is None
    with pytest.raises(RecipeError, match="image"):
        read_init_image(Recipe(prompt="lady"), tmp_path / "a.png")
    for wrong in (None, tmp_path / "a.png"):
        with pytest.raises(RecipeError, match="give the file with the SHA-256 0000"):
            read_init_image(Recipe(prompt="lady", image_sha256="0" * 64), wrong)


def test_home_is_expanded_and_addresses_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    assert picture_hash(Path("~/a.png")) == picture_hash(tmp_path / "a.png")
    with pytest.raises(ImageError, match="not a file but an address; download it first, then give the file"):
        picture_hash(Path("http://example.org/a.png"))


def test_a_broken_profile_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", icc_profile=b"no profile")
    recipe = Recipe(prompt="lady", image_sha256=picture_hash(tmp_path / "a.png"))
    with caplog.at_level(logging.WARNING):
        read_init_image(recipe, tmp_path / "a.png")
    assert "its color profile is broken or does not fit" in caplog.text
