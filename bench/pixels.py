"""Restoration measured: STRICT per cent by damage, milliseconds, peers beside it in the same run.

STRICT: every cell within CIEDE2000 3 of the truth, no more colors than the truth, and a solid background one color.

    python -m bench.pixels --portraits DIR              # the table, 400 pictures a damage
    python -m bench.pixels --damages vae --count 48     # generated portraits through the demo model
    python -m bench.pixels --image-dir DIR --sheet OUT  # real paintings beside what they become
"""

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the promise is for one core

import numpy as np
from PIL import Image, ImageDraw

from bench import pixels_damage, pixels_peers, pixels_truth
from punks.snap import restore, snap
from punks.snap.color import ciede2000, lab


def distinct(cells: np.ndarray) -> int:
    return len(np.unique(cells.reshape(-1, 3), axis=0))


def strict(cells: np.ndarray, art: np.ndarray) -> bool:
    if cells.shape != art.shape or distinct(cells) > distinct(art):
        return False
    return bool((ciede2000(lab(cells), lab(art)) <= 3).all()) and solid(cells, art)


def right(cells: np.ndarray, art: np.ndarray) -> float:
    """Share of the cells within CIEDE2000 3 of the truth."""
    return float((ciede2000(lab(cells), lab(art)) <= 3).mean()) if cells.shape == art.shape else 0.0


def ground(art: np.ndarray) -> np.ndarray | None:
    """Cells of a background that is one color all along the upper three sides, or None."""
    frame = np.concatenate([art[0], art[:12, 0], art[:12, -1]])
    return (art == art[0, 0]).all(-1) if (frame == art[0, 0]).all() else None


def solid(cells: np.ndarray, art: np.ndarray) -> bool:
    mask = ground(art)
    return mask is None or distinct(cells[mask]) == 1


def naive(painting: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(painting).resize((24, 24), Image.Resampling.NEAREST))


def ours(painting: np.ndarray) -> np.ndarray:
    return restore(Image.fromarray(painting)).painted.cells


def rules(painting: np.ndarray) -> np.ndarray:
    return snap(Image.fromarray(painting)).cells


def oracle(painting: np.ndarray, art: np.ndarray) -> np.ndarray:
    """Knows which cells share a color: the median of their cores."""
    borders = np.rint(np.arange(25) * 512 / 24).astype(int)
    rows = (borders[:-1, None] + np.arange(5, 17)).ravel()
    core = painting[rows][:, rows].reshape(24, 12, 24, 12, 3).transpose(0, 2, 1, 3, 4).reshape(576, 144, 3)
    cells = np.median(core, axis=1)
    _, owner = np.unique(art.reshape(-1, 3), axis=0, return_inverse=True)
    owner = owner.ravel()
    shades = np.stack([np.median(cells[owner == k], axis=0) for k in range(owner.max() + 1)])
    return np.rint(shades[owner]).astype(np.uint8).reshape(24, 24, 3)


def truths(args: argparse.Namespace) -> tuple[list[np.ndarray], np.ndarray]:
    """The arts, and the family of each: 0 made by hand or by the project, 1 CryptoPunks."""
    rng = np.random.default_rng([args.seed, 3])
    half = args.count // 2
    made = pixels_truth.portraits(args.portraits) if args.portraits else pixels_truth.generated(half, args.seed)
    arts = [made[k % len(made)] for k in range(half)] + pixels_truth.cryptopunks(args.count - half, rng)
    return arts, np.arange(args.count) >= half


def pairs(args: argparse.Namespace, damage: str) -> Iterator[tuple[np.ndarray, np.ndarray, bool]]:
    """Truth, damaged painting, and whether it is a CryptoPunk."""
    if damage == "vae":
        from bench import pixels_vae  # brings torch along

        for art, painting in pixels_vae.repainted(args.count, args.seed):
            yield art, painting, False
        return
    for number, (art, punk) in enumerate(zip(*truths(args), strict=True)):
        yield art, np.asarray(pixels_damage.damage(damage, art, args.seed * 100_000 + number)), bool(punk)


def per_cent(won: list[tuple[bool, bool]]) -> str:
    """Of (won, CryptoPunk): all (portraits/CryptoPunks)."""
    parts = [[one for one, punk in won if punk is kind] for kind in (False, True)]
    halves = "/".join(f"{100 * np.mean(part):.0f}" if part else "-" for part in parts)
    return f"{100 * np.mean([one for one, _ in won]):.1f} ({halves})"


def table(args: argparse.Namespace) -> None:
    methods = {"NEAREST": naive, "rules of 0.1": rules, "punks": ours} | ({} if args.alone else pixels_peers.peers())
    print(f"STRICT % of {args.count} pictures, seed {args.seed}: all (portraits / CryptoPunks)")
    print(
        "| method | " + " | ".join(args.damages) + " | ms median | slowest |\n" + "|---" * (len(args.damages) + 3) + "|"
    )
    rows: dict[str, list[str]] = {name: [] for name in [*methods, "oracle"]}
    spent: dict[str, list[float]] = {name: [] for name in methods}
    broken: list[str] = []
    for damage in args.damages:
        won: dict[str, list[tuple[bool, bool]]] = {name: [] for name in rows}
        near: dict[str, list[float]] = {name: [] for name in rows}
        plain: list[bool] = []
        for number, (art, painting, punk) in enumerate(pairs(args, damage)):
            known = oracle(painting, art)
            won["oracle"].append((strict(known, art), punk))
            near["oracle"].append(right(known, art))
            for name, method in methods.items():
                if name not in {"NEAREST", "rules of 0.1", "punks"} and number % args.thin:
                    continue
                start = time.perf_counter()
                try:
                    cells = method(painting)
                except Exception as error:  # noqa: BLE001 - a peer that fails has lost, whatever it raised
                    broken.append(f"{name}: {error!r:.90}")
                    cells = naive(painting)[:1]
                spent[name].append(1000 * (time.perf_counter() - start))
                won[name].append((strict(cells, art), punk))
                near[name].append(right(cells, art))
                if name == "punks" and ground(art) is not None:
                    plain.append(solid(cells, art))
        for name, results in won.items():
            rows[name].append(per_cent(results))
        mine = rows["punks"][-1]
        print(f"  {damage}: {mine}, solid backgrounds of one color {100 * np.mean(plain):.1f}%")
        cells_right = ", ".join(f"{name} {100 * np.mean(shares):.2f}" for name, shares in near.items())
        print(f"    cells within CIEDE2000 3 of the truth, %: {cells_right}", flush=True)
    for name, row in rows.items():
        taken = spent.get(name)
        ms = f"{np.median(taken):.1f} | {max(taken):.1f}" if taken else " | "
        print(f"| {name} | " + " | ".join(row) + f" | {ms} |")
    for name, taken in spent.items():
        if "known mesh" in name:
            print(f"{name} takes {np.median(taken) / np.median(spent['punks.snap']):.1f} times as long as punks")
    for line in sorted(set(broken)):
        print("failed:", line)


def paintings(args: argparse.Namespace) -> None:
    """Each painting beside what it becomes under keep and solid, at the same size."""
    files = sorted(args.image_dir.glob("*.png"))
    side = 384
    sheet = Image.new("RGB", (3 * side, len(files) * (side + 16)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, path in enumerate(files):
        painting = Image.open(path).convert("RGB")
        kept, flat = snap(painting), snap(painting, background="solid")
        top = row * (side + 16)
        note = f"{len(kept.palette)} colors, confidence {kept.confidence:.2f}, drift {kept.drift:.2f} px"
        note += f", background {kept.background.mean():.0%}, grid {kept.has_grid}"
        print(f"{path.name}: {note}")
        draw.text((4, top + 2), f"{path.stem}: {note}", fill="black")
        panels = (painting.resize((side, side), Image.Resampling.LANCZOS), kept.enlarge(side), flat.enlarge(side))
        for column, picture in enumerate(panels):
            sheet.paste(picture, (column * side, top + 16))
    if args.sheet:
        sheet.save(args.sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--portraits", type=Path, help="folder of 24x24 portraits; else the project's own")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    damages = list(pixels_damage.DAMAGES)
    parser.add_argument("--damages", nargs="+", default=damages, choices=[*damages, "vae"])
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--thin", type=int, default=1, help="peers get every nth picture")
    parser.add_argument("--image-dir", type=Path, help="real paintings")
    parser.add_argument("--sheet", type=Path, help="write the side-by-side sheet here")
    args = parser.parse_args()
    if args.image_dir:
        paintings(args)
    else:
        table(args)


if __name__ == "__main__":
    main()
