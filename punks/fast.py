"""Acceleration LoRAs: a row each, with the sampler, steps and guidance that it was made for.

Sources of these settings: the model cards. The SHA-256 of each file is listed alike in several public projects.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from punks.errors import RecipeError
from punks.fields import setting
from punks.variants import Base

OFF, ON = "off", "on"
_WORDS = {"true": ON, "yes": ON, "1": ON, "": OFF, "false": OFF, "no": OFF, "0": OFF}
# how acceleration LoRAs of other makers are called
_ACCELERATES = re.compile("lcm|hyper|lightning|turbo|tcd|dmd|flash|pcm", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceleration:
    """A LoRA that paints in few steps. `lora` is its name and its file in the base's `lora` folder.

    `file` is what its Hugging Face repository calls it, by default the same. Without `guidance_scale` it keeps the
    variant's; above `most_guidance` it paints garish colors.
    """

    name: str
    base: str
    lora: str
    sha256: str
    scheduler: str
    num_inference_steps: int
    guidance_scale: float | None = None
    most_guidance: float = 20
    scale: float = 1.0
    repo: str = ""
    revision: str = ""
    file: str = ""

    @property
    def source(self) -> str:
        """Where it comes from, as `--lora` takes it."""
        return f"hf:{self.repo}@{self.revision}/{self.path}" if self.repo else ""

    @property
    def path(self) -> str:
        """Its file in the repository."""
        return self.file or f"{self.lora}.safetensors"


_LCM: dict[str, Any] = {
    "name": "lcm",
    "scheduler": "lcm",
    "num_inference_steps": 4,
    "guidance_scale": 1.0,
    "most_guidance": 2.0,
}
_HYPER: dict[str, Any] = {
    "name": "hyper",
    "scheduler": "ddim_trailing",
    "num_inference_steps": 8,
    "repo": "ByteDance/Hyper-SD",
    "revision": "bc08d970a87c74c71209491d64e3525845698863",
}

# the first row of a base is its default
ROWS: list[Acceleration] = [
    Acceleration(
        **_HYPER,
        base="sd15",
        lora="Hyper-SD15-8steps-CFG-lora",
        sha256="f6123d5b950d5250ab6c33600e27f4dcf71b3099ebf888685e01e9e8117ce482",
    ),
    Acceleration(
        **_LCM,
        base="sd15",
        lora="lcm-lora-sdv1-5",
        sha256="8f90d840e075ff588a58e22c6586e2ae9a6f7922996ee6649a7f01072333afe4",
        repo="latent-consistency/lcm-lora-sdv1-5",
        revision="cf2fced511dbe7e26c8d1d397e728fbab875db4b",
        file="pytorch_lora_weights.safetensors",
    ),
    Acceleration(
        **_HYPER,
        base="sdxl",
        lora="Hyper-SDXL-8steps-CFG-lora",
        sha256="55b51334c85061afff5eff7c550b61963c8b8607a5868bbe4f26db49374719b1",
    ),
    Acceleration(
        **_LCM,
        base="sdxl",
        lora="lcm-lora-sdxl",
        sha256="a764e6859b6e04047cd761c08ff0cee96413a8e004c9f07707530cd776b19141",
        repo="latent-consistency/lcm-lora-sdxl",
        revision="a18548dd4956b174ec5b0d78d340c8dae0a129cd",
        file="pytorch_lora_weights.safetensors",
    ),
    Acceleration(
        name="lightning",
        base="sdxl",
        lora="sdxl_lightning_4step_lora",
        sha256="bf56cf2657efb15e465d81402ed481d1e11c4677e4bcce1bc11fe71ad8506b79",
        scheduler="euler_trailing",
        num_inference_steps=4,
        guidance_scale=1.0,
        most_guidance=1.5,
        repo="ByteDance/SDXL-Lightning",
        revision="c9a24f48e1c025556787b0c58dd67a091ece2e44",
    ),
    Acceleration(
        name="distilled",  # by training/distill.py; it comes with the demo
        base="demo",
        lora="punks_demo_2step",
        sha256="72113edea15a12935895706eba5b1b2970cdc901bfd551dc5c27acb2a96f0304",
        scheduler="ddim",
        num_inference_steps=2,
        guidance_scale=1.0,
        most_guidance=1.5,
    ),
]

# what users choose from
CHOICES = (OFF, ON, *dict.fromkeys(row.name for row in ROWS))


@dataclass(frozen=True, kw_only=True)
class _Choice:
    fast: str = setting("Paint in few steps, with an acceleration LoRA of the base.", OFF, choices=CHOICES)


FIELD = dataclasses.fields(_Choice)[0]


def chosen(value: object) -> str:
    """One of CHOICES; true and false stand for on and off. Raises RecipeError."""
    word = str(value).strip().lower()
    if (name := _WORDS.get(word, word)) not in CHOICES:
        raise RecipeError("fast", value, f"choose one of {', '.join(CHOICES)}")
    return name


def accelerations(base: str, name: str) -> list[Acceleration]:
    """The row of that name for a base; all for "on", the default first. Raises RecipeError where it has none."""
    rows = [row for row in ROWS if row.base == base]
    found = [row for row in rows if name in (ON, row.name)]
    if not found:
        has = f"has {', '.join(row.name for row in rows)}" if rows else "has no acceleration LoRA; leave fast out"
        raise RecipeError("fast", name, f"the base {base} {has}")
    return found


def known(sha256: str) -> Acceleration | None:
    """The row of a file."""
    return next((row for row in ROWS if row.sha256 == sha256), None)


def warnings(base: Base, scheduler: str, steps: int, guidance: float, loras: Mapping[str, str]) -> list[str]:
    """What does not suit what is loaded; `loras` are the names of the LoRAs beside the variant's by their SHA-256."""
    row = next(filter(None, map(known, loras)), None)
    found: list[str] = []
    if row is not None:
        if scheduler != row.scheduler:
            found.append(f"scheduler: {row.lora} was made for {row.scheduler}, not {scheduler}")
        if guidance > row.most_guidance:
            found.append(f"guidance_scale: {guidance:g} is too high for {row.lora}; use {row.most_guidance:g} or less")
        if steps < row.num_inference_steps:
            found.append(f"num_inference_steps: {row.lora} was made for {row.num_inference_steps}, not {steps}")
    elif not any(map(_ACCELERATES.search, loras.values())):
        few = f"use {base.least_steps} or more" + (", or fast" if any(one.base == base.name for one in ROWS) else "")
        if scheduler in ("lcm", "tcd"):
            found.append(f"scheduler: {scheduler} needs an acceleration LoRA, and none is loaded; use another sampler")
        elif steps < base.least_steps:
            found.append(f"num_inference_steps: {steps} is too few without an acceleration LoRA; {few}")
        elif scheduler == "dpmpp_2m_karras" and steps < base.least_karras_steps:
            way = f"use {base.least_karras_steps} or more, or another sampler"
            found.append(f"num_inference_steps: {steps} is too few for {scheduler} on this base; {way}")
    return found
