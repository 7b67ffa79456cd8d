"""Stage 1: the VAE, trained on crops of soft and crisp renderings, with latents whitened at the end."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as fn

from training import models
from training.dataset import Captioned, render
from training.loop import Loop, Report
from training.settings import Settings


def train_vae(
    settings: Settings,
    portraits: list[Captioned],
    device: torch.device,
    dtype: torch.dtype,
    checkpoint: Path | None = None,
    report: Report | None = None,
) -> AutoencoderKL:
    """An AutoencoderKL whose encoder gives latents of zero mean, unit variance and no correlation, in SD1.5's scale."""
    torch.manual_seed(settings.seed)
    vae = models.build_vae(settings).to(device, dtype)
    loop = Loop(
        groups=[(list(vae.parameters()), settings.vae.rate)],
        leg=settings.vae,
        warmup=settings.warmup,
        ema=settings.ema,
        checkpoint=checkpoint,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    loop.run(lambda step: _loss(vae, settings, portraits, step, device), report)
    loop.use(averages=True)
    vae = vae.float()
    _whiten(vae, settings, portraits, device)
    return vae


def _crops(settings: Settings, portraits: list[Captioned], step: int, device: torch.device) -> Tensor:
    """Half soft, half crisp; two crops of each picture, on the 8-pixel grid of the latents."""
    generator = torch.Generator(device).manual_seed(settings.seed * 1_000_003 + step)
    places = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    quarter = max(1, settings.vae.batch // 4)
    found: list[Tensor] = []
    for kind in ("soft", "punk"):
        picked = torch.randint(len(portraits), (quarter,), generator=places).tolist()
        pictures = render([portraits[i] for i in picked], kind, generator, device)
        span = (pictures.shape[-1] - settings.vae_crop) // 8 + 1
        for top, left in (torch.randint(span, (2, 2), generator=places) * 8).tolist():
            found.append(pictures[:, :, top : top + settings.vae_crop, left : left + settings.vae_crop])
    return torch.cat(found)


def _loss(
    vae: AutoencoderKL, settings: Settings, portraits: list[Captioned], step: int, device: torch.device
) -> Tensor:
    pictures = _crops(settings, portraits, step, device)
    generator = torch.Generator(device).manual_seed(settings.seed * 2_000_003 + step)
    latents = vae.encode(pictures.to(vae.dtype)).latent_dist.mean.float()
    spread = latents.std((0, 2, 3), keepdim=True)
    level = torch.rand(len(latents), 1, 1, 1, generator=generator, device=device) * settings.vae_noise
    noise = torch.randn(latents.shape, generator=generator, device=device)
    decoded = vae.decode((latents + spread * level * noise).to(vae.dtype), return_dict=False)[0].float()
    error = decoded - pictures
    return error.abs().mean() + error.square().mean() + 1e-4 * latents.square().mean()


@torch.no_grad()
def _whiten(vae: AutoencoderKL, settings: Settings, portraits: list[Captioned], device: torch.device) -> None:
    """Folds whitening into quant_conv, its inverse into post_quant_conv: scaling_factor stays SD1.5's."""
    generator = torch.Generator(device).manual_seed(settings.seed)
    some = portraits[: min(512, len(portraits))]
    means: list[Tensor] = []
    for start in range(0, len(some), 32):
        for kind in ("soft", "punk"):
            pictures = render(some[start : start + 32], kind, generator, device)
            means.append(vae.encode(pictures).latent_dist.mean.permute(1, 0, 2, 3).flatten(1))
    latents = torch.cat(means, 1).double()
    mean = latents.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(latents))
    scale = vae.config.scaling_factor
    white = ((vectors / values.clamp_min(1e-9).sqrt()).T / scale).float()
    back = (vectors * values.clamp_min(1e-9).sqrt() * scale).float()
    quant, post = vae.quant_conv, vae.post_quant_conv
    assert quant is not None
    assert post is not None
    half = len(mean)
    weight, bias = quant.weight[:half, :, 0, 0].clone(), quant.bias[:half].clone()
    quant.weight.zero_()
    quant.weight[:half, :, 0, 0] = white @ weight
    quant.bias[:half] = white @ (bias - mean.float())
    quant.bias[half:] = -30.0  # the log variance: the encoder is certain
    inner = post.weight[:, :, 0, 0].clone()
    post.weight[:, :, 0, 0] = inner @ back
    post.bias += inner @ mean.float()


@torch.no_grad()
def psnr(vae: AutoencoderKL, portraits: list[Captioned], kind: str, device: torch.device) -> tuple[float, float]:
    """Decibels of a round trip, and of one with latent noise of a tenth of their spread."""
    generator = torch.Generator(device).manual_seed(1)
    pictures = render(portraits, kind, generator, device).to(vae.dtype)
    latents = vae.encode(pictures).latent_dist.mean
    noise = torch.randn(latents.shape, generator=generator, device=device).to(latents) * latents.std() * 0.1
    found: list[float] = []
    for one in (latents, latents + noise):
        error = fn.mse_loss(vae.decode(one, return_dict=False)[0].float().clamp(-1, 1), pictures.float())
        found.append(float(10 * torch.log10(4 / error)))
    return found[0], found[1]
