"""Trains the merging model: `python -m training.merging.train --out punks/snap/model.npz`.

Workers draw pictures and merge their cells with the weights so far, while the trainer learns from all states that were
met: at first those of the truth with errors, soon the model's own. The weights kept are a moving average.

The package's weights are more than one run: the mean of two on a GPU (370 and 515 s) and of 12 minutes on a CPU, in
which three models taught one (3/4 of each target was the mean of their answers); `last_bias` was then raised a little.
"""

import argparse
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers are many

import numpy as np
import torch
from torch.nn import functional as fn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from punks.snap.model import SEEN, Weights, read
from training.merging.net import Model
from training.merging.states import Page, page

EMA = 0.999
WARMUP = 300  # steps
FIT = 10  # pages that tell the mean and deviation of every number
PUBLISHED = 15.0  # seconds after which the workers get new weights
_known: dict[Path, tuple[float, Weights]] = {}  # of a worker: what it read, and when that was written


def _page(seed: int, size: int, path: Path, index: int) -> Page:
    """Page number `index`, by the weights in the file if there is one."""
    written = path.stat().st_mtime if path.exists() else 0.0
    if written and _known.get(path, (0.0,))[0] < written:
        _known[path] = written, read(path)
    weights = _known[path][1] if written else None
    return page(seed, range(index * size, (index + 1) * size), weights)


class Pages:
    """What the workers have made so far, on the device; more comes in while one trains."""

    def __init__(self, made: Iterable[Page], device: torch.device) -> None:
        self._made, self._device = made, device
        self.all: list[dict[str, torch.Tensor]] = []
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        for one in self._made:
            self.all.append({name: torch.from_numpy(value).to(self._device) for name, value in one.items()})

    def first(self, count: int) -> list[dict[str, torch.Tensor]]:
        """Waits for so many."""
        while len(self.all) < count and self._feeder.is_alive():
            time.sleep(0.1)
        return self.all[:count]

    def draw(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """One at random, a newer one more often."""
        return self.all[int(len(self.all) * rng.random() ** 0.6)]


def loss(model: Model, of: dict[str, torch.Tensor]) -> torch.Tensor:
    """Of all pairs of all states of a page, and of the background of its pictures."""
    embedding, logits, context = model.look(of["maps"].float(), of["picture"])
    flat, size = embedding[of["picture_of_state"]].flatten(0, 1), of["size"][:, None]
    groups = torch.zeros(len(size), SEEN, device=flat.device).index_add_(0, of["owner"].flatten(), flat) / size
    logit = model.weigh(
        of["told"].float(),
        groups[of["one"]],
        groups[of["two"]],
        context[of["picture_of_state"]],
        of["state_of_pair"],
    )
    each = fn.binary_cross_entropy_with_logits(logit, of["same"].float(), reduction="none")
    target = of["labels"].float()
    known = torch.stack([torch.ones_like(target[..., 0]), target[..., 0], torch.ones_like(target[..., 0])], -1)
    ground = fn.binary_cross_entropy_with_logits(logits, target, reduction="none") * known
    pairs = (each * of["weight"].float()).sum() / len(of["picture_of_state"]) / 30
    return pairs + (ground.mean((0, 1)) * torch.tensor([4.0, 1.0, 1.0], device=flat.device)).sum()


def train(out: Path, pages: Pages, start: Weights | None, seconds: float, rate: float, device: torch.device) -> None:
    """AdamW for so many seconds; the averaged weights are in `out`, ever newer ones."""
    first = pages.first(FIT)
    model, rng = Model().to(device), np.random.default_rng(1)
    model.fit("cells", torch.cat([one["maps"] for one in first]).float().flatten(0, 1))
    model.fit("picture", torch.cat([one["picture"] for one in first]))
    model.fit("pairs", torch.cat([one["told"] for one in first]).float())
    if start:
        model.load(start)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(EMA))
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=1e-3)
    begun = published = time.time()
    step, total = 0, torch.zeros((), device=device)
    while (done := (time.time() - begun) / seconds) < 1:
        optimizer.param_groups[0]["lr"] = rate * min((step + 1) / WARMUP, 0.5 + 0.5 * np.cos(np.pi * done))
        found = loss(model, pages.draw(rng))
        optimizer.zero_grad(set_to_none=True)
        found.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averaged.update_parameters(model)
        total += (found.detach() - total) / min(step + 1, 500)
        step += 1
        if time.time() > published + PUBLISHED:
            save(out, averaged.module.export())
            published = time.time()
            print(
                f"{published - begun:.0f} s, {step} steps, {len(pages.all)} pages, loss {float(total):.4f}", flush=True
            )
    save(out, averaged.module.export())
    print(f"{step} steps, {len(pages.all)} pages, loss {float(total):.4f}", flush=True)


def save(path: Path, weights: Weights) -> None:
    """float16, which halves the file; readers never see a part of it."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **{name: value.astype(np.float16) for name, value in weights.items()})
    part.replace(path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--page", type=int, default=96, help="pictures that are learned from at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=max(1, len(os.sched_getaffinity(0)) - 1))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    start = read(args.start) if args.start else None
    args.out.unlink(missing_ok=True)
    if start:
        save(args.out, start)
    job = partial(_page, args.seed, args.page, args.out)
    with multiprocessing.get_context("fork").Pool(args.workers) as pool:  # before CUDA starts
        device = torch.device(args.device)
        pages = Pages(pool.imap_unordered(job, range(1_000_000)), device)
        train(args.out, pages, start, args.seconds, args.rate, device)


if __name__ == "__main__":
    main()
