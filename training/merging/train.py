"""Trains the merging model: `python -m training.merging.train --out punks/snap/model.npz`.

Three rounds: states on the way of the truth with errors, then twice those that the model's own merging gets into.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers are many

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as fn

from punks.snap.model import SEEN, Weights
from training.merging.net import Model
from training.merging.states import Seen, State, see, unroll

T = TypeVar("T")
_SEEN: list[Seen] = []  # the workers' own view, as forked
_WEIGHTS: list[Weights | None] = [None]


def _unroll(bias: float, index: int) -> list[State]:
    return unroll(_SEEN[index], np.random.default_rng([31, index]), _WEIGHTS[0], bias)


def _see(seed: int, index: int) -> Seen:
    return see(seed, index)


class Set:
    """All pairs of all states, on the device."""

    def __init__(self, seen: list[Seen], device: torch.device) -> None:
        self.device = device
        self.maps = torch.from_numpy(np.stack([one.maps for one in seen])).to(device)
        self.picture = torch.from_numpy(np.stack([one.picture for one in seen])).float().to(device)
        self.labels = torch.from_numpy(np.stack([one.labels for one in seen])).to(device)
        self.rows: list[tuple[torch.Tensor, ...]] = []
        self.count = len(seen)

    def add(self, numbers: Sequence[int], unrolled: list[list[State]], importance: float) -> None:
        """States of these pictures as flat arrays: groups by state, pairs by state."""
        states = [(number, state) for number, many in zip(numbers, unrolled, strict=True) for state in many]
        sizes = np.array([len(state.one) for _, state in states])

        def put(parts: list[NDArray[np.generic]], kind: type) -> torch.Tensor:
            return torch.from_numpy(np.concatenate(parts).astype(kind)).to(self.device)

        self.rows.append(
            (
                torch.tensor([number for number, _ in states]),
                torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)])),
                torch.from_numpy(np.stack([state.owner for _, state in states])).to(self.device),
                put([state.one for _, state in states], np.int16),
                put([state.two for _, state in states], np.int16),
                put([state.told for _, state in states], np.float16),
                put([state.same for _, state in states], np.uint8),
                put([state.weight * importance for _, state in states], np.float16),
            )
        )


def run(model: Model, data: Set, steps: int, rate: float, batch: int, rng: np.random.Generator) -> None:
    """Adam over batches of states; each batch looks at its pictures once."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    total = {"pairs": 0.0, "ground": 0.0}
    start = time.time()
    chances = np.array([len(rows[0]) for rows in data.rows], float)
    chances = np.where(np.arange(len(chances)) == len(chances) - 1, 2, 1) * chances
    for step in range(steps):
        numbers, starts, owners, ones, twos, told, same, weights = data.rows[
            int(rng.choice(len(chances), p=chances / chances.sum()))
        ]
        chosen = torch.from_numpy(rng.choice(len(numbers), min(batch, len(numbers)), replace=False))
        at = numbers[chosen].to(data.device)
        embedding, logits = model.look(data.maps[at].float(), data.picture[at])
        low, high = starts[chosen], starts[chosen + 1]
        size = (high - low).to(data.device)
        home = torch.repeat_interleave(torch.arange(len(chosen), device=data.device), size)
        first = torch.cumsum(size, 0) - size
        where = torch.arange(len(home), device=data.device) - first[home] + low.to(data.device)[home]
        width = 580
        owner = (
            owners[chosen.to(data.device)].long() + width * torch.arange(len(chosen), device=data.device)[:, None]
        ).flatten()
        pool = torch.zeros(width * len(chosen), SEEN + 1, device=data.device)
        flat = torch.cat([embedding, torch.ones_like(embedding[..., :1])], -1).flatten(0, 1)
        pool.index_add_(0, owner, flat)
        pool = pool[:, :SEEN] / pool[:, SEEN:].clamp_min(1)
        logit = model.weigh(
            told[where].float(),
            pool[home * width + ones[where].long()],
            pool[home * width + twos[where].long()],
            data.picture[at][home],
        )
        weight = weights[where].float()
        pairs = (fn.binary_cross_entropy_with_logits(logit, same[where].float(), reduction="none") * weight).sum()
        pairs = pairs / len(chosen) / 30
        target = data.labels[at].float()
        known = torch.stack([torch.ones_like(target[..., 0]), target[..., 0], torch.ones_like(target[..., 0])], -1)
        ground = fn.binary_cross_entropy_with_logits(logits, target, reduction="none") * known
        ground = (ground.mean((0, 1)) * torch.tensor([4.0, 1.0, 1.0], device=data.device)).sum()
        optimizer.zero_grad(set_to_none=True)
        (pairs + ground).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            total["pairs"] += 0.1 * (float(pairs.detach()) - total["pairs"]) if step else float(pairs.detach())
            total["ground"] += 0.1 * (float(ground.detach()) - total["ground"]) if step else float(ground.detach())
        if step % max(1, steps // 5) == steps // 5 - 1:
            print(
                f"  step {step + 1}: {total['pairs']:.4f} {total['ground']:.4f}, {time.time() - start:.0f} s",
                flush=True,
            )


def workers(job: Callable[[int], T], numbers: Sequence[int], pool_size: int) -> list[T]:
    """In forked processes, which see what the parent has."""
    if pool_size < 2:
        return [job(i) for i in numbers]
    with multiprocessing.get_context("fork").Pool(pool_size) as pool:
        return pool.map(job, numbers, chunksize=16)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=30000)
    parser.add_argument("--steps", type=int, nargs="+", default=[4000, 3000, 4000])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    start, device = time.time(), torch.device(args.device)
    count = len(os.sched_getaffinity(0))
    _SEEN.extend(workers(partial(_see, args.seed), range(args.pictures), count))
    print(f"{len(_SEEN)} pictures, {time.time() - start:.0f} s", flush=True)
    numbers = range(0, len(_SEEN), 2)
    unrolled = workers(partial(_unroll, 0.0), numbers, count)
    print(f"{sum(map(len, unrolled))} states, {time.time() - start:.0f} s", flush=True)
    data = Set(_SEEN, device)
    data.add(numbers, unrolled, 0.5)
    model = Model().to(device)
    model.fit("cells", data.maps[:2000].float().flatten(0, 1))
    model.fit("picture", data.picture)
    model.fit("pairs", data.rows[0][5][:500_000].float())
    rng = np.random.default_rng(args.seed)
    for number, steps in enumerate(args.steps):
        if number:
            model.eval()
            _WEIGHTS[0] = model.export()
            numbers = range(number % 2, len(_SEEN), 2)
            unrolled = workers(partial(_unroll, (0.0, 0.7, -0.7)[number % 3]), numbers, count)
            print(f"round {number}: {sum(map(len, unrolled))} states, {time.time() - start:.0f} s", flush=True)
            data.add(numbers, unrolled, 1.0)
        run(model, data, steps, 3e-3 if number == 0 else 1.5e-3, args.batch, rng)
        save(args.out, model.export())
        print(f"round {number} trained, {time.time() - start:.0f} s", flush=True)


def save(path: Path, weights: Weights) -> None:
    """float16, which halves the file and loses nothing: `export` rounds to it."""
    np.savez_compressed(path, **{name: value.astype(np.float16) for name, value in weights.items()})


if __name__ == "__main__":
    main()
