"""`punks inspect`: what a LoRA file is, how it was trained, and whether it can be served."""

import argparse
import dataclasses
import json
import math
import shutil
import sys
from pathlib import Path
from textwrap import shorten, wrap
from typing import Any, cast

from punks.cli.terminal import printable
from punks.errors import LoraError
from punks.lora.file import read_header
from punks.lora.inspection import Inspection, inspect
from punks.lora.parameters import CIRCUMSTANCES, UNKNOWN, shown
from punks.lora.strengths import BUDGET
from punks.lora.training_runs import several, text
from punks.variants import VARIANTS

_HASHES = {
    "verified": "sshs_model_hash is verified",
    "does not match": "sshs_model_hash DOES NOT MATCH the tensors",
    "not verified": "sshs_model_hash is not verified: the tool that wrote it hashes other bytes",
    "unknown": "unknown",
}
_LARGE = "sshs_model_hash is not verified (--whole reads all of the file)"
_BAR = 24


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "Describes a LoRA file, its training, and whether it can be served. Runs nothing in it."
    parser.epilog = "Exit status: 0 if it can be served, perhaps with warnings; 1 if it is refused."
    parser.add_argument("file", type=Path, metavar="FILE", help="a LoRA as .safetensors: kohya, PEFT or diffusers")
    parser.add_argument(
        "--against",
        metavar="FILE|VARIANT",
        help=f"compare its training with another file's, or with the recorded one of {', '.join(VARIANTS)}",
    )
    parser.add_argument(
        "--whole", action="store_true", help="read every tensor of a large file: exact strengths, verified hash"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0: the file can be served; 1: it is refused."""
    against = VARIANTS.get(args.against)
    if args.against and not against:
        if not Path(args.against).is_file():
            args.parser.error(f"--against: {args.against} is neither a file nor one of {', '.join(VARIANTS)}")
        against = read_header(Path(args.against))
    try:
        found = inspect(read_header(args.file), against, whole=args.whole)
    except LoraError as error:
        if not args.json:
            raise
        print(json.dumps({"path": str(args.file), "verdict": "refused", "refusal": str(error)}, indent=2))
        return 1
    if args.json:
        print(json.dumps(_json(found), indent=2, allow_nan=False))
    else:
        print(printable(_text(found)).encode(_encoding(), "replace").decode(_encoding()))
    return 1 if found.refusal else 0


def _encoding() -> str:
    """stdout's encoding; ASCII if stdout is closed."""
    return getattr(sys.stdout, "encoding", None) or "ascii"


def _json(found: Inspection) -> dict[str, Any]:
    file = found.file
    about = {
        "path": str(file.path),
        "verdict": found.verdict,
        "kind": file.kind,
        "family": file.family,
        "networks": file.networks,
        "ranks": file.ranks,
        "dtypes": sorted(set(file.dtypes.values())),
        "modules": len(file.factors),
        "metadata": file.metadata,
    }
    return _finite(about | {name: value for name, value in dataclasses.asdict(found).items() if name != "file"})


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not finite becomes null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_finite(each) for each in cast("list[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(found: Inspection) -> str:
    file = found.file
    lines = [f"{file.path}: {file.describe()}, {found.bytes / 2**20:.1f} MiB", "", *_rows(_facts(found))]
    if found.blocks:
        lines += ["", *_chart(found)]
    lines += ["", "training parameters in the header:", *_parameters(found)]
    if found.differences:
        header = ("PARAMETER", "THIS", "OTHER", "THE OWNER'S ANALYSIS")
        rows = [(each.name, text(each.this), text(each.other), each.analysis) for each in found.differences]
        lines += ["", f"differs from {found.against} in:", *_rows([header, *rows])]
    elif found.against:
        lines += ["", f"no difference from {found.against} in the parameters that both have"]
    if found.unknown:
        lines.append(f"unknown of this file: {', '.join(found.unknown)}")
    verdict = f"refused: {found.refusal}" if found.refusal else f"{found.verdict} on base {found.base}"
    return "\n".join([*lines, "", f"verdict: {verdict}", *(f"  warning: {warning}" for warning in found.warnings)])


def _facts(found: Inspection) -> list[tuple[str, ...]]:
    file, known = found.file, found.parameters
    epoch, epochs, step, steps = (shown(known, name) for name in ("epoch", "num_epochs", "steps", "max_train_steps"))
    model = [shown(known, name) for name in ("base_model_version", "sd_model_name") if known.get(name)]
    title = [file.metadata[name] for name in ("modelspec.title", "modelspec.architecture") if name in file.metadata]
    large = found.hash == "not verified" and found.bytes > BUDGET
    return [
        ("networks", ", ".join(f"{network} ({count})" for network, count in file.networks.items()) or "unknown"),
        ("rank, alpha", f"{shown(known, 'network_dim')}, {shown(known, 'network_alpha')}"),
        ("tensors", ", ".join(sorted(set(file.dtypes.values())))),
        ("epoch", f"{epoch} of {epochs}, step {step} of {steps}"),
        ("base", ", ".join(model) or "unknown"),
        ("hash", _LARGE if large else _HASHES[found.hash]),
        *([("title", ", ".join(title))] if title else []),
    ]


def _chart(found: Inspection) -> list[str]:
    """The strength of each block as figures and a bar, the strongest `_BAR` characters long."""
    try:
        filled = "█".encode(_encoding()).decode(_encoding())
    except UnicodeEncodeError:
        filled = "#"
    read, present = (sum(getattr(block, what) for block in found.blocks) for what in ("measured", "modules"))
    of = f"{present} modules" if read == present else f"a sample of {read} of {present} modules; --whole reads all"
    scale = "alpha/rank " if all(block.scaled for block in found.blocks) else ""
    varies = len({(*block.ranks, *block.alphas) for block in found.blocks}) > 1
    most = max((block.mean for block in found.blocks if math.isfinite(block.mean)), default=0) or 1
    rows: list[tuple[str, ...]] = []
    for block in found.blocks:
        alphas = several([f"{alpha:g}" for alpha in block.alphas]) if block.alphas else UNKNOWN
        own = f"rank {several(block.ranks)}, alpha {alphas}"
        bar = filled * round(block.mean / most * _BAR) if math.isfinite(block.mean) else ""
        figures = f"{block.mean:.3g} ({block.least:.3g} to {block.most:.3g})"
        rows.append((block.name, bar.ljust(_BAR), figures, own if varies else ""))
    return [f"strength |{scale}B A| / rank, mean (least to most), of {of}:", *_rows(rows)]


def _parameters(found: Inspection) -> list[str]:
    names = sorted(found.parameters.keys() - CIRCUMSTANCES - {"networks", "base"})
    if not any(key.startswith("ss_") for key in found.file.metadata):
        return ["  unknown: the file has none"]
    width = max(60, min(120, shutil.get_terminal_size().columns))
    items = ", ".join(f"{name}={shorten(shown(found.parameters, name), 60)}" for name in names)
    return wrap(items, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _rows(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
