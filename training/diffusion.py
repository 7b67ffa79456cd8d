"""Stages 2 and 3: the base that paints what the words say, and the LoRA that makes it pixel art."""

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.nn import functional as fn
from transformers import CLIPTextModel

from training import kohya, models
from training.dataset import Dataset, Tokens
from training.loop import Loop, Report
from training.settings import Settings

MOUTH = (slice(34, 51), slice(18, 44))  # of the latents: rows 13 to 18, columns 7 to 16 of the cells, and a bend
LORA = 9  # the number of its stage; the base's legs have 0 and up


class Denoiser:
    """The text encoder and the U-Net, trained as one. A step's randomness comes from its number alone."""

    def __init__(self, settings: Settings, device: torch.device, dtype: torch.dtype, *, compiled: bool = False) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.dtype = settings, device, dtype
        self.unet: UNet2DConditionModel = models.build_unet(settings).to(device, dtype)
        self.unet.to(memory_format=torch.channels_last)
        self.paint = torch.compile(self.unet, dynamic=False) if compiled else self.unet
        self.text: CLIPTextModel = models.build_text_encoder(settings).to(device, dtype)
        alphas = models.build_scheduler().alphas_cumprod.to(device)
        self._weight = torch.ones(64, 64, device=device)
        self._weight[MOUTH] = settings.detail
        self._signal, self._noise = alphas.sqrt().view(-1, 1, 1, 1), (1 - alphas).sqrt().view(-1, 1, 1, 1)

    def encode(self, ids: Tensor) -> Tensor:
        """Token ids (N, 77), or kohya's three chunks (N, 3, 77) -> (N, 77 or 227, width)."""
        states = self.text(ids.long().flatten(0, -2)).last_hidden_state
        if ids.dim() == 2:
            return states
        states = states.unflatten(0, (len(ids), 3))
        inner = states[:, :, 1:-1].flatten(1, 2)
        return torch.cat([states[:, 0, :1], inner, states[:, 2, -1:]], 1)

    def loss(self, latents: Tensor, ids: Tensor, steps: Tensor, noise: Tensor) -> Tensor:
        """v-prediction, every timestep with the same weight; the mouth has more than the rest."""
        signal, sigma = self._signal[steps], self._noise[steps]
        noisy, target = signal * latents + sigma * noise, signal * noise - sigma * latents
        # long captions come in every tenth step only: not worth a compilation
        unet = self.paint if ids.dim() == 2 else self.unet
        found = unet(noisy.to(self.dtype), steps, self.encode(ids), return_dict=False)[0]
        return (self._weight * (found.float() - target).square()).mean()

    @torch.no_grad()
    def gauge(self, data: Dataset, kind: str, count: int = 256) -> tuple[float, float]:
        """Error of the mean latent told from pure noise with the true caption, and with another picture's."""
        latents, tokens = data.latents[kind][:count].float(), data.tokens[kind].short[:count, 0]
        generator = torch.Generator(self.device).manual_seed(1)
        noise = torch.randn(latents.shape, generator=generator, device=self.device).to(self.dtype)
        last = torch.full((len(latents),), 999, device=self.device)
        found: list[float] = []
        for ids in (tokens, tokens.roll(1, 0)):
            told = -self.unet(noise, last, self.encode(ids), return_dict=False)[0].float()
            found.append(float(fn.mse_loss(told.mean((2, 3)), latents.mean((2, 3)))))
        return found[0], found[1]


def train_base(
    model: Denoiser, data: Dataset, leg: int, checkpoint: Path | None = None, report: Report | None = None
) -> None:
    """One leg of the text encoder and the U-Net: soft portraits, and some mosaics that are called so."""
    settings = model.settings
    this = settings.base[leg]
    loop = Loop(
        groups=[
            (list(model.unet.parameters()), this.rate),
            (list(model.text.parameters()), this.rate * settings.text_rate),
        ],
        leg=this,
        warmup=settings.warmup,
        ema=settings.ema,
        checkpoint=checkpoint,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    mosaics = round(this.batch * this.mosaics)
    parts = {"soft": this.batch - mosaics, "mosaic": mosaics}
    loop.run(lambda step: model.loss(*batch(model, data, parts, step, leg)), report)
    loop.use(averages=True)


def train_lora(
    model: Denoiser, data: Dataset, folder: Path, checkpoint: Path | None = None, report: Report | None = None
) -> None:
    """Trains a LoRA on the frozen base and writes the epochs that are kept."""
    settings = model.settings
    torch.manual_seed(settings.seed + 1)
    modules = kohya.attach(model.unet, model.text, settings)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"punk": settings.lora.batch}
    per_epoch = settings.lora.steps // settings.lora_epochs
    loop = lora_loop(model, modules, checkpoint)
    for epoch in range(loop.step // per_epoch or 1, settings.lora_epochs + 1):
        loop.run(lambda step: model.loss(*batch(model, data, parts, step, LORA)), report, epoch * per_epoch)
        loop.use(averages=True)
        if epoch in settings.kept_epochs:
            kohya.write(kohya.epoch_file(folder, settings, epoch), modules, settings, epoch)
        loop.use(averages=False)


def lora_loop(model: Denoiser, modules: dict[str, kohya.LowRank], checkpoint: Path | None = None) -> Loop:
    """A loop over the factors of a LoRA, whose sums it writes into the model after every step."""
    settings, leg = model.settings, model.settings.lora
    groups: dict[str, list[torch.nn.Parameter]] = {"lora_unet": [], "lora_te": []}
    for name, low in modules.items():
        groups["lora_te" if name.startswith("lora_te") else "lora_unet"] += [low.down, low.up]

    def differentiate() -> None:
        for low in modules.values():
            low.differentiate()
        for part in (model.unet, model.text):
            part.zero_grad()

    def write() -> None:
        for low in modules.values():
            low.write()

    return Loop(
        groups=[(groups["lora_unet"], leg.rate), (groups["lora_te"], leg.rate * settings.lora_text_rate)],
        leg=leg,
        warmup=settings.lora_warmup,
        ema=settings.lora_ema,
        differentiate=differentiate,
        written=write,
        checkpoint=checkpoint,
        checkpoint_seconds=settings.checkpoint_seconds,
    )


def batch(
    model: Denoiser, data: Dataset, parts: dict[str, int], step: int, stage: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, token ids, timesteps and noise of a step, of so many pictures of each kind."""
    settings, device = model.settings, model.device
    key = (settings.seed * 10 + stage) * 10_000_019 + step
    generator = torch.Generator(device).manual_seed(key)

    def whole(high: int, count: int) -> Tensor:
        return torch.randint(high, (count,), generator=generator, device=device)

    long = step % round(1 / settings.long) == 0
    latents, ids = zip(*(_pick(data, kind, count, whole, long) for kind, count in parts.items()), strict=True)
    clean, words = torch.cat(latents).float(), torch.cat(ids)
    count = len(clean)
    chance = torch.rand(2, count, generator=generator, device=device)
    empty = (data.nothing.long if long else data.nothing.short[:, 0])[whole(2, count)]
    dropped = (chance[0] < settings.unconditional).view(-1, *[1] * (words.dim() - 1))
    words = torch.where(dropped, empty, words)
    steps = torch.where(chance[1] < settings.high_noise, 900 + whole(100, count), whole(1000, count))
    return clean, words, steps, torch.randn(clean.shape, generator=generator, device=device)


def _pick(data: Dataset, kind: str, count: int, whole, long: bool) -> tuple[Tensor, Tensor]:
    tokens: Tokens = data.tokens[kind]
    rows = whole(len(data.latents[kind]), count)
    ids = tokens.long[rows] if long else tokens.short[rows, whole(tokens.short.shape[1], count)]
    return data.latents[kind][rows], ids
