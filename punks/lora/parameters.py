"""The training parameters in a LoRA's header, and where two trainings differ.

kohya writes every value as a string, "None" and "True" among them, as `ss_*`; a dataset's own parameters are in the
JSON of `ss_datasets` where it came by --dataset_config (kohya-ss/sd-scripts, train_network.py).
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from punks.lora.file import LoraFile
from punks.lora.training_runs import ELEVEN, RUNS, Value, said, several, text

UNKNOWN = "unknown"

# when, where and from what a file was made, and what follows from other parameters: no choices of a training
_CIRCUMSTANCES = """session_id training_started_at training_finished_at output_name training_comment
    sd_scripts_commit_hash sd_model_hash new_sd_model_hash sd_model_name vae_hash new_vae_hash steps epoch
    max_train_steps num_batches_per_epoch tag_frequency bucket_info dataset_dirs reg_dataset_dirs datasets
    total_batch_size lowram base_model_version save_precision"""
CIRCUMSTANCES = frozenset(_CIRCUMSTANCES.split())
_OPTIONS = {"batch_size_per_device": "train_batch_size"}
# a dataset's measurements, not its parameters
_MEASURED = {"tag_frequency", "bucket_info", "subsets", "img_count", "image_dir", "metadata_file"}
# header entries that tell one training of the owner's from another; --no_metadata keeps three of them
_TELLTALES = ("network_dim", "network_alpha", "base_model_version", "resolution", "seed")
_ORDER = ["base", *ELEVEN]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A parameter that differs. `analysis` is what the owner's analysis says of it, or empty."""

    name: str
    this: Value
    other: Value
    analysis: str


def parameters(file: LoraFile, alphas: list[float]) -> dict[str, Value]:
    """The parameters by the name of kohya's option; what is not in the file is absent, never a default.

    Rank, networks and alpha come from the tensors, which decide; all else from the header.
    """
    found: dict[str, Value] = {}
    for key, raw in file.metadata.items():
        if key.startswith("ss_"):
            name = _OPTIONS.get(key[3:], key[3:])
            found[name] = value(name, raw)
    found |= _datasets(file.metadata.get("ss_datasets", "[]"))
    # kohya ignores these without another option, and writes them into the header all the same
    if "multires_noise_discount" in found and not found.get("multires_noise_iterations"):
        found["multires_noise_discount"] = None
    if not found.get("enable_bucket", found.get("bucket_no_upscale")):
        found.pop("bucket_no_upscale", None)
    if file.family:
        found["base"] = file.family
    if file.ranks:
        found["network_dim"] = several(file.ranks)
        networks = dict.fromkeys(re.sub(r" \d$", "", name) for name in sorted(file.networks))
        found["networks"] = " and ".join(networks)
    if file.factors:  # the alpha that counts is in the tensors
        found.pop("network_alpha", None)
    if alphas:
        found["network_alpha"] = several([_number(f"{alpha:g}") for alpha in alphas])
    return found


def differences(this: Mapping[str, Value], other: Mapping[str, Value]) -> list[Difference]:
    """Where both are known and differ, most telling first: the base, the analysis' eleven in its order, the rest."""
    names = [name for name in this.keys() & other.keys() - CIRCUMSTANCES if this[name] != other[name]]
    return [
        Difference(name=name, this=this[name], other=other[name], analysis=said(name))
        for name in sorted(names, key=_telling)
    ]


def unknown(this: Mapping[str, Value], other: Mapping[str, Value]) -> list[str]:
    """The parameters that only the other side knows, most telling first: nothing can be said of them."""
    return sorted(other.keys() - this.keys() - CIRCUMSTANCES, key=_telling)


def other_training(file: LoraFile) -> list[str]:
    """Where the header of a file that is named as an epoch of a variant says otherwise."""
    if not (claim := file.claim()):
        return []
    row, epoch = claim
    expected: dict[str, Value] = {"output_name": row.lora, "epoch": epoch}
    expected |= {name: each for name, each in RUNS.get(row.name, {}).items() if name in _TELLTALES}
    header = {name: value(name, file.metadata[f"ss_{name}"]) for name in expected if f"ss_{name}" in file.metadata}
    return [
        f"named as epoch {epoch} of {row.name}, but its header says {name} {said!r}, not {expected[name]!r}"
        for name, said in header.items()
        if said not in (expected[name], None, "Dynamic")
    ]


def value(name: str, raw: str) -> Value:
    """kohya's string as what it stands for: "None" is None, "5e-05" is 5e-05, "(512, 512)" is "512x512"."""
    if raw in ("None", "True", "False"):
        return {"None": None, "True": True, "False": False}[raw]
    if name == "resolution":
        sides = re.findall(r"\d+", raw)
        return "x".join(sides * 2 if len(sides) == 1 else sides)
    if name == "optimizer":
        called, paren, options = raw.partition("(")
        return called.rpartition(".")[2] + paren + options
    if name == "text_encoder_lr":  # one rate, or one for each encoder
        rates = {_number(rate) for rate in raw.strip("[]() ").split(",") if rate.strip()}
        return rates.pop() if len(rates) == 1 else raw
    return _number(raw)


def shown(values: Mapping[str, Value], name: str) -> str:
    """A parameter for people, "unknown" where it is not there."""
    return text(values[name]) if name in values else UNKNOWN


def _number(raw: str) -> Value:
    try:
        number = float(raw)
    except ValueError:
        return raw
    return int(number) if number.is_integer() and abs(number) < 2**53 else number if math.isfinite(number) else raw


def _datasets(raw: str) -> dict[str, Value]:
    """Parameters of all datasets and their subsets; where they differ among them, each value in turn."""
    try:
        datasets: Any = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    values: dict[str, list[Value]] = {}
    rows: list[Any] = list(cast("list[Any]", datasets)) if isinstance(datasets, list) else []
    tables = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
    for table in tables:
        subsets: Any = table.get("subsets")
        parts: list[Any] = [table, *cast("list[Any]", subsets if isinstance(subsets, list) else [])]
        for part in [cast("dict[str, Any]", each) for each in parts if isinstance(each, dict)]:
            for key, entry in part.items():
                if key not in _MEASURED:
                    name = _OPTIONS.get(key, key)
                    values.setdefault(name, []).append(value(name, str(entry)))
    return {name: several(found) for name, found in values.items()}


def _telling(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
