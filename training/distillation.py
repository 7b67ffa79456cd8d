"""Stage 4: an acceleration LoRA: two steps without guidance for what the model paints in eight with it.

Progressive distillation (Salimans and Ho, arXiv:2202.00512), except that the student's second step starts where its own
first step ends, not where the teacher's steps would.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from training import models
from training.canvas import GRID
from training.dataset import Tokens
from training.kohya import LowRank
from training.loop import Loop, Report
from training.settings import Settings

LONG = 10  # every tenth round has long captions, in kohya's 227-token form


@dataclass(kw_only=True)
class Painter:
    """A U-Net that paints in so many DDIM steps, timesteps spaced trailing, as the pipeline does.

    Latents are float32 (N, 4, H, W); `words` and `nothing` are text states (N, 77 or 227, width).
    """

    unet: nn.Module
    steps: int
    guidance: float = 1.0
    alphas: Tensor = field(default_factory=lambda: models.build_scheduler().alphas_cumprod)

    def __post_init__(self) -> None:
        some = next(self.unet.parameters())
        self.dtype, self.alphas = some.dtype, self.alphas.to(some.device)

    def timestep(self, step: int) -> int:
        return 999 - 1000 * step // self.steps

    def levels(self, step: int) -> tuple[Tensor, Tensor]:
        """Signal and noise of the latents before a step; after the last one they are clean."""
        if step == self.steps:
            return torch.ones_like(self.alphas[0]), torch.zeros_like(self.alphas[0])
        alpha = self.alphas[self.timestep(step)]
        return alpha.sqrt(), (1 - alpha).sqrt()

    def clean(self, latents: Tensor, words: Tensor, nothing: Tensor | None, step: int) -> Tensor:
        """What the U-Net believes the picture to be, before a step."""
        signal, noise = self.levels(step)
        guided = nothing is not None and self.guidance != 1
        rows = torch.cat([latents, latents]) if guided else latents
        states = (torch.cat([nothing, words]) if guided else words).to(self.dtype)
        steps = torch.full((len(rows),), self.timestep(step), device=rows.device)
        found = self.unet(rows.to(self.dtype), steps, states, return_dict=False)[0].float()
        if guided:
            without, told = found.chunk(2)
            found = without + self.guidance * (told - without)
        return signal * latents - noise * found

    def leap(self, latents: Tensor, clean: Tensor, step: int) -> Tensor:
        """DDIM: the latents after a step, if the picture is `clean`."""
        (signal, noise), (signal_after, noise_after) = self.levels(step), self.levels(step + 1)
        return signal_after * clean + noise_after * (latents - signal * clean) / noise

    def aim(self, latents: Tensor, after: Tensor, step: int) -> Tensor:
        """The clean picture from which `leap` comes to the latents `after`."""
        (signal, noise), (signal_after, noise_after) = self.levels(step), self.levels(step + 1)
        ratio = noise_after / noise
        return (after - ratio * latents) / (signal_after - ratio * signal)

    def paint(self, latents: Tensor, words: Tensor, nothing: Tensor | None, steps: range | None = None) -> Tensor:
        """The latents after some steps, all by default."""
        for step in steps or range(self.steps):
            latents = self.leap(latents, self.clean(latents, words, nothing, step), step)
        return latents


@dataclass(kw_only=True)
class Examples:
    """The newest examples: token ids (N, ...); where each of S steps starts, and what it should see (N, S, ...)."""

    kept: int
    rows: tuple[Tensor, ...] = ()

    def add(self, *fresh: Tensor) -> None:
        both = zip(self.rows, fresh, strict=True) if self.rows else ((one[:0], one) for one in fresh)
        self.rows = tuple(torch.cat([old, new])[-self.kept :] for old, new in both)

    def pick(self, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        places = torch.randint(len(self.rows[0]), (count,), generator=generator, device=self.rows[0].device)
        return tuple(one[places] for one in self.rows)


def attach(unet: nn.Module, rank: int) -> dict[str, LowRank]:
    """Factors for every Linear and Conv2d of a U-Net, by kohya's names; alpha is the rank. All else is frozen."""
    unet.requires_grad_(False)
    found: dict[str, LowRank] = {}
    for path, module in unet.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            most = min(rank, module.weight.shape[0], module.weight[0].numel())
            found["lora_unet_" + path.replace(".", "_")] = LowRank(module.weight.requires_grad_(), most, most)
    return found


@dataclass(kw_only=True)
class Distiller:
    """Teaches a student the captions `tokens`; guidance leads away from `nothing`, a caption of each length.

    `encode` makes text states of token ids.
    """

    settings: Settings
    teacher: Painter
    student: Painter
    modules: dict[str, LowRank]
    encode: Callable[[Tensor], Tensor]
    tokens: Tokens
    nothing: Tokens
    side: int = 64  # of the latents

    def __post_init__(self) -> None:
        self._device = self.tokens.short.device
        self._generator = torch.Generator(self._device).manual_seed(self.settings.seed)
        self._captions = {False: self.tokens.short.flatten(0, 1), True: self.tokens.long}
        self._nothing = {False: self.nothing.short[-1:, 0], True: self.nothing.long[-1:]}
        self.examples = {long: Examples(kept=self.settings.kept) for long in (False, True)}

    def train(self, report: Report | None = None) -> None:
        """Leaves the averaged weights in the student."""
        settings = self.settings
        loop = Loop(
            groups=[([part for low in self.modules.values() for part in (low.down, low.up)], settings.student.rate)],
            leg=settings.student,
            warmup=settings.warmup // 4,
            ema=settings.student_ema,
            differentiate=self._differentiate,
            written=self._write,
        )
        for long in (False, False, False, False, True):
            self.refresh(long=long)
        for until in range(settings.fresh_every, settings.student.steps + 1, settings.fresh_every):
            long = until // settings.fresh_every % LONG == 0
            self.refresh(long=long)
            loop.run(lambda _, long=long: self.loss(long=long), report, until)
        loop.use(averages=True)

    @torch.no_grad()
    def refresh(self, *, long: bool) -> None:
        """Fresh examples: the teacher shows where each of the student's steps should end, from where it begins."""
        count, stride = self.settings.fresh, self.teacher.steps // self.student.steps
        captions = self._captions[long]
        ids = captions[torch.randint(len(captions), (count,), generator=self._generator, device=self._device)]
        words, nothing = self.encode(ids), self.encode(self._nothing[long]).expand(count, -1, -1)
        latents = torch.randn(count, 4, self.side, self.side, generator=self._generator, device=self._device)
        starts: list[Tensor] = []
        aims: list[Tensor] = []
        for step in range(self.student.steps):
            after = self.teacher.paint(latents, words, nothing, range(step * stride, (step + 1) * stride))
            starts.append(latents)
            aims.append(self.student.aim(latents, after, step))
            latents = self.student.leap(latents, self.student.clean(latents, words, None, step), step)
        self.examples[long].add(ids, torch.stack(starts, 1).half(), torch.stack(aims, 1).half())

    def loss(self, *, long: bool) -> Tensor:
        """Distance from what the teacher shows, of each latent and of each cell's mean."""
        ids, starts, aims = self.examples[long].pick(self.settings.student.batch, self._generator)
        words = self.encode(ids)
        found = [self.student.clean(start.float(), words, None, step) for step, start in enumerate(starts.unbind(1))]
        off = (torch.stack(found, 1) - aims).flatten(0, 1)
        both = (off, fn.adaptive_avg_pool2d(off, GRID))
        return torch.stack([fn.smooth_l1_loss(one, torch.zeros_like(one), beta=0.1) for one in both]).sum()

    def _differentiate(self) -> None:
        for low in self.modules.values():
            low.differentiate()
        self.student.unet.zero_grad()

    def _write(self) -> None:
        for low in self.modules.values():
            low.write()
