"""How `real` of bench/pixels_damage.py compares with real paintings: `python -m bench.pixels_table --portraits DIR`."""

import argparse
from pathlib import Path

import numpy as np

from bench.pixels_damage import GRID, IDEAL, damage
from bench.pixels_truth import cryptopunks, generated, portraits
from punks.snap.color import ciede2000, lab

PER_CENT = (10, 50, 90, 95, 99)
# Of 20 paintings by LoRAs of this kind, at the same percentiles where they are known.
PAINTINGS = {
    "jitter of neighbors, CIEDE2000": "p50 0.42, p90 1.27, p95 1.8, p99 4.1",
    "drift in a cell, levels": "p50 1.8, p90 4.2, p99 8.6",
    "pixel noise, levels": "p50 0.41, p99 0.91",
}


def measure(painting: np.ndarray, art: np.ndarray) -> dict[str, np.ndarray]:
    """Of each two neighbors of one color how they differ; of each cell its range of 3x3 px means, and its noise."""
    middle = np.rint((np.r_[0, IDEAL] + np.r_[IDEAL, 512]) / 2).astype(int)
    at = (middle[:, None] + np.arange(-6, 6)).ravel()
    core = painting[at][:, at].reshape(GRID, 12, GRID, 12, 3).transpose(0, 2, 1, 3, 4).astype(float)
    tones = lab(np.median(core, axis=(2, 3)))
    steps = [
        ciede2000(tones[one], tones[two])[(art[one] == art[two]).all(-1)]
        for one, two in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1]))
    ]
    blocks = core.reshape(GRID, GRID, 4, 3, 4, 3, 3)
    smooth = blocks.mean((3, 5))
    noise = (blocks - smooth[:, :, :, None, :, None]).std((2, 3, 4, 5)) * np.sqrt(9 / 8)
    return {
        "jitter of neighbors, CIEDE2000": np.concatenate(steps),
        "drift in a cell, levels": np.ptp(smooth, axis=(2, 3)).max(-1).ravel(),
        "pixel noise, levels": noise.mean(-1).ravel(),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--portraits", type=Path, help="folder of 24x24 portraits; else the project's own")
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    half = args.count // 2
    made = portraits(args.portraits) if args.portraits else generated(half, 1)
    arts = [made[k % len(made)] for k in range(half)] + cryptopunks(args.count - half, np.random.default_rng(1))
    found = [measure(np.asarray(damage("real", art, number)), art) for number, art in enumerate(arts)]
    for name, known in PAINTINGS.items():
        values = np.percentile(np.concatenate([one[name] for one in found]), PER_CENT)
        print(f"{name}: " + ", ".join(f"p{k} {v:.2f}" for k, v in zip(PER_CENT, values, strict=True)) + f" ({known})")


if __name__ == "__main__":
    main()
