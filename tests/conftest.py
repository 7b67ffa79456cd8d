"""Real parts for every test: tiny random pipelines with the exact structure of SD 1.5 and SDXL, and kohya LoRAs."""

import os
import signal
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported; why: see punks/generate.py

import pytest
from diffusers import DiffusionPipeline

from bench.random_models import build, write_lora
from punks.variants import VARIANTS, Base, Variant
from tests.support.cog_server import served_weights, service  # noqa: F401 - fixtures

# a job in the background ignores Ctrl-C, one under nohup a closed terminal, and so would the programs that tests start
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

EPOCHS = 2
TINY = Variant(
    name="tiny",
    base=Base(name="tiny", family="sd15", side=192),
    lora="tiny",
    epochs=EPOCHS,
    epoch=1,
    num_inference_steps=2,
    verdict="a random model",
)
TINY_XL = Variant(
    name="tiny-xl",
    base=Base(name="tiny-xl", family="sdxl", side=192),
    lora="tiny_xl",
    epochs=EPOCHS,
    epoch=1,
    num_inference_steps=2,
    verdict="a random model",
    failed=True,
)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with spaces in its name that holds `tiny` and `tiny-xl`, two LoRA epochs each."""
    folder = tmp_path_factory.mktemp("tiny weights")
    for row in (TINY, TINY_XL):
        base = folder / row.base.name
        build(base, row.base.family)
        pipeline = DiffusionPipeline.from_pretrained(base, variant="fp16")
        for epoch in range(1, EPOCHS + 1):
            write_lora(base / "lora" / row.lora_file(epoch), pipeline, rank=4, alpha=2, seed=epoch)
    return folder


@pytest.fixture(autouse=True)
def tiny_rows(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the two rows and points PUNKS_WEIGHTS at them; variants are data, so this is all it takes."""
    monkeypatch.setenv("PUNKS_WEIGHTS", str(tiny_weights))
    monkeypatch.setenv("PUNKS_DEVICE", "cpu")
    for row in (TINY, TINY_XL):
        monkeypatch.setitem(VARIANTS, row.name, row)
