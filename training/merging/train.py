"""Trains the merging model: `python -m training.merging.train --out punks/snap/model.npz`.

Rounds of so many seconds: first states on the way of the truth with errors, then those that the model itself gets into.
The weights of the last rounds are averaged.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers are many

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as fn

from punks.snap.model import SEEN, Weights, read
from training.merging.net import Model
from training.merging.states import Seen, State, see, unroll

T = TypeVar("T")
WIDTH = 580  # more groups than any picture has
AVERAGED = 3  # rounds whose weights are averaged
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
        self.rows: list[Rows] = []

    def add(self, numbers: Sequence[int], unrolled: list[list[State]], importance: float) -> None:
        """States of these pictures as flat arrays: states by picture, pairs by state."""
        kept = [(number, many) for number, many in zip(numbers, unrolled, strict=True) if many]
        states = [state for _, many in kept for state in many]

        def put(parts: list[NDArray[np.generic]], kind: type) -> torch.Tensor:
            return torch.from_numpy(np.concatenate(parts).astype(kind)).to(self.device)

        self.rows.append(
            Rows(
                np.array([number for number, _ in kept]),
                np.cumsum([0, *(len(many) for _, many in kept)]),
                np.cumsum([0, *(len(state.one) for state in states)]),
                put([state.owner[None] for state in states], np.int16),
                put([state.one for state in states], np.int16),
                put([state.two for state in states], np.int16),
                put([state.told for state in states], np.float16),
                put([state.same for state in states], np.uint8),
                put([state.weight * importance for state in states], np.float16),
            )
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """One round's states: of each picture, of each state the groups and pairs."""

    pictures: NDArray[np.intp]
    first_state: NDArray[np.intp]
    first_pair: NDArray[np.intp]
    owner: torch.Tensor
    one: torch.Tensor
    two: torch.Tensor
    told: torch.Tensor
    same: torch.Tensor
    weight: torch.Tensor


def _ranges(first: NDArray[np.intp], chosen: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers from `first[k]` up to `first[k + 1]` of each chosen k, and which of the chosen each is of."""
    size = first[chosen + 1] - first[chosen]
    home = np.repeat(np.arange(len(chosen)), size)
    return np.arange(size.sum()) - np.repeat(np.cumsum(size) - size - first[chosen], size), home


def loss(model: Model, data: Set, rows: Rows, chosen: NDArray[np.intp]) -> torch.Tensor:
    """Of all states of some of the pictures."""

    def put(numbers: NDArray[np.intp]) -> torch.Tensor:
        return torch.from_numpy(numbers).to(data.device, non_blocking=True)

    states, of_picture = _ranges(rows.first_state, chosen)
    pairs, of_state = _ranges(rows.first_pair, states)
    at, states, of_picture, pairs, of_state = map(put, (rows.pictures[chosen], states, of_picture, pairs, of_state))
    embedding, logits = model.look(data.maps[at].float(), data.picture[at])
    owner = rows.owner[states].long() + WIDTH * torch.arange(len(states), device=data.device)[:, None]
    pool = torch.zeros(WIDTH * len(states), SEEN + 1, device=data.device)
    flat = torch.cat([embedding, torch.ones_like(embedding[..., :1])], -1)
    pool.index_add_(0, owner.flatten(), flat[of_picture].flatten(0, 1))
    pool = pool[:, :SEEN] / pool[:, SEEN:].clamp_min(1)
    logit = model.weigh(
        rows.told[pairs].float(),
        pool[of_state * WIDTH + rows.one[pairs].long()],
        pool[of_state * WIDTH + rows.two[pairs].long()],
        data.picture[at][of_picture[of_state]],
    )
    each = fn.binary_cross_entropy_with_logits(logit, rows.same[pairs].float(), reduction="none")
    target = data.labels[at].float()
    known = torch.stack([torch.ones_like(target[..., 0]), target[..., 0], torch.ones_like(target[..., 0])], -1)
    ground = fn.binary_cross_entropy_with_logits(logits, target, reduction="none") * known
    weights = torch.tensor([4.0, 1.0, 1.0], device=data.device)
    return (each * rows.weight[pairs].float()).sum() / len(states) / 30 + (ground.mean((0, 1)) * weights).sum()


def run(model: Model, data: Set, seconds: float, rate: float, batch: int, rng: np.random.Generator) -> None:
    """Adam over batches of pictures with all states of one round, the last round's twice as often."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-3)
    chances = np.array([len(rows.first_pair) for rows in data.rows], float)
    chances[-1] *= 2
    start, step, total = time.time(), 0, torch.zeros((), device=data.device)
    while (done := (time.time() - start) / seconds) < 1:
        optimizer.param_groups[0]["lr"] = rate * min(done / 0.1 + 0.02, 0.5 + 0.5 * np.cos(np.pi * done))
        rows = data.rows[int(rng.choice(len(chances), p=chances / chances.sum()))]
        chosen = rng.choice(len(rows.pictures), min(batch, len(rows.pictures)), replace=False)
        found = loss(model, data, rows, chosen)
        optimizer.zero_grad(set_to_none=True)
        found.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += 0.01 * (found.detach() - total)
        step += 1
        if step % 1000 == 0:
            print(f"  step {step}: {float(total):.4f}, {time.time() - start:.0f} s", flush=True)
    print(f"  {step} steps, loss {float(total):.4f}", flush=True)


def workers(job: Callable[[int], T], numbers: Sequence[int], count: int, seconds: float) -> list[T]:
    """As many as can be done in so many seconds, in forked processes, which see what the parent has."""
    end, found = time.time() + seconds, list[T]()
    with multiprocessing.get_context("fork").Pool(count) as pool:
        for one in pool.imap(job, numbers, chunksize=16):
            found.append(one)
            if time.time() > end:
                break
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=30000)
    parser.add_argument("--seconds", type=float, nargs="+", default=[40, 40, 60, 60], help="of training, by round")
    parser.add_argument("--making", type=float, default=120, help="seconds for the pictures at most")
    parser.add_argument("--merging", type=float, default=12, help="seconds for a round's states at most")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    start, device = time.time(), torch.device(args.device)
    torch.set_float32_matmul_precision("high")
    _SEEN.extend(workers(partial(_see, args.seed), range(args.pictures), args.workers, args.making))
    print(f"{len(_SEEN)} pictures, {time.time() - start:.0f} s", flush=True)
    model, data = Model().to(device), Set(_SEEN, device)
    rng, found = np.random.default_rng(args.seed), list[Weights]()
    if args.start:
        _WEIGHTS[0] = read(args.start)
    for number, seconds in enumerate(args.seconds):
        if number:
            _WEIGHTS[0] = model.export()
        numbers = rng.permutation(len(_SEEN)).tolist()
        bias = (0.0, 0.7, -0.7)[number % 3]
        unrolled = workers(partial(_unroll, bias), numbers, args.workers, args.merging)
        data.add(numbers[: len(unrolled)], unrolled, 1.0 if number or args.start else 0.5)
        print(f"{sum(map(len, unrolled))} states of {len(unrolled)}, {time.time() - start:.0f} s", flush=True)
        if not number:
            model.fit("cells", data.maps[:2000].float().flatten(0, 1))
            model.fit("picture", data.picture)
            model.fit("pairs", data.rows[0].told[:500_000].float())
            if args.start:
                model.load(_WEIGHTS[0])
        run(model, data, seconds, 1.5e-3 if number or args.start else 3e-3, args.batch, rng)
        found.append(model.export())
        save(args.out, average(found[-AVERAGED:]))
        print(f"round {number} trained, {time.time() - start:.0f} s", flush=True)


def average(rounds: Sequence[Weights]) -> Weights:
    """The mean of several rounds' weights, better than each (Izmailov 2018)."""
    return {name: np.mean([one[name] for one in rounds], axis=0) for name in rounds[0]}


def save(path: Path, weights: Weights) -> None:
    """float16, which halves the file."""
    np.savez_compressed(path, **{name: value.astype(np.float16) for name, value in weights.items()})


if __name__ == "__main__":
    main()
