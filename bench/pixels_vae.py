"""The damage that a model does: portraits through the demo model's VAE, noised and denoised again, in the real code.

The portrait becomes a starting picture of `punks.generate`: encoded, noised to `STRENGTH` of the way, painted on for 20
steps under its own caption, decoded. What the model changes on purpose counts against every method alike.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from punks import Recipe, paint
from punks.files.init_image import picture_hash
from training.captions import prompt
from training.portraits import draw, sample

STRENGTH = 0.2
STEPS = 100  # of a whole schedule: 20 of them are painted


def repainted(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Generated portraits and their repainted pictures: uint8 (24, 24, 3), (512, 512, 3). About 8 s each on a CPU."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "portrait.png"
        for number in range(count):
            rng = np.random.default_rng([seed, number, 24])
            portrait = draw(sample(rng), rng)
            Image.fromarray(portrait.cells).resize((512, 512), Image.Resampling.NEAREST).save(path)
            recipe = Recipe(
                prompt=prompt(portrait.traits),
                template=False,
                variant="demo",
                seed=seed + number,
                image_sha256=picture_hash(path),
                prompt_strength=STRENGTH,
                num_inference_steps=STEPS,
            )
            pairs.append((portrait.cells, np.asarray(paint(recipe, image=path).image)))
    return pairs
