"""LoRA files that requests name: beside or instead of the variant's own, and found again by their hash."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from punks import Recipe, fast, paint
from punks.batch.jobs import read_jobs
from punks.cli import main
from punks.errors import LoraError, RecipeError, WeightsError
from punks.fast import Acceleration
from punks.files import weights
from punks.files.checksums import sha256
from punks.files.png import RECIPE, read_texts
from punks.lora.store import find, kept, place, resolve, with_loras
from punks.recipe import Lora
from punks.request import from_json
from tests.conftest import TINY, TINY_XL


def quiet(_: str) -> None:
    """Says nothing."""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A LoRA of the user's: that of tiny's second epoch under another name."""
    path = tmp_path / "my style.safetensors"
    path.write_bytes(weights.lora_path(TINY, 2).read_bytes())
    return path


def painted(**fields: object) -> np.ndarray:
    recipe = Recipe(prompt="lady", seed=1, variant="tiny", num_inference_steps=2, **fields)  # pyright: ignore
    return np.asarray(paint(recipe).image)


def test_a_file_instead_of_the_variants_own_paints_what_it_would(own: Path):
    lora = kept(own, say=quiet)
    assert np.array_equal(painted(lora_scale=0.0, loras=(lora,)), painted(epoch=2))
    assert not np.array_equal(painted(loras=(lora,)), painted())  # beside it
    half = kept(own, scale=0.5, say=quiet)
    assert np.array_equal(painted(lora_scale=0.0, loras=(half,)), painted(epoch=2, lora_scale=0.5))
    assert np.array_equal(painted(lora_scale=0.0, loras=(kept(own, scale=0.0, say=quiet),)), painted(lora_scale=0.0))


def test_the_base_is_read_off_the_file(own: Path, tmp_path: Path):
    values = with_loras({}, [f"{own}:0.5"], quiet)
    assert (values["variant"], values["lora_scale"], values["loras"][0].scale) == ("tiny", 0.0, 0.5)
    other = tmp_path / "xl.safetensors"
    other.write_bytes(weights.lora_path(TINY_XL, 1).read_bytes())
    assert with_loras({}, [str(other)], quiet)["variant"] == "tiny-xl"
    assert "lora_scale" not in with_loras({"variant": "tiny"}, [str(own)], quiet)  # beside the variant's own
    with pytest.raises(LoraError):
        painted(loras=(kept(other, say=quiet),))


def test_the_same_command_and_the_picture_paint_it_again(own: Path, tmp_path: Path):
    first, again = tmp_path / "a.png", tmp_path / "b.png"
    words = ["--steps", "2", "--seed", "3", "--size", "48"]
    assert main(["generate", "lady", "--lora", f"{own}:0.8", *words, "-o", str(first)]) == 0
    own.unlink()  # it is found by its hash
    assert main(["generate", "--recipe", str(first), "-o", str(again)]) == 0
    assert first.read_bytes() == again.read_bytes()
    recipe, _ = from_json(read_texts(first)[RECIPE])
    (lora,) = recipe.loras
    assert (recipe.variant, recipe.lora_scale, lora.name, lora.scale) == ("tiny", 0.0, "my style", 0.8)
    gone = replace(lora, sha256="0" * 64)
    with pytest.raises(LoraError, match=r"LoRA my style .SHA-256 0{12}.* is not installed; it came from my style"):
        paint(recipe.replace(loras=(gone,)))


def test_an_acceleration_lora_is_found_beside_its_base(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    digest = sha256(own)
    row = Acceleration(name="lcm", base="tiny", lora="quick", sha256=digest, scheduler="lcm", num_inference_steps=3)
    monkeypatch.setattr(fast, "ROWS", [*fast.ROWS, row])
    first, again = tmp_path / "a.png", tmp_path / "b.png"
    words = ["lady", "--seed", "3", "--size", "48", "--variant", "tiny", "-o", str(first)]
    path = weights.fast_path(TINY, row)
    path.write_bytes(own.read_bytes())
    try:
        assert main(["generate", "--fast", *words]) == 0
        recipe, _ = from_json(read_texts(first)[RECIPE])
        assert (recipe.num_inference_steps, recipe.scheduler, recipe.loras[0].name) == (3, "lcm", "quick")
        assert np.array_equal(
            np.asarray(paint(recipe).image),
            np.asarray(paint(recipe.replace(loras=(kept(own, say=quiet),))).image),
        )
        assert main(["generate", "--recipe", str(first), "-o", str(again)]) == 0
        assert first.read_bytes() == again.read_bytes()
        path.write_bytes(weights.lora_path(TINY, 1).read_bytes())  # another file of that name
        place(recipe.loras[0]).unlink()
        with pytest.raises(LoraError, match="LoRA quick is not installed; get it with `script/download-weights tiny"):
            paint(recipe)
    finally:
        path.unlink()


def test_a_file_of_the_demo_that_is_gone_is_restored(monkeypatch: pytest.MonkeyPatch):
    row = Acceleration(name="lcm", base="demo", lora="x", sha256="0" * 64, scheduler="lcm", num_inference_steps=3)
    monkeypatch.setattr(fast, "ROWS", [row])
    with pytest.raises(LoraError, match="LoRA x is not installed; restore it with `git checkout weights/demo`"):
        find(Lora(name="x", sha256=row.sha256))


def test_a_column_of_a_table_names_loras(own: Path, tmp_path: Path):
    table = tmp_path / "jobs.csv"
    table.write_text(f"prompt,lora,seed\nlady,{own}:0.5; {own}:0.25,1\nlad,,2\nlad,absent.safetensors,3\n")
    two, none, bad = read_jobs(table, {"variant": "tiny"})
    assert two.recipe
    assert none.recipe
    assert [lora.scale for lora in two.recipe.loras] == [0.5, 0.25]
    assert none.recipe.loras == ()
    assert bad.error.startswith("lora: 'absent.safetensors' is not allowed; no such file; use a .safetensors file")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("absent.safetensors", RecipeError, "lora: 'absent.safetensors' is not allowed; no such file"),
        ("ftp://example.com/a.safetensors", WeightsError, "must begin with http:// or https://"),
        ("hf:nobody", RecipeError, "lora: 'hf:nobody' is not allowed; use a .safetensors file, its https:// address"),
        ("{own}:3", RecipeError, "loras.scale: 3.0 is not allowed; use a number from 0 to 2"),
        ("{text}", RecipeError, "is not allowed; use a .safetensors file"),
    ],
)
def test_other_sources_are_refused(given: str, error: type[Exception], words: str, own: Path, tmp_path: Path):
    (tmp_path / "a.ckpt").write_bytes(b"x")
    with pytest.raises(error) as caught:
        resolve(given.format(own=own, text=tmp_path / "a.ckpt"), quiet)
    assert words in str(caught.value)
