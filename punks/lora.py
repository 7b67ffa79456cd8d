"""kohya LoRA files: read and check one, fuse it into a base exactly, change or undo it in place.

A file holds, for each module it trained, A = `lora_down` (rank, in), B = `lora_up` (out, rank) and `alpha`; the module
then computes with W + scale * (alpha / rank) * B @ A (kohya-ss/sd-scripts, networks/lora.py; Hu et al. 2021).
"""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from punks.errors import LoraError
from punks.weights import fault

# B (out, rank), A (rank, in) and alpha/rank by kohya's module name
Factors = dict[str, tuple[Tensor, Tensor, float]]

_DOWN, _UP, _ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"
_KEPT_BYTES = 2_000_000_000
_CROSS_ATTENTION = {768: "SD 1.5", 1024: "SD 2", 2048: "SDXL"}
_OTHER_KINDS = {
    "hada_": "a LoHa",
    "lokr_": "a LoKr",
    "dora_scale": "a DoRA",
    "lora_mid": "a LoCon with Tucker factors",
    ".lora_A.": "a PEFT LoRA",
    ".lora.down.": "a diffusers LoRA",
    "lora_unet_double_blocks": "a kohya LoRA for Flux",
    "diffusion_model.": "a LoRA or checkpoint for another trainer",
    "first_stage_model.": "a whole checkpoint",
}


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """What the header of a kohya LoRA file says: shapes of every tensor, kohya's `ss_*` metadata, no weights read."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]

    @property
    def modules(self) -> list[str]:
        """kohya's names of the modules that were trained."""
        return sorted({key.split(".")[0] for key in self.shapes})

    @property
    def ranks(self) -> list[int]:
        """The ranks that occur, usually one."""
        return sorted({shape[0] for key, shape in self.shapes.items() if key.endswith(_DOWN) and shape})

    def describe(self) -> str:
        """In words: kind, family, rank and how many modules."""
        if kind := next((kind for part, kind in _OTHER_KINDS.items() if any(part in k for k in self.shapes)), None):
            return f"{kind} file"
        if not any(key.endswith(_DOWN) for key in self.shapes):
            return "a safetensors file without LoRA weights"
        cross = {s[1] for k, s in self.shapes.items() if k.endswith(f"attn2_to_k{_DOWN}") and len(s) > 1}
        family = " or ".join(_CROSS_ATTENTION.get(d, f"a base with cross-attention {d}") for d in sorted(cross))
        rank = "/".join(map(str, self.ranks))
        return f"a kohya LoRA for {family or 'an unknown base'}, rank {rank}, {len(self.modules)} modules"


def read_header(path: Path) -> LoraFile:
    """The header of a safetensors file; raises LoraError if it is none, or is cut short."""
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            return LoraFile(path=path, shapes=shapes, metadata=file.metadata() or {})
    except SafetensorError as error:
        raise LoraError(f"{path} is {fault(path)}; fetch it again") from error
    except OSError as error:
        raise LoraError(f"{path}: cannot be read ({error.strerror or error})") from error


class LoraSlot:
    """The place in a base model that holds at most one fused LoRA.

    Keeps a pristine copy W0 of every weight a LoRA touches and writes W0 + delta in place: storage never moves,
    changes never drift, and scale 0 is the bare base bit for bit.
    """

    def __init__(self, pipeline: Any) -> None:
        self._targets = dict(_targets(pipeline))
        self._pristine: dict[str, Tensor] = {}
        self._read: OrderedDict[object, Factors] = OrderedDict()
        self._holds: object = None

    @property
    def nbytes(self) -> int:
        """Memory that the pristine copies and the LoRAs read last take."""
        pristine = sum(tensor.nbytes for tensor in self._pristine.values())
        return pristine + sum(map(_nbytes, self._read.values()))

    def check(self, file: LoraFile) -> None:
        """Raises LoraError unless every key of the file has its place in this base, with the right shape."""

        def refuse(why: str) -> LoraError:
            return LoraError(f"{file.path}: {why}; it is {file.describe()}, expected is a kohya LoRA for this base")

        if not any(key.endswith(_DOWN) for key in file.shapes):
            raise refuse("it holds no LoRA weights that can be applied")
        for key, shape in file.shapes.items():
            name, _, suffix = key.partition(".")
            if f".{suffix}" not in (_DOWN, _UP, _ALPHA):
                raise refuse(f"nothing takes its key {key}")
            if name not in self._targets:
                raise refuse(f"this base has no module for its key {key}")
            if f".{suffix}" == _ALPHA and shape not in ((), (1,)):
                raise refuse(f"{key} has shape {shape} and is no single number")
        for name in file.modules:
            down, up = file.shapes.get(name + _DOWN), file.shapes.get(name + _UP)
            if not down or not up:
                raise refuse(f"{name} lacks {_DOWN if up else _UP}")
            weight = tuple(self._targets[name].shape)
            if (up[0], *down[1:]) != weight or down[0] != up[1] or any(side != 1 for side in up[2:]):
                raise refuse(f"{name} has shapes {up} x {down}, the base has {weight}")

    def fuse(self, path: Path, scale: float) -> None:
        """Puts the file's LoRA at that scale in place of whatever the slot holds. Raises LoraError."""
        stat = path.stat()
        identity = (path, stat.st_mtime_ns, stat.st_size)
        if self._holds == (identity, scale):
            return
        self._write(self._factors(identity, path) if scale else {}, scale)
        self._holds = (identity, scale)

    def clear(self) -> None:
        """Takes the LoRA out: the base as it was loaded, bit for bit."""
        self._write({}, 0.0)

    @torch.inference_mode()
    def _write(self, factors: Factors, scale: float) -> None:
        self._holds = None  # an interrupted write is not trusted: the next fuse starts from W0 again
        for name in self._pristine.keys() - factors.keys():
            self._targets[name].copy_(self._pristine[name])
        for name, (up, down, ratio) in factors.items():
            weight = self._targets[name]
            if name not in self._pristine:
                self._pristine[name] = weight.clone()
            delta = (up.float() @ down.float()).view_as(weight)
            weight.copy_(self._pristine[name].float().add(delta, alpha=scale * ratio))

    def _factors(self, identity: object, path: Path) -> Factors:
        """The file's factors, on the device; the ones used last are kept, so that going back reads no file."""
        if identity not in self._read:
            self._read[identity] = self._load(path)
        self._read.move_to_end(identity)
        while len(self._read) > 1 and sum(map(_nbytes, self._read.values())) > _KEPT_BYTES:
            self._read.popitem(last=False)
        return self._read[identity]

    def _load(self, path: Path) -> Factors:
        file = read_header(path)
        self.check(file)
        device = next(iter(self._targets.values())).device
        tensors = load_file(path, device=str(device))
        sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors.values()])
        if not bool(sums.isfinite().all()):
            raise LoraError(f"{path}: holds values that are not finite; the training diverged, or the file is damaged")
        alphas = [name for name in file.modules if name + _ALPHA in tensors]
        values = torch.stack([tensors[name + _ALPHA].float().reshape(()) for name in alphas]).tolist() if alphas else []
        alpha = dict(zip(alphas, values, strict=True))
        factors: Factors = {}
        for name in file.modules:
            down, up = tensors[name + _DOWN], tensors[name + _UP]
            rank = down.shape[0]
            factors[name] = (up.flatten(1), down.flatten(1), alpha.get(name, rank) / rank)
        return factors


def _nbytes(factors: Factors) -> int:
    return sum(up.nbytes + down.nbytes for up, down, _ in factors.values())


def _targets(pipeline: Any) -> Iterator[tuple[str, Tensor]]:
    """kohya's name and weight of every Linear and Conv2d of the U-Net and the text encoders."""
    layers = pipeline.unet.config.layers_per_block
    second = getattr(pipeline, "text_encoder_2", None)
    for path, weight in _weights(pipeline.unet):
        yield "lora_unet_" + path.replace(".", "_"), weight
        # SDXL files carry the names of the original U-Net (Stability-AI/generative-models)
        if second is not None and (sgm := _sgm_path(path, layers)):
            yield "lora_unet_" + sgm.replace(".", "_"), weight
    encoders = (
        {"lora_te_": pipeline.text_encoder}
        if second is None
        else {
            "lora_te1_": pipeline.text_encoder,
            "lora_te2_": second,
        }
    )
    for prefix, encoder in encoders.items():
        for path, weight in _weights(encoder):
            # transformers 5.6 dropped the level `text_model`, which kohya's names keep
            path = path.removeprefix("text_model.")
            if path.startswith("encoder."):
                yield f"{prefix}text_model_{path.replace('.', '_')}", weight


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield path, module.weight.detach()


def _sgm_path(path: str, layers: int) -> str | None:
    """The original name of an attention module: down_blocks.1.attentions.0 is input_blocks.4.1 with two layers."""
    if match := re.match(r"(down|up)_blocks\.(\d+)\.attentions\.(\d+)\.(.*)", path):
        side, block, layer, rest = match.groups()
        index = int(block) * (layers + 1) + int(layer)
        return f"input_blocks.{index + 1}.1.{rest}" if side == "down" else f"output_blocks.{index}.1.{rest}"
    if match := re.match(r"mid_block\.attentions\.0\.(.*)", path):
        return f"middle_block.1.{match[1]}"
    return None
