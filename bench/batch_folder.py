"""A folder as `punks batch` leaves it, of generated portraits with known traits: nothing is painted for it."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.pixels_damage import damage
from punks import Finish, Recipe
from punks.files.png import RECIPE, write_png
from punks.request import flat, to_json
from punks.snap.art import palette_of
from training.captions import fields
from training.portraits import draw, sample
from training.traits import Traits


def trait_words(traits: Traits) -> dict[str, str]:
    """Traits of the generator as a manifest has them, `none` for what is not there."""
    hat = f"{traits.hat_color} {traits.hat}" if traits.hat_color else traits.hat
    return {
        "subject": traits.kind,
        "hair colour": "none" if traits.hair == "bald" else traits.hair_color,
        "hair style": traits.hair,
        "eyes": traits.eyes,
        "skin": traits.skin,
        "background": traits.background,
        "pattern": traits.pattern,
        "headwear": hat or "none",
        "eyewear": traits.glasses or "none",
        "jewellery": traits.necklace or (f"{traits.earrings} earrings" if traits.earrings else "none"),
    }


def write_folder(folder: Path, count: int, *, images: bool = True, paintings: bool = False, failures: int = 0) -> None:
    """Writes pictures and manifest for `count` portraits; portrait i has seed i. `failures` more jobs have failed."""
    for name in ("images", "pixels", "paintings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as manifest:
        for job in range(1, count + failures + 1):
            entry = _failed(job) if job > count else _done(folder, job, images, paintings)
            manifest.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _done(folder: Path, job: int, images: bool, paintings: bool) -> dict[str, Any]:
    rng = np.random.default_rng(job)
    traits = sample(rng)
    cells = draw(traits, rng).cells
    name = f"{job:06d}"
    recipe = Recipe(prompt=", ".join(fields(traits)), variant="demo", seed=job)
    finish = Finish().of(recipe)
    text = to_json(recipe, finish)
    files = {"image": f"images/{name}.png", "pixels": f"pixels/{name}.png"}
    art = Image.fromarray(cells)
    write_png(art, folder / files["pixels"])
    if images:
        write_png(art.resize((1024, 1024), Image.Resampling.NEAREST), folder / files["image"], {RECIPE: text})
    if paintings:
        files["painting"] = f"paintings/{name}.png"
        damage("real", cells, job).save(folder / files["painting"])
    return {
        "name": name,
        "job": job,
        "status": "done",
        "recipe": flat(recipe, finish),
        "prompt": recipe.painted_prompt,
        "files": files,
        "sha256": {key: hashlib.sha256(path.encode()).hexdigest() for key, path in files.items()},
        "bytes": {key: _size(folder / path) for key, path in files.items()},
        "cells": hashlib.sha256(cells.tobytes()).hexdigest()[:32],
        "palette": ["#{:02x}{:02x}{:02x}".format(*color) for color in palette_of(cells).tolist()],
        "confidence": round(1 - 0.5 * float(rng.beta(1, 8)), 3),
        "traits": trait_words(traits),
        "seconds": {"paint": round(float(rng.uniform(0.2, 0.4)), 3), "snap": 0.02},
    }


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _failed(job: int) -> dict[str, Any]:
    error = f"seed: {2**40 + job} is not allowed; use a number from 0 to 4294967295"
    return {"name": f"{job:06d}", "job": job, "status": "failed", "recipe": {}, "prompt": "", "error": error}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--paintings", action="store_true")
    options = parser.parse_args()
    write_folder(options.folder, options.count, paintings=options.paintings, failures=3)
