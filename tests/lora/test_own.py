"""Variants of one's own: LoRA files that become rows of `variants.toml`, which every command takes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from punks import Finish, Recipe, paint
from punks.cli import main
from punks.errors import LoraError, RecipeError, WeightsError
from punks.files import weights
from punks.files.own_variants import FILE, load_variants
from punks.lora.own import add
from punks.request import changed
from punks.service import default_variant, own_variants
from punks.variants import VARIANTS
from tests.conftest import TINY, TINY_XL
from tests.support import ROOT
from tests.support.batches import TINY as TINY_PUNKS


def quiet(_: str) -> None:
    """Says nothing."""


@pytest.fixture(autouse=True)
def registry(tiny_weights: Path) -> Iterator[None]:
    """Takes the rows and files of a test out again."""
    before = {path for path in tiny_weights.rglob("*") if path.is_file()}
    yield
    for path in {path for path in tiny_weights.rglob("*") if path.is_file()} - before:
        path.unlink()
    load_variants()
    assert not [row for row in VARIANTS.values() if row.own]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Tiny's two epochs under another name."""
    found = [tmp_path / f"caption_fix-{epoch:06d}.safetensors" for epoch in (7, 12)]
    for path, epoch in zip(found, (1, 2), strict=True):
        path.write_bytes(weights.lora_path(TINY, epoch).read_bytes())
    return found


def test_a_row_of_ones_own_is_a_variant_like_the_others(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    words = [
        "--lora",
        str(files[0]),
        "--lora",
        str(files[1]),
        "--steps",
        "3",
        "--guidance",
        "2",
        "--verdict",
        'a "b" é',
    ]
    assert main(["weights", "add", "caption-fix", *words, "--verdict", 'a "b" é', "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["base"], said["epoch"], said["epochs_present"], said["verdict"]) == ("tiny", 12, [7, 12], 'a "b" é')
    recipe = Recipe(prompt="lady", seed=1, variant="caption-fix")
    assert (recipe.epoch, recipe.num_inference_steps, recipe.guidance_scale) == (12, 3, 2)
    for epoch, own in ((7, 1), (12, 2)):
        want = Recipe(prompt="lady", seed=1, variant="tiny", epoch=own, num_inference_steps=3, guidance_scale=2)
        assert np.array_equal(paint(recipe.replace(epoch=epoch)).image, paint(want).image)  # pyright: ignore
    with pytest.raises(RecipeError, match="epoch: 13 is not allowed; variant caption-fix has epochs 1 to 12"):
        changed(recipe, Finish(), {"epoch": 13})
    with pytest.raises(WeightsError, match="add it with `punks weights add caption-fix --lora FILE --epoch 8`"):
        weights.require(VARIANTS["caption-fix"], 8)
    assert main(["weights", "add", "caption-fix", "--lora", str(files[0]), "--epoch", "3", "--failed"]) == 0
    row = VARIANTS["caption-fix"]
    assert (row.epoch, row.epochs, row.num_inference_steps, row.failed) == (3, 12, 3, True)
    assert weights.epochs_present(row) == [3, 7, 12]
    # other processes read the file
    command = [sys.executable, TINY_PUNKS, "compare", "lady", "--variant", "caption-fix", "-o", str(tmp_path / "c")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([*command, "--json"], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert [column["title"] for column in json.loads(run.stdout)["columns"]] == ["epoch 3", "epoch 7", "epoch 12"]
    monkeypatch.setenv("PUNKS_VARIANT", "caption-fix")
    assert (default_variant(), own_variants()) == ("caption-fix", ["caption-fix"])


def test_hand_written_lines_and_other_rows_stay(files: list[Path], tiny_weights: Path):
    add("one", files[:1], quiet)
    text = (
        (tiny_weights / FILE).read_text()
        + "# mine\n\n[two.b]\n".replace("two.b", '"two.b"')
        + 'base = "tiny"\nsteps = 5\n'
    )
    (tiny_weights / FILE).write_text(text)
    load_variants()
    assert (VARIANTS["two.b"].num_inference_steps, VARIANTS["two.b"].epoch) == (5, 1)
    add("two.b", files[1:], quiet)
    add("three", files[1:], quiet, verdict="good")
    add("one", files[:1], quiet)  # the comment behind it belongs to the next row
    assert [VARIANTS[name].epoch for name in ("one", "two.b", "three")] == [7, 12, 12]
    assert (VARIANTS["two.b"].num_inference_steps, VARIANTS["three"].verdict) == (5, "good")
    assert "# mine" in (tiny_weights / FILE).read_text()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("sd15-perfect", "name: 'sd15-perfect' is not allowed; it is taken"),
        ("bespoke_punks_SD15_PERFECT", "it is taken"),
        ("tiny_xl", "it is taken"),
        ("My LoRA", "use lower-case letters, digits, dots, - and _"),
        ("../x", "use lower-case letters"),
    ],
)
def test_names_that_cannot_be(name: str, what: str, files: list[Path], tiny_weights: Path):
    with pytest.raises(RecipeError, match=what):
        add(name, files, quiet)
    assert not (tiny_weights / FILE).exists()


def test_files_that_cannot_be(files: list[Path], tmp_path: Path, tiny_weights: Path):
    add("mine", files[:1], quiet)
    with pytest.raises(LoraError, match="it is for the base tiny-xl, but mine is on tiny; use another name"):
        add("mine", [weights.lora_path(TINY_XL, 1)], quiet)
    with pytest.raises(RecipeError, match="epoch: 1 is not allowed; two files are this epoch"):
        add("other", [weights.lora_path(TINY, 1), weights.lora_path(TINY, 2)], quiet)
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(LoraError, match="is empty; fetch it again"):
        add("other", [tmp_path / "x.safetensors"], quiet)
    with pytest.raises(LoraError, match="cannot be read: No such file"):
        add("other", [tmp_path / "absent.safetensors"], quiet)
    with pytest.raises(RecipeError, match="num_inference_steps: 0 is not allowed"):
        add("other", files[:1], quiet, num_inference_steps=0)
    with pytest.raises(RecipeError, match="use one line of text"):
        add("other", files[:1], quiet, verdict="two\nlines")
    assert [row.name for row in VARIANTS.values() if row.own] == ["mine"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[a]\nbase = ", "cannot be read (Invalid value"),
        ('a = "b"\n', "[a] row: 'b' is not allowed; write it as a table"),
        ("[a]\nepoch = 1\n", "[a] base: missing; choose one of sd15, sdxl, demo"),
        ('[a]\nbase = "flux"\n', "[a] base: 'flux' is not allowed; choose one of sd15, sdxl, demo"),
        ('[a]\nbase = "tiny"\nstep = 3\n', "[a] unknown key 'step'; did you mean steps?"),
        ('[a]\nbase = "tiny"\nepoch = "7"\n', "[a] epoch: '7' is not allowed; use a whole number from 1 to 999"),
        (
            '[a]\nbase = "tiny"\nepoch = 9\nepochs = 8\n',
            "[a] epoch: 9 is not allowed; epochs says that",
        ),
        ('[tiny]\nbase = "tiny"\n', "[tiny] name: 'tiny' is not allowed; it is taken"),
    ],
)
def test_a_file_that_was_edited_by_hand_is_explained(
    text: str, what: str, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
):
    (tiny_weights / FILE).write_text(text)
    assert main(["weights"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"punks: {tiny_weights / FILE}: ")
    assert what in said
