"""LoRAs fused into a base exactly, and changed or taken out in place."""

# torch and diffusers are typed in part only
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
import math
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from punks.errors import LoraError
from punks.lora.file import NOT_FINITE, LoraFile, check, read_header
from punks.lora.keys import module_names
from punks.lora.parameters import other_training
from punks.lora.tensors import Tensors

# B (out, rank), A (rank, in) and alpha / rank by module name
Factors = dict[str, tuple[Tensor, Tensor, float]]
# path, time of the last change, size
Identity = tuple[Path, int, int]

_KEPT_BYTES = 2_000_000_000
_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
log = logging.getLogger(__name__)


class LoraStack:
    """The LoRAs that are fused into a base model: W = W0 + sum of scale * (alpha / rank) * B @ A.

    Summed in float32 from a pristine copy W0 of every weight that a LoRA touches, rounded once, and written in place:
    storage never moves, changes never drift, and without LoRAs the base is as it was loaded, bit for bit. The copies
    lie `at` a device, by default the base's: on the host they leave it room, and a change takes longer. Of the LoRAs
    used last, up to `kept_bytes` stay there too, so that going back reads no file.
    """

    def __init__(self, pipeline: Any, at: torch.device | str | None = None, *, kept_bytes: int = _KEPT_BYTES) -> None:
        encoders = [pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)]
        self._targets = module_names(
            dict(_weights(pipeline.unet)), *(dict(_weights(encoder)) for encoder in encoders if encoder is not None)
        )
        self._device = next(iter(self._targets.values())).device
        self._at = torch.device(at) if at is not None else self._device
        self._kept_bytes = kept_bytes
        self._pristine: dict[str, Tensor] = {}
        self._read: OrderedDict[Identity, Factors] = OrderedDict()
        self._holds: list[tuple[Identity, float]] | None = []

    @property
    def nbytes(self) -> int:
        """Memory of the base's device that the pristine copies and the kept LoRAs take."""
        if self._at.type != self._device.type:
            return 0
        return sum(tensor.nbytes for tensor in self._pristine.values()) + sum(map(_nbytes, self._read.values()))

    def check(self, file: LoraFile) -> None:
        """Raises LoraError unless every key of the file has its place in this base, with the right shape."""
        check(file, {name: tuple(weight.shape) for name, weight in self._targets.items()})

    def fuse(self, loras: Sequence[tuple[Path, float]]) -> None:
        """Fuses each file at its scale, in place of what was fused before. Raises LoraError, and then changes nothing.

        A file at scale 0 is not read.
        """
        stack = [(_identity(path), scale) for path, scale in loras if scale]
        if stack == self._holds:
            return
        needed = [identity for identity, _ in stack]
        for identity in needed:
            if identity not in self._read:
                self._trim(needed, identity[2])
                self._read[identity] = self._load(identity[0])
            self._read.move_to_end(identity)
        self._write([(self._read[identity], scale) for identity, scale in stack])
        self._holds = stack
        self._trim()

    def clear(self) -> None:
        """Takes every LoRA out: the base as it was loaded, bit for bit."""
        self.fuse([])

    @torch.inference_mode()
    def _write(self, stack: list[tuple[Factors, float]]) -> None:
        self._holds = None  # an interrupted write is not trusted: the next fuse starts from W0 again
        touched = {name for factors, _ in stack for name in factors}
        for name in [name for name in self._pristine if name not in touched]:
            self._targets[name].copy_(self._pristine[name])
            if self._at.type == self._device.type:  # a copy within the device is quickly made again
                del self._pristine[name]
        for name in touched:
            weight = self._targets[name]
            if name not in self._pristine:
                self._pristine[name] = weight.to(self._at, copy=True)
            sum_ = self._pristine[name].to(weight.device)
            own = [(*factors[name], scale) for factors, scale in stack if name in factors]
            for i, (up, down, ratio, scale) in enumerate(own, 1):
                delta = _product(up.to(weight.device), down.to(weight.device)).view_as(weight)
                # float32 until the last one, which rounds into the weight's own storage
                sum_ = torch.add(sum_, delta, alpha=scale * ratio, out=weight if i == len(own) else None)

    def _trim(self, needed: Collection[Identity] = (), room: int = 0) -> None:
        """Forgets the LoRAs used longest ago until the rest, and `room` bytes more, are within the budget."""
        for identity in [identity for identity in self._read if identity not in needed]:
            if sum(map(_nbytes, self._read.values())) + room <= self._kept_bytes:
                return
            del self._read[identity]

    def _load(self, path: Path) -> Factors:
        file = read_header(path)
        self.check(file)
        alphas = Tensors(file).alphas()
        tensors = load_file(path, str(self._at))
        # float16 holds every float8 exactly, and CUDA computes with it
        tensors |= {key: tensor.half() for key, tensor in tensors.items() if tensor.dtype in _FLOAT8}
        sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors.values()])
        if not (sums.isfinite().all() and all(map(math.isfinite, alphas.values()))):
            raise LoraError(f"{path}: {NOT_FINITE}")
        for warning in other_training(file):
            log.warning("%s: %s", path.name, warning)
        factors: Factors = {}
        for name, (down, up) in file.factors.items():
            rank = tensors[down].shape[0]
            factors[name] = (tensors[up].flatten(1), tensors[down].flatten(1), alphas.get(name, rank) / rank)
        return factors


def _identity(path: Path) -> Identity:
    try:
        stat = path.stat()
    except OSError as error:
        raise LoraError(f"{path} cannot be read: {error.strerror or error}") from error
    return path, stat.st_mtime_ns, stat.st_size


def _product(up: Tensor, down: Tensor) -> Tensor:
    """B @ A, in float32."""
    if up.is_cuda and torch.version.cuda and up.dtype == down.dtype in (torch.float16, torch.bfloat16):
        return torch.mm(up, down, out_dtype=torch.float32)  # by tensor cores, which add in float32
    return up.float() @ down.float()


def _nbytes(factors: Factors) -> int:
    return sum(up.nbytes + down.nbytes for up, down, _ in factors.values())


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield path, module.weight.detach()
