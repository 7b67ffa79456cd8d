"""The training set: portraits, their captions as token ids, and their renderings as latents."""

import multiprocessing
import os
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTokenizer

from training.canvas import GRID, RGB
from training.captions import NEGATIVE, Wording, caption
from training.portraits import draw, sample
from training.rendering import REGIONS, crisp, soft
from training.settings import Settings
from training.traits import BACKGROUNDS, PATTERNED, Traits

KINDS = ("soft", "mosaic", "punk")
MOSAIC = ("mosaic of square tiles", "tiled picture", "low resolution thumbnail")
HEX = 0.15  # of the solid backgrounds are a shade beside the named one, with its hex code in a caption
CHUNK = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Captioned:
    """One training portrait: cells and regions uint8, and captions by kind; the last caption of each is long."""

    cells: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    captions: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Token ids of N portraits: short (N, V, 77), long (N, 3, 77)."""

    short: Tensor
    long: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Latents (N, 4, 64, 64) of unit variance and token ids, by kind; ids of the captions that mean "none"."""

    latents: dict[str, Tensor]
    tokens: dict[str, Tokens]
    nothing: Tokens


def make(seed: int, captions: int, index: int, patterned: float = PATTERNED) -> Captioned:
    """Portrait number `index` of a seed."""
    rng = np.random.default_rng([seed, index])
    traits = sample(rng, patterned)
    tone: RGB | None = None
    if traits.pattern == "solid" and rng.random() < HEX:
        red, green, blue = np.clip(BACKGROUNDS[traits.background] + rng.normal(0, 5, 3), 0, 255).round()
        tone = (int(red), int(green), int(blue))
    drawn = draw(traits, rng, tone)
    regions = np.zeros((GRID, GRID), np.uint8)
    for name, mask in drawn.masks.items():
        regions[mask] = REGIONS[name]
    tones = [tone, *[None] * captions]
    long = [0.0] * captions + [1.0]
    texts = {kind: [_word(kind, traits, rng, *one) for one in zip(tones, long, strict=True)] for kind in KINDS}
    return Captioned(cells=drawn.cells, regions=regions, captions=texts)


def _word(kind: str, traits: Traits, rng: np.random.Generator, tone: RGB | None, long: float) -> str:
    style = {"soft": 0.65, "mosaic": 0.0, "punk": 1.0}[kind]
    text = caption(traits, rng, Wording(style=style, long=long), tone)
    return f"{MOSAIC[int(rng.integers(len(MOSAIC)))]}, {text}" if kind == "mosaic" else text


def draw_all(settings: Settings) -> list[Captioned]:
    """All portraits of the training, drawn on every core."""
    job = partial(make, settings.seed, settings.captions, patterned=settings.patterned)
    workers = min(len(os.sched_getaffinity(0)), settings.portraits // 1000)
    if workers < 2:
        return [job(i) for i in range(settings.portraits)]
    # forked before CUDA starts, the workers need not import torch again
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return pool.map(job, range(settings.portraits), chunksize=250)


def chunks(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """kohya's long form: 225 ids in three chunks between BOS and EOS, (N, 3, 77)."""
    rows = tokenizer(texts, padding="max_length", max_length=227, truncation=True, verbose=False).input_ids
    ids = torch.tensor(rows)
    middle = ids[:, 1:226].reshape(-1, 3, 75)
    first, last = ids[:, :1, None].expand(-1, 3, 1), ids[:, -1:, None].expand(-1, 3, 1)
    return torch.cat([first, middle, last], 2).int()


def tokenize(tokenizer: CLIPTokenizer, captions: list[list[str]], device: torch.device) -> Tokens:
    """Captions of N portraits, the last of each long."""
    flat = [text for one in captions for text in one[:-1]]
    rows = tokenizer(flat, padding="max_length", max_length=77, truncation=True, verbose=False).input_ids
    short = torch.tensor(rows, dtype=torch.int32).view(len(captions), -1, 77)
    return Tokens(short=short.to(device), long=chunks(tokenizer, [one[-1] for one in captions]).to(device))


@torch.no_grad()
def encode(vae: AutoencoderKL, portraits: list[Captioned], kind: str, seed: int, device: torch.device) -> Tensor:
    """Latents of unit variance of soft or crisp renderings, fp16 on the device."""
    found: list[Tensor] = []
    generator = torch.Generator(device).manual_seed(seed)
    for start in range(0, len(portraits), CHUNK):
        pictures = render(portraits[start : start + CHUNK], kind, generator, device)
        mean = vae.encode(pictures.to(vae.dtype)).latent_dist.mean
        found.append((mean * vae.config.scaling_factor).half())
    return torch.cat(found)


def render(portraits: list[Captioned], kind: str, generator: torch.Generator, device: torch.device) -> Tensor:
    """-1..1 (N, 3, 512, 512)."""
    cells = torch.from_numpy(np.stack([one.cells for one in portraits])).to(device)
    if kind != "soft":
        return crisp(cells)
    regions = torch.from_numpy(np.stack([one.regions for one in portraits])).to(device)
    return soft(cells, regions, generator)


def build(
    settings: Settings, portraits: list[Captioned], vae: AutoencoderKL, tokenizer: CLIPTokenizer, device: torch.device
) -> Dataset:
    """Everything that the diffusion stages read, on the device."""
    sharp = portraits[: settings.crisp]
    latents = {"soft": encode(vae, portraits, "soft", settings.seed, device)}
    latents["punk"] = latents["mosaic"] = encode(vae, sharp, "punk", settings.seed, device)
    captions = {kind: [one.captions[kind] for one in portraits[: len(latents[kind])]] for kind in KINDS}
    nothing = tokenize(tokenizer, [["", NEGATIVE, ""], ["", NEGATIVE, NEGATIVE]], device)
    return Dataset(
        latents=latents,
        tokens={kind: tokenize(tokenizer, texts, device) for kind, texts in captions.items()},
        nothing=Tokens(short=nothing.short[:1].transpose(0, 1), long=nothing.long),
    )
