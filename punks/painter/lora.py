"""kohya LoRA files: fuse one into a base exactly, change or undo it in place.

A file holds, for each module it trained, A = `lora_down` (rank, in), B = `lora_up` (out, rank) and `alpha`; the module
then computes with W + scale * (alpha / rank) * B @ A (kohya-ss/sd-scripts, networks/lora.py; Hu et al. 2021).
"""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from punks.errors import LoraError
from punks.lora.file import ALPHA, DOWN, UP, LoraFile, check, read_header
from punks.lora.modules import kohya_names

# B (out, rank), A (rank, in) and alpha/rank by kohya's module name
Factors = dict[str, tuple[Tensor, Tensor, float]]

_KEPT_BYTES = 2_000_000_000


class LoraSlot:
    """The place in a base model that holds at most one fused LoRA.

    Keeps a pristine copy W0 of every weight a LoRA touches and writes W0 + delta in place: storage never moves,
    changes never drift, and scale 0 is the bare base bit for bit. The copies lie `at` a device, by default the base's:
    on the host they leave it room, and a change takes longer.
    """

    def __init__(self, pipeline: Any, at: torch.device | str | None = None) -> None:
        self._targets = dict(_targets(pipeline))
        self._at = torch.device(at) if at is not None else next(iter(self._targets.values())).device
        self._pristine: dict[str, Tensor] = {}
        self._read: OrderedDict[object, Factors] = OrderedDict()
        self._holds: object = None

    @property
    def nbytes(self) -> int:
        """Memory of the base's device that the pristine copies and the LoRAs read last take."""
        if self._at != next(iter(self._targets.values())).device:
            return 0
        pristine = sum(tensor.nbytes for tensor in self._pristine.values())
        return pristine + sum(map(_nbytes, self._read.values()))

    def check(self, file: LoraFile) -> None:
        """Raises LoraError unless every key of the file has its place in this base, with the right shape."""
        check(file, {name: tuple(weight.shape) for name, weight in self._targets.items()})

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
                self._pristine[name] = weight.to(self._at, copy=True)
            there = weight.device
            delta = _product(up.to(there), down.to(there)).view_as(weight)
            torch.add(self._pristine[name].to(there), delta, alpha=scale * ratio, out=weight)

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
        tensors = load_file(path, device=str(self._at))
        sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors.values()])
        if not bool(sums.isfinite().all()):
            raise LoraError(f"{path}: holds values that are not finite; the training diverged, or the file is damaged")
        alphas = [name for name in file.modules if name + ALPHA in tensors]
        values = torch.stack([tensors[name + ALPHA].float().reshape(()) for name in alphas]).tolist() if alphas else []
        alpha = dict(zip(alphas, values, strict=True))
        factors: Factors = {}
        for name in file.modules:
            down, up = tensors[name + DOWN], tensors[name + UP]
            rank = down.shape[0]
            factors[name] = (up.flatten(1), down.flatten(1), alpha.get(name, rank) / rank)
        return factors


def _product(up: Tensor, down: Tensor) -> Tensor:
    """B @ A, in float32."""
    if up.is_cuda and torch.version.cuda and up.dtype == down.dtype in (torch.float16, torch.bfloat16):
        return torch.mm(up, down, out_dtype=torch.float32)  # by tensor cores, which add in float32
    return up.float() @ down.float()


def _nbytes(factors: Factors) -> int:
    return sum(up.nbytes + down.nbytes for up, down, _ in factors.values())


def _targets(pipeline: Any) -> Iterator[tuple[str, Tensor]]:
    """kohya's name and weight of every Linear and Conv2d of the U-Net and the text encoders."""
    parts = {"lora_te_": pipeline.text_encoder}
    if second := getattr(pipeline, "text_encoder_2", None):
        parts = {"lora_te1_": pipeline.text_encoder, "lora_te2_": second}
    encoders = {prefix: dict(_weights(encoder)) for prefix, encoder in parts.items()}
    return kohya_names(dict(_weights(pipeline.unet)), encoders, pipeline.unet.config.layers_per_block)


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield path, module.weight.detach()
