"""Is there a 24-grid? What `snap` says of pictures that have one, and of pictures that have none.

python -m bench.pixels_grid                          # portraits under every damage, soft renderings, noise, gradients
python -m bench.pixels_grid --without DIR            # and of your photos
python -m bench.pixels_grid --demo 64                # and of the demo model without its LoRA, 8 s each on a CPU
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image, ImageOps

from bench import pixels_damage, pixels_truth
from punks import Recipe, paint
from punks.files.pictures import find_pictures, open_picture
from punks.snap import snap
from training.captions import prompt
from training.dataset import make, render
from training.traits import sample

SIDE = (512, 512)


def damaged(count: int, seed: int) -> Iterator[tuple[str, Image.Image]]:
    for name in pixels_damage.DAMAGES:
        for number, art in enumerate(pixels_truth.generated(count, seed)):
            yield name, pixels_damage.damage(name, art, seed * 100_000 + number)


def gridless(count: int, seed: int) -> Iterator[tuple[str, Image.Image]]:
    portraits = [make(seed, 1, number) for number in range(count)]
    generator = torch.Generator().manual_seed(seed)
    for picture in render(portraits, "soft", generator, torch.device("cpu")):
        pixels = (picture.permute(1, 2, 0).numpy() + 1) * 127.5
        yield "soft rendering", Image.fromarray(pixels.round().astype(np.uint8))
    rng = np.random.default_rng(seed)
    down, along = np.mgrid[:512, :512] / 512
    for number in range(count):
        knots = int(rng.integers(3, 40))
        field = Image.fromarray(rng.integers(0, 256, (knots, knots, 3), np.uint8))
        yield "smooth field", field.resize(SIDE, Image.Resampling.BICUBIC)
        yield "noise", Image.fromarray(rng.normal(128, rng.uniform(3, 60), (512, 512, 3)).clip(0, 255).astype(np.uint8))
        first, last = rng.integers(0, 256, (2, 3))
        way = (down * np.cos(number) ** 2 + along * np.sin(number) ** 2)[..., None]
        yield "gradient", Image.fromarray((first + (last - first) * way).round().astype(np.uint8))


def photos(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    for path in find_pictures([str(folder)]):
        yield folder.name, ImageOps.fit(open_picture(path).convert("RGB"), SIDE)


def bases(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Paintings of the demo's base without the LoRA, prompts as in training."""
    for seed in range(count):
        recipe = Recipe(prompt=prompt(sample(np.random.default_rng([99, seed]))), template=False, variant="demo")
        yield "demo, LoRA scale 0", paint(recipe.replace(seed=seed, lora_scale=0)).image


def show(pictures: Iterator[tuple[str, Image.Image]]) -> None:
    found: dict[str, list[tuple[bool, float]]] = {}
    for name, picture in pictures:
        art = snap(picture)
        found.setdefault(name, []).append((art.has_grid, art.confidence))
    for name, results in found.items():
        sure = np.array([confidence for _, confidence in results])
        share = 100 * np.mean([has for has, _ in results])
        spread = ", ".join(f"{value:.2f}" for value in np.percentile(sure, [0, 10, 50, 90, 100]))
        print(f"{name}: {len(results)} pictures, {share:.1f}% have a grid; confidence p0, 10, 50, 90, 100: {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--with", dest="having", type=Path, help="folder of pictures that have a grid")
    parser.add_argument("--without", type=Path, help="folder of pictures that have none")
    parser.add_argument("--demo", type=int, default=0, help="so many paintings of the demo's base")
    args = parser.parse_args()
    print("with a grid")
    show(damaged(args.count, args.seed))
    if args.having:
        show(photos(args.having))
    print("without")
    show(gridless(args.count, args.seed))
    if args.without:
        show(photos(args.without))
    show(bases(args.demo))


if __name__ == "__main__":
    main()
