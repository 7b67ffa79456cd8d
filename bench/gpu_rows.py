"""The random models of full size that the GPU benchmarks serve, as rows of the registry."""

import functools
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from bench.random_models import Family, build, write_lora
from punks import Painting, Pipeline
from punks.variants import SD15, SDXL, VARIANTS, Variant

if TYPE_CHECKING:
    from punks.painter.warm import WarmBases

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


class StandIn(Pipeline):
    """Paints as always, and hands these pictures on: random weights paint noise, which takes longer to restore."""

    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        self._pictures = itertools.cycle(pictures)

    @functools.cached_property
    def bases(self) -> "WarmBases":
        bases = super().bases
        paint = bases.paint

        def stood_in(*args: Any) -> Iterator[tuple[Image.Image, dict[str, float]]]:
            for _, seconds in paint(*args):
                yield next(self._pictures), seconds

        bases.paint = stood_in
        return bases


@functools.cache
def painting() -> Image.Image:
    """A fixed one, of random cells."""
    random = np.random.default_rng(0)
    art = random.integers(0, 256, (12, 3))[random.integers(0, 12, (24, 24))].astype(np.uint8)
    large = np.asarray(Image.fromarray(art).resize((512, 512), Image.Resampling.NEAREST))
    return Image.fromarray((large + random.normal(0, 2, large.shape)).clip(0, 255).astype(np.uint8))


def finish() -> bytes:
    """What follows a painting, of a fixed one: restoring, enlarged PNG."""
    punk = Painting(image=painting()).finish()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "punk.png"
        punk.save(path)
        return path.read_bytes()
