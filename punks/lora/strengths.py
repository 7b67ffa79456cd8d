"""How strongly a LoRA changes each block of its base: measured on tensors that are mapped, not loaded."""

import re
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from punks.lora.keys import FIRST, SECOND, network
from punks.lora.tensors import Tensors

# a file above this many bytes is read in part, so that any takes less than a second: rank 64 on SD 1.5 is below it
BUDGET = 80_000_000
_STRIDE = 4
_INDEX = re.compile(r"(?<=[._])\d+(?=[._]|$)")

_BLOCK = re.compile(r"(down_blocks|up_blocks)_(\d+)|mid_block")
_ORDER = ("text", "down", "mid", "up", "other")


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


def blocks(tensors: Tensors, alphas: dict[str, float], *, whole: bool) -> list[Block]:
    """The strength of each block, from all its modules or, of a large file, from one of each role."""
    file = tensors.file
    groups: dict[str, list[str]] = {}
    for module, keys in file.factors.items():
        if all(tensors.readable(key) and file.shapes[key] for key in keys):
            groups.setdefault(block(module), []).append(module)
    size = sum(stop - start for start, stop in file.spans.values())
    sampled = size > BUDGET and not whole
    names = sorted(groups, key=lambda name: (_ORDER.index(re.split("[_ ]", name)[0]), name))
    return [_measure(tensors, name, groups[name], alphas, sampled) for name in names]


def block(module: str) -> str:
    """The block of the network that a module lies in: `down_blocks.1`, `mid_block`, or the whole text encoder."""
    if module.startswith((FIRST, SECOND)):
        return network(module)
    match = _BLOCK.search(module)
    return "other" if not match else f"{match[1]}.{match[2]}" if match[1] else match[0]


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
