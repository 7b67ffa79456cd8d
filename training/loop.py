"""The optimizer loop that every stage shares: float32 masters, cosine rate, average of weights, checkpoints."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from training.settings import Leg

Report = Callable[[int, float], None]


@dataclass(kw_only=True)
class Loop:
    """Trains parameters that may be in bf16 through float32 masters. Each group has its own peak rate.

    A step draws its randomness from its own number, so a run that was interrupted ends as one that was not.
    """

    groups: Sequence[tuple[list[nn.Parameter], float]]
    leg: Leg
    warmup: int
    ema: float
    differentiate: Callable[[], None] | None = None  # called after each backward, before gradients are read
    written: Callable[[], None] | None = None  # called after the parameters have changed
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.params = [param for group, _ in self.groups for param in group]
        self.masters = [param.detach().float().clone() for param in self.params]
        self.averages = [master.clone() for master in self.masters]
        places = iter(self.masters)
        rows = [{"params": [next(places) for _ in group], "lr": rate, "peak": rate} for group, rate in self.groups]
        self._optimizer = torch.optim.AdamW(rows, betas=(0.9, 0.99), weight_decay=0.01, foreach=True, eps=1e-8)
        if self.checkpoint and self.checkpoint.exists():
            state = torch.load(self.checkpoint, map_location=self.masters[0].device)
            self.step = state["step"]
            for ours, theirs in ((self.masters, state["masters"]), (self.averages, state["averages"])):
                torch._foreach_copy_(ours, theirs)
            self._optimizer.load_state_dict(state["optimizer"])
            self.use(averages=False)

    def run(self, loss_of: Callable[[int], Tensor], report: Report | None = None, until: int | None = None) -> None:
        """Steps up to `until`, or to the end of the leg."""
        saved = time.monotonic()
        while self.step < (self.leg.steps if until is None else until):
            loss = loss_of(self.step)
            loss.backward()
            if self.differentiate:
                self.differentiate()
            self._update()
            self.step += 1
            if report and (self.step % 100 == 0 or self.step in (1, self.leg.steps)):
                report(self.step, float(loss.detach()))
            if self.checkpoint and time.monotonic() - saved >= self.checkpoint_seconds:
                self.save()
                saved = time.monotonic()

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        assert self.checkpoint is not None
        state = {
            "step": self.step,
            "masters": self.masters,
            "averages": self.averages,
            "optimizer": self._optimizer.state_dict(),
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def use(self, averages: bool) -> None:
        """Puts the averaged weights, or the trained ones, into the model."""
        torch._foreach_copy_([param.detach() for param in self.params], self.averages if averages else self.masters)
        if self.written:
            self.written()

    def _update(self) -> None:
        for master, param in zip(self.masters, self.params, strict=True):
            master.grad = param.grad.float() if param.grad is not None else torch.zeros_like(master)
            param.grad = None
        nn.utils.clip_grad_norm_(self.masters, 1.0)
        warm = min(1.0, (self.step + 1) / max(self.warmup, 1))
        rate = warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.step / (self.leg.cosine or self.leg.steps))))
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        self._optimizer.step()
        keep = min(self.ema, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(self.averages, self.masters, 1 - keep)
        self.use(averages=False)
