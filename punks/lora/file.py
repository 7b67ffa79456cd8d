"""A LoRA file by its header alone: what it is, and whether a base can take it. Imports no torch.

For each module a file holds A (rank, in) and B (out, rank), and often alpha; the module then computes with
W + scale * (alpha / rank) * B @ A (Hu et al. 2021). `keys` knows what each format calls them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open

from punks.errors import LoraError
from punks.files.weights import fault
from punks.lora.keys import FIRST, SECOND, module_name, network, parse
from punks.lora.training_runs import RUNS, several
from punks.variants import VARIANTS, Variant

FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
NOT_FINITE = "it holds values that are not finite; the training diverged, or the file is damaged"
_INTEGERS = ("I64", "I32", "I16", "I8", "U8")  # for alpha alone

_CROSS_ATTENTION = {768: "SD 1.5", 1024: "SD 2", 1152: "PixArt", 1280: "the SDXL refiner", 2048: "SDXL"}
# other models, by what only their modules are called
_FAMILIES = {
    "double_blocks": "Flux",
    "single_blocks": "Flux",
    "single_transformer_blocks": "Flux",
    "joint_blocks": "SD3",
    "img_mlp": "Qwen-Image",
    "add_k_proj": "SD3",
    "adaln_single": "PixArt",
    "cross_attn": "Wan",
}
_UNSUPPORTED = {
    r"\.hada_": "a LoHa",
    r"\.lokr_": "a LoKr",
    r"\.dora_scale|\.lora_magnitude_vector": "a DoRA",
    r"\.oft_": "an OFT",
    r"\.lora_mid\.": "a LoCon with Tucker factors",
    r"\.diff(_b)?$": "a LoRA with whole weights (LyCORIS full)",
    r"bundle_emb|emb_params": "a LoRA with a bundled embedding, or an embedding alone (textual inversion)",
    r"first_stage_model\.": "a whole checkpoint",
}


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """What the header of a safetensors file says. `spans`: first byte and the one after the last, from file start.

    `adapter` is PEFT's configuration, from the header or the adapter_config.json beside an adapter_model.safetensors.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    spans: dict[str, tuple[int, ...]]
    metadata: dict[str, str]
    adapter: dict[str, Any]

    @cached_property
    def modules(self) -> dict[str, dict[str, str]]:
        """The key of each module's `A`, `B` and `alpha`; `module` is the module as the file names it."""
        found: dict[str, dict[str, str]] = {}
        for key in sorted(self.shapes):
            if parsed := parse(key):
                own = found.setdefault(module_name(parsed[0]), {"module": parsed[0]})
                own.setdefault(parsed[1], key)
        return found

    @cached_property
    def factors(self) -> dict[str, tuple[str, str]]:
        """The keys of A and B of each module that has both."""
        return {name: (own["A"], own["B"]) for name, own in self.modules.items() if "A" in own and "B" in own}

    @cached_property
    def ranks(self) -> list[int]:
        """The ranks that occur, usually one."""
        return sorted({self.shapes[down][0] for down, _ in self.factors.values() if self.shapes[down]})

    @property
    def networks(self) -> dict[str, int]:
        """How many modules of each network it changes."""
        found = [network(name) for name in self.factors]
        return {each: found.count(each) for each in dict.fromkeys(found)}

    @cached_property
    def family(self) -> str | None:
        """The family of the base it was trained on, as far as names and shapes tell."""
        for part, name in _FAMILIES.items():
            if any(part in key for key in self.shapes):
                return name
        if any(own["module"].startswith(("lora_te1_", SECOND, "text_encoder_2.")) for own in self.modules.values()):
            return "SDXL"
        cross = self._inputs(r"attn2[._]to_k$")
        if cross & _CROSS_ATTENTION.keys():
            return " or ".join(_CROSS_ATTENTION.get(width, "another base") for width in sorted(cross))
        kohya = any(key.startswith("lora_te_") for key in self.shapes)
        return {768: "SD 1.5" if kohya else None, 1024: "SD 2"}.get(max(self._inputs(f"^{FIRST}.*fc1$"), default=0))

    @cached_property
    def kind(self) -> str:
        """Which sort of file: kohya, PEFT, diffusers, another adapter, or none."""
        if name := self.unsupported:
            return name
        if not self.factors:
            return "a safetensors file without LoRA weights"
        first = next(iter(self.factors.values()))[0]
        if ".lora_A." in first:
            return "a PEFT LoRA"
        if ".lora_down." not in first:
            return "a diffusers LoRA"
        conv = any(self.shapes[down][2:] not in ((), (1, 1)) for down, _ in self.factors.values())
        return "a kohya LoRA with 3x3 convolutions (LoCon)" if conv else "a kohya LoRA"

    @cached_property
    def unsupported(self) -> str | None:
        """The name of a kind that cannot be applied."""
        return next((n for part, n in _UNSUPPORTED.items() if any(re.search(part, key) for key in self.shapes)), None)

    def describe(self) -> str:
        """In words: kind, family, rank and how many modules."""
        if not self.factors:
            return self.kind
        family, rank = self.family or "an unknown base", several(self.ranks)
        return f"{self.kind} for {family}, rank {rank}, {len(self.factors)} modules"

    def claim(self) -> tuple[Variant, int] | None:
        """The variant and epoch that the file's name stands for."""
        rows = [row for row in VARIANTS.values() if not row.own]
        names = {row.lora_file(epoch): (row, epoch) for row in rows for epoch in range(1, row.epochs + 1)}
        return names.get(self.path.name)

    def _inputs(self, modules: str) -> set[int]:
        shapes = [self.shapes[down] for name, (down, _) in self.factors.items() if re.search(modules, name)]
        return {shape[1] for shape in shapes if len(shape) > 1}


def read_header(path: Path) -> LoraFile:
    """The header of a safetensors file. Raises LoraError if it has none, or is cut short."""
    if path.is_dir():
        raise LoraError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise LoraError(f"{path} is not a regular file; save it as one")
    config = path.with_name("adapter_config.json")
    try:
        with path.open("rb") as raw, safe_open(path, framework="np"):  # which checks every offset and the length
            length = int.from_bytes(raw.read(8), "little")
            header: dict[str, Any] = json.loads(raw.read(length))
        beside = path.name == "adapter_model.safetensors" and config.is_file()
        text = config.read_text(encoding="utf-8") if beside else "{}"
    except SafetensorError as error:
        raise LoraError(f"{path} is {fault(path)}") from error
    except OSError as error:
        raise LoraError(f"{path} cannot be read: {error.strerror or error}") from error
    metadata: dict[str, str] = header.pop("__metadata__", None) or {}
    try:
        adapter: Any = json.loads(metadata.get("lora_adapter_metadata", text), parse_int=float)
    except (ValueError, RecursionError):
        adapter = None
    if not isinstance(adapter, dict):
        raise LoraError(f"{path}: its adapter configuration is not a JSON object; save the LoRA again")
    return LoraFile(
        path=path,
        shapes={key: tuple(entry["shape"]) for key, entry in header.items()},
        dtypes={key: entry["dtype"] for key, entry in header.items()},
        spans={key: tuple(8 + length + offset for offset in entry["data_offsets"]) for key, entry in header.items()},
        metadata=metadata,
        adapter=cast("dict[str, Any]", adapter),
    )


def check(file: LoraFile, base: Mapping[str, tuple[int, ...]]) -> None:
    """Raises LoraError unless every tensor has its module in the base, with the right shape and numbers.

    `base` holds weight shapes by module name. A file named as an epoch of a recorded run must have its rank.
    """
    if why := _refusal(file, base):
        raise LoraError(f"{file.path}: {why} ({file.describe()})")


def _refusal(file: LoraFile, base: Mapping[str, tuple[int, ...]]) -> str | None:
    """Why the base cannot take the file."""
    if file.unsupported:
        return f"{file.unsupported} is not supported; use a plain LoRA: kohya, PEFT or diffusers"
    if not file.factors:
        return "nothing in it can be applied"
    own = "SDXL" if any(name.startswith(SECOND) for name in base) else "SD 1.5"
    if file.family not in (None, own):
        return f"it was trained on {file.family}, but this base has the modules of {own}"
    for key, shape in file.shapes.items():
        if not (parsed := parse(key)):
            return f"its key {key} is of no known format"
        name, part = module_name(parsed[0]), parsed[1]
        dtype, first = file.dtypes[key], file.modules[name][part]
        if key != first:
            return f"its keys {first} and {key} are for the same module"
        if name not in base:
            return f"this base has no module for its key {key}"
        if dtype not in FLOATS and not (part == "alpha" and dtype in _INTEGERS):
            return f"{key} holds {dtype} numbers, not floating point ({', '.join(FLOATS)})"
        if part == "alpha" and shape not in ((), (1,)):
            return f"{key} has shape {shape}, not a single number"
    for name, keys in file.modules.items():
        for part, called in (("A", "lora_down (A)"), ("B", "lora_up (B)")):
            if part not in keys:
                return f"{keys['module']} lacks {called}"
        down, up = (file.shapes[key] for key in file.factors[name])
        if 0 in (*down[:1], *up[1:2]):
            return f"{keys['module']} has rank 0"
        if not _fits(down, up, base[name]):
            return f"{keys['module']} has shapes {up} x {down}, the base has {base[name]}"
    if (claim := file.claim()) and (other := other_rank(file, claim[0])):
        return f"its name says epoch {claim[1]} of {other}"
    return None


def _fits(down: tuple[int, ...], up: tuple[int, ...], weight: tuple[int, ...]) -> bool:
    """Whether B @ A has the shape of the weight. A 1x1 convolution is linear, and is written as either."""

    def plain(shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[:2] if set(shape[2:]) <= {1} else shape

    same_rank = len(down) > 1 and len(plain(up)) == 2 and up[1] == down[0]
    return same_rank and plain((up[0], *down[1:])) == plain(weight)


def other_rank(file: LoraFile, row: Variant) -> str | None:
    """The variant, and that the file has another rank than its training; None if equal, or none is recorded."""
    dim = RUNS.get(row.name, {}).get("network_dim")
    if dim is None or file.ranks == [dim]:
        return None
    return f"{row.name}, which was trained at network_dim {dim}, but it has rank {several(file.ranks)}"
