"""The random models of full size that the GPU benchmarks serve, as rows of the registry."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from bench.random_models import Family, build, write_lora
from punks import Painting
from punks.variants import SD15, SDXL, VARIANTS, Variant

RANKS = {"sd15": (32, 16), "sdxl": (128, 64)}
# settings of acceleration LoRAs, whose values do not matter for speed
FEW: dict[str, dict[str, Any]] = {
    "guided_8": {"num_inference_steps": 8, "guidance_scale": 5.0, "scheduler": "ddim_trailing"},
    "lcm_4": {"num_inference_steps": 4, "guidance_scale": 1.0, "scheduler": "lcm"},
}
PROMPT = "lady, red hair, green eyes, light skin, blue solid background, wearing golden earrings"


def row_of(family: Family) -> Variant:
    """The row of the family's random model, which is served from now on."""
    base = SD15 if family == "sd15" else SDXL
    row = Variant(name=f"random-{family}", base=base, lora="random", epochs=2, epoch=1, verdict="")
    return VARIANTS.setdefault(row.name, row)


def make(family: Family, folder: Path, *, full: bool) -> None:
    """Writes the base with random weights and two epochs of a LoRA below `folder`, as PUNKS_WEIGHTS wants them."""
    row = row_of(family)
    base = folder / row.base.name
    build(base, family, full=full, device="cuda" if torch.cuda.is_available() else "cpu")
    pipeline = DiffusionPipeline.from_pretrained(base, variant="fp16", dtype=torch.float16)
    rank, alpha = RANKS[family]
    for epoch in (1, 2):
        write_lora(base / "lora" / row.lora_file(epoch), pipeline, rank=rank, alpha=alpha, strength=0.1, seed=epoch)


@functools.cache
def _painting() -> Image.Image:
    random = np.random.default_rng(0)
    art = random.integers(0, 256, (12, 3))[random.integers(0, 12, (24, 24))].astype(np.uint8)
    large = np.asarray(Image.fromarray(art).resize((512, 512), Image.Resampling.NEAREST))
    return Image.fromarray((large + random.normal(0, 2, large.shape)).clip(0, 255).astype(np.uint8))


def finish() -> bytes:
    """What follows a painting: snap, enlarged PNG. Random weights paint noise: a fixed painting stands in."""
    punk = Painting(image=_painting()).finish()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "punk.png"
        punk.save(path)
        return path.read_bytes()
