"""A LoRA file by its header alone: what it is, and whether a base can take it. Imports no torch.

kohya's files hold, for each module, `lora_down` = A (rank, in), `lora_up` = B (out, rank) and `alpha`
(kohya-ss/sd-scripts, networks/lora.py); PEFT and diffusers write the same factors under other names.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from punks.errors import LoraError
from punks.files.weights import fault
from punks.lora.training_runs import RUNS, several
from punks.variants import VARIANTS, Variant

DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"

_CROSS_ATTENTION = {768: "SD 1.5", 1024: "SD 2", 1152: "PixArt", 1280: "the SDXL refiner", 2048: "SDXL"}
# transformers with names of their own; their attention says less than these names do
_FAMILIES = {
    "double_blocks": "Flux",
    "single_transformer_blocks": "Flux",
    "joint_blocks": "SD3",
    "add_k_proj": "SD3",
    "adaln_single": "PixArt",
}
_OTHER_KINDS = {
    "hada_": "a LoHa",
    "lokr_": "a LoKr",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "lora_mid": "a LoCon with Tucker factors",
    "first_stage_model.": "a whole checkpoint",
}
_FACTOR = re.compile(r"(.+?)(?:[._]lora\.|\.lora_linear_layer\.|\.lora_)(down|up|A|B)(?:\.default)?\.weight")
_NETWORKS = {
    "lora_unet_": "U-Net",
    "lora_te_": "text encoder",
    "lora_te1_": "text encoder 1",
    "lora_te2_": "text encoder 2",
    "lora_te3_": "text encoder 3",
    "unet.": "U-Net",
    "text_encoder.": "text encoder",
    "text_encoder_2.": "text encoder 2",
    "transformer.": "transformer",
    "diffusion_model.": "diffusion model",
}


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """What the header of a safetensors file says. `spans`: first byte and the one after the last, from file start."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    spans: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    @property
    def modules(self) -> list[str]:
        """The modules that its keys name, kohya's names in kohya's files."""
        return sorted({match[1] if (match := _FACTOR.fullmatch(key)) else key.split(".")[0] for key in self.shapes})

    @cached_property
    def factors(self) -> dict[str, tuple[str, str]]:
        """The keys of A and of B by module, where both are there."""
        sides: dict[str, dict[str, str]] = {}
        for key in self.shapes:
            if match := _FACTOR.fullmatch(key):
                sides.setdefault(match[1], {})["A" if match[2] in ("down", "A") else "B"] = key
        return {module: (both["A"], both["B"]) for module, both in sorted(sides.items()) if len(both) == 2}

    @cached_property
    def ranks(self) -> list[int]:
        """The ranks that occur, usually one."""
        return sorted({self.shapes[down][0] for down, _ in self.factors.values() if self.shapes[down]})

    @property
    def networks(self) -> dict[str, int]:
        """How many modules of each network it changes."""
        counts: dict[str, int] = {}
        for module in self.factors:
            counts[network(module)] = counts.get(network(module), 0) + 1
        return counts

    @cached_property
    def family(self) -> str | None:
        """The family of the base it was trained on, as far as names and shapes tell."""
        for part, name in _FAMILIES.items():
            if any(part in key for key in self.shapes):
                return name
        cross = {self._inputs(module) for module in self.factors if re.search(r"attn2[._](processor\.)?to_k$", module)}
        if cross:
            return " or ".join(_CROSS_ATTENTION.get(d, f"a base with cross-attention {d}") for d in sorted(cross))
        if any(module.startswith(("lora_te1_", "lora_te2_")) for module in self.factors):
            return "SDXL"
        widths = {self._inputs(module) for module in self.factors if re.match(r"lora_te_.*fc1$", module)}
        return {768: "SD 1.5", 1024: "SD 2"}.get(widths.pop()) if len(widths) == 1 else None

    @cached_property
    def kind(self) -> str:
        """Which sort of file: kohya, PEFT, diffusers, another adapter, or none."""
        keys = self.shapes
        if kind := next((kind for part, kind in _OTHER_KINDS.items() if any(part in key for key in keys)), None):
            return kind
        if not any(_FACTOR.fullmatch(key) for key in keys):
            return "a safetensors file without LoRA weights"
        if any(".lora_A." in key for key in keys):
            return "a PEFT LoRA"
        if not any(key.endswith(DOWN) for key in keys):
            return "a diffusers LoRA"
        if not any(module.startswith("lora_") for module in self.factors):
            return "a LoRA for another trainer"
        conv = any(len(keys[down]) == 4 and keys[down][2:] != (1, 1) for down, _ in self.factors.values())
        return "a kohya LoRA with 3x3 convolutions (LoCon)" if conv else "a kohya LoRA"

    def describe(self) -> str:
        """In words: kind, family, rank and how many modules."""
        if not self.factors:
            return self.kind
        family, rank = self.family or "an unknown base", several(self.ranks)
        return f"{self.kind} for {family}, rank {rank}, {len(self.factors)} modules"

    def claim(self) -> tuple[Variant, int] | None:
        """The variant and epoch that the file's name stands for."""
        return next(
            (
                (row, epoch)
                for row in VARIANTS.values()
                for epoch in range(1, row.epochs + 1)
                if row.lora_file(epoch) == self.path.name
            ),
            None,
        )

    def _inputs(self, module: str) -> int:
        shape = self.shapes[self.factors[module][0]]
        return shape[1] if len(shape) > 1 else 0


def network(module: str) -> str:
    """The network a module belongs to, in words."""
    return next((name for prefix, name in _NETWORKS.items() if module.startswith(prefix)), "unnamed network")


def read_header(path: Path) -> LoraFile:
    """The header of a safetensors file; raises LoraError if it is none, or is cut short."""
    if path.is_dir():
        raise LoraError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise LoraError(f"{path} is not a regular file; save it as one")
    try:
        with safe_open(path, framework="np"), path.open("rb") as raw:  # safe_open checks every offset and the length
            length = int.from_bytes(raw.read(8), "little")
            header: dict[str, Any] = json.loads(raw.read(length))
    except SafetensorError as error:
        raise LoraError(f"{path} is {fault(path)}; fetch it again") from error
    except OSError as error:
        raise LoraError(f"{path}: cannot be read ({error.strerror or error})") from error
    metadata: dict[str, str] = header.pop("__metadata__", None) or {}
    spans = {key: tuple(8 + length + offset for offset in entry["data_offsets"]) for key, entry in header.items()}
    return LoraFile(
        path=path,
        shapes={key: tuple(entry["shape"]) for key, entry in header.items()},
        dtypes={key: entry["dtype"] for key, entry in header.items()},
        spans=spans,
        metadata=metadata,
    )


def check(file: LoraFile, base: Mapping[str, tuple[int, ...]]) -> None:
    """Raises LoraError unless every key has its place in the base, with the right shape.

    `base` holds weight shapes by kohya's module name. A file named as an epoch of a recorded run must have its rank.
    """

    def refuse(why: str) -> LoraError:
        return LoraError(f"{file.path}: {why}; it is {file.describe()}, expected is a kohya LoRA for this base")

    if not any(key.endswith(DOWN) for key in file.shapes):
        raise refuse("it holds no LoRA weights that can be applied")
    for key, shape in file.shapes.items():
        name, _, suffix = key.partition(".")
        if f".{suffix}" not in (DOWN, UP, ALPHA):
            raise refuse(f"nothing takes its key {key}")
        if name not in base:
            raise refuse(f"this base has no module for its key {key}")
        if f".{suffix}" == ALPHA and shape not in ((), (1,)):
            raise refuse(f"{key} has shape {shape} and is no single number")
    for name in file.modules:
        down, up = file.shapes.get(name + DOWN), file.shapes.get(name + UP)
        if not down or not up:
            raise refuse(f"{name} lacks {DOWN if up else UP}")
        weight = base[name]
        if (up[0], *down[1:]) != weight or down[0] != up[1] or any(side != 1 for side in up[2:]):
            raise refuse(f"{name} has shapes {up} x {down}, the base has {weight}")
    if (claim := file.claim()) and (other := other_rank(file, claim[0])):
        raise refuse(f"its name says epoch {claim[1]} of {other}")


def other_rank(file: LoraFile, row: Variant) -> str | None:
    """The variant, and that the file has not the rank recorded of its training; None if it has, or none is recorded."""
    dim = RUNS[row.name].parameters.get("network_dim") if row.name in RUNS else None
    if dim is None or file.ranks == [dim]:
        return None
    return f"{row.name}, which was trained at network_dim {dim}, but it has rank {several(file.ranks)}"
