"""Paints held-out prompts with the demo model and one engine: `PUNKS_ENGINE=X python -m bench.gpu_equality A.npz`.

Given two more files instead, compares them: `python -m bench.gpu_equality A.npz B.npz`.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bench.demo import held_out, recipe
from punks import Pipeline
from punks.painter.painter import Painter
from punks.snap.color import ciede2000, lab
from training.captions import prompt

PROMPTS = 64


def main() -> None:
    files = [Path(name) for name in sys.argv[1:]]
    if len(files) == 2:
        first, second = (np.load(file) for file in files)
        agree = (first["cells"] == second["cells"]).all(-1)
        unlike = ciede2000(lab(first["cells"]), lab(second["cells"]))
        apart = np.abs(first["latents"] - second["latents"])
        print(f"cells of one color {100 * agree.mean():.3f} %, ", end="")
        print(", ".join(f"within CIEDE2000 {most:g} {100 * (unlike < most).mean():.3f} %" for most in (1, 2.3, 5)))
        print(f"latents differ by {apart.mean():.5f} in the mean, {apart.max():.4f} at most")
        return
    seen: list[Tensor] = []
    own = Painter._denoise

    def recorded(self: Painter, *args: Any) -> Tensor:
        seen.append(own(self, *args))
        return seen[-1]

    Painter._denoise = recorded  # the latents, which nothing else hands out
    recipes = [recipe(prompt(traits), seed) for seed, traits in enumerate(held_out(PROMPTS))]
    punks = [painting.finish() for painting in Pipeline().paint(recipes)]
    latents = np.concatenate([one.float().cpu().numpy() for one in seen])
    np.savez(files[0], cells=np.stack([punk.art.cells[..., :3] for punk in punks]), latents=latents)


if __name__ == "__main__":
    main()
