"""How strongly a LoRA changes each block of its base: measured on tensors that are mapped, not loaded."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from punks.lora.file import ALPHA, LoraFile, network

# a file above this many bytes is read in part, so that any takes less than a second: rank 64 on SD 1.5 is below it
BUDGET = 80_000_000
_STRIDE = 4
_INDEX = re.compile(r"(?<=[._])\d+(?=[._]|$)")

_FORMATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8", "I32": "<i4", "I64": "<i8"}
_BLOCKS = (
    re.compile(r"((?:down|up|input|output|double|single|joint|single_transformer)_blocks)[._](\d+)"),
    re.compile(r"(mid_block|middle_block)()"),
    re.compile(r"((?:transformer_)?blocks|layers)[._](\d+)"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Strength |(alpha / rank) B A| / rank (Frobenius norm): mean, least and most over the measured modules.

    `scaled` is False where the file does not say alpha: then alpha / rank is left out.
    """

    name: str
    modules: int
    measured: int
    mean: float
    least: float
    most: float
    ranks: list[int]
    alphas: list[float]
    scaled: bool


class Tensors:
    """The tensors of a file, read one by one from a memory map."""

    def __init__(self, file: LoraFile) -> None:
        self.file = file
        self.bytes: NDArray[np.uint8] = np.memmap(file.path, dtype=np.uint8, mode="r")

    def read(self, key: str, part: tuple[slice, ...] = ()) -> NDArray[np.float32]:
        """One tensor, or a part of it, in float32; raises KeyError for a format that numpy lacks, as float8."""
        dtype = self.file.dtypes[key]
        start, stop = self.file.spans[key]
        raw = self.bytes[start:stop].view(_FORMATS[dtype]).reshape(self.file.shapes[key])[part]
        if dtype == "BF16":  # the upper half of a float32
            wide = raw.astype(np.uint32)
            wide <<= 16
            return wide.view(np.float32)
        return raw.astype(np.float32)

    def alphas(self) -> dict[str, float]:
        """alpha by module, where the file has it: as a tensor, or as peft's configuration in the header."""
        keys = {m: m + ALPHA for m in self.file.factors if self.file.shapes.get(m + ALPHA) in ((), (1,))}
        found = {m: float(self.read(k).reshape(())) for m, k in keys.items() if self.file.dtypes[k] in _FORMATS}
        return found or self._adapter_alphas()

    def _adapter_alphas(self) -> dict[str, float]:
        try:
            values: Any = json.loads(self.file.metadata.get("lora_adapter_metadata", "{}"))
        except (ValueError, RecursionError):
            return {}
        if not isinstance(values, dict):
            return {}
        table = cast("dict[str, Any]", values)
        parts = {module: f"{module.partition('.')[0]}." for module in self.file.factors}
        alphas = {
            m: table.get(f"{part}lora_alpha") for m, part in parts.items() if not table.get(f"{part}alpha_pattern")
        }
        return {module: float(alpha) for module, alpha in alphas.items() if isinstance(alpha, int | float)}

    def digest(self) -> str:
        """SHA-256 of everything behind the header: kohya's sshs_model_hash."""
        start = min((span[0] for span in self.file.spans.values()), default=len(self.bytes))
        return hashlib.sha256(self.bytes[start:].data).hexdigest()


def blocks(tensors: Tensors, alphas: dict[str, float], *, whole: bool) -> list[Block]:
    """The strength of each block, from all its modules or, of a large file, from one of each role."""
    file = tensors.file
    groups: dict[str, list[str]] = {}
    for module, keys in file.factors.items():
        if all(file.dtypes[key] in _FORMATS and min(file.shapes[key], default=0) for key in keys):
            groups.setdefault(block(module), []).append(module)
    size = sum(stop - start for start, stop in file.spans.values())
    sampled = size > BUDGET and not whole
    return [_measure(tensors, name, groups[name], alphas, sampled) for name in sorted(groups, key=_position)]


def block(module: str) -> str:
    """The block of the network that a module lies in: `down_blocks.1`, `mid_block`, or the whole text encoder."""
    if network(module).startswith("text encoder"):
        return network(module)
    match = next(filter(None, (pattern.search(module) for pattern in _BLOCKS)), None)
    return f"{match[1]}.{match[2]}".rstrip(".") if match else "other"


def _measure(tensors: Tensors, name: str, modules: list[str], alphas: dict[str, float], sampled: bool) -> Block:
    file = tensors.file
    roles: dict[str, list[str]] = {}
    for module in modules:
        # layer for layer, modules of one role are alike: a sample has one of each, and counts it for all of them
        roles.setdefault(_INDEX.sub("#", module) if sampled else module, []).append(module)
    # the order of checksums has nothing to do with what the modules are
    sample = [min(alike, key=lambda module: crc32(module.encode())) for alike in roles.values()]
    norms = [_strength(tensors, module, alphas.get(module), _STRIDE if sampled else 1) for module in sample]
    return Block(
        name=name,
        modules=len(modules),
        measured=len(sample),
        mean=float(np.average(norms, weights=[len(alike) for alike in roles.values()])),
        least=float(np.min(norms)),
        most=float(np.max(norms)),
        ranks=sorted({file.shapes[file.factors[module][0]][0] for module in modules}),
        alphas=sorted({alphas[module] for module in modules if module in alphas}),
        scaled=all(module in alphas for module in modules),
    )


def _strength(tensors: Tensors, module: str, alpha: float | None, stride: int) -> float:
    """|B A|^2 = trace((A A^T)(B^T B)): two rank x rank products instead of the whole weight.

    Every stride-th row and column of B A stand for all of them.
    """
    down, up = tensors.file.factors[module]
    (rank, *inputs), (out, *ranks) = tensors.file.shapes[down], tensors.file.shapes[up]
    if not inputs or not ranks or ranks[0] != rank:
        return float("nan")
    some = slice(None, None, stride)
    a, b = tensors.read(down, (slice(None), some)), tensors.read(up, (some,))
    drawn = out / b.shape[0] * inputs[0] / a.shape[1]
    a, b = a.reshape(rank, -1), b.reshape(b.shape[0], -1)[:, :rank]
    with np.errstate(all="ignore"):
        squared = drawn * float(np.sum((a @ a.T).astype(np.float64) * (b.T @ b)))
    scale = 1.0 if alpha is None else abs(alpha) / rank
    return scale * max(squared, 0.0) ** 0.5 / rank if np.isfinite(squared) else float("nan")


def _position(name: str) -> tuple[Any, ...]:
    """Text encoders first, then down, middle and up."""
    order = ("text", "double", "input", "down", "mid", "output", "up")
    first = next((i for i, start in enumerate(order) if name.startswith(start)), len(order))
    stem, _, number = name.partition(".")
    return first, stem, int(number or 0)


def bars(found: list[Block], width: int, *, unicode: bool) -> Iterator[str]:
    """A bar of each block's mean, the strongest `width` characters long."""
    eighths = " ▏▎▍▌▋▊▉"
    top = max((each.mean for each in found if np.isfinite(each.mean)), default=0.0) or 1.0
    for each in found:
        length = each.mean / top * width if np.isfinite(each.mean) else 0.0
        blocks = "█" * int(length) + eighths[int(length % 1 * 8)]
        yield (blocks.rstrip() if unicode else "#" * round(length)).ljust(width)
