"""`punks inspect`: what a LoRA file is, how it was trained, and whether it can be served."""

import argparse
import dataclasses
import json
import math
import shutil
import sys
from pathlib import Path
from textwrap import shorten, wrap
from typing import TYPE_CHECKING, Any, cast

from punks.errors import LoraError
from punks.lora.training_runs import several, text
from punks.variants import VARIANTS

if TYPE_CHECKING:  # numpy takes time that the other commands need not spend
    from punks.lora.inspection import Inspection

_FACTS = ("networks", "rank, alpha", "tensors", "epoch", "base", "hash", "title")
_BAR = 24


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = (
        "Says what a LoRA file is, how it was trained, and whether it can be served. Nothing in it is run."
    )
    parser.epilog = "Exit status: 0 it serves, perhaps with warnings; 1 it is refused."
    parser.add_argument("file", type=Path, metavar="FILE", help="a LoRA in safetensors")
    parser.add_argument(
        "--against",
        metavar="FILE|VARIANT",
        help=f"compare its training with another file's, or with what is recorded of {', '.join(VARIANTS)}",
    )
    parser.add_argument(
        "--whole", action="store_true", help="read every tensor of a large file: exact strengths, verified hash"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0: the file serves; 1: it is refused."""
    from punks.lora.file import read_header
    from punks.lora.inspection import inspect, other_file, other_variant

    against = None
    if args.against in VARIANTS:
        against = other_variant(VARIANTS[args.against])
    elif args.against is not None:
        if not Path(args.against).is_file():
            args.parser.error(f"--against: {args.against} is neither a file nor one of {', '.join(VARIANTS)}")
        against = other_file(read_header(Path(args.against)))
    try:
        file = read_header(args.file)
    except LoraError as error:
        if not args.json:
            raise
        print(json.dumps({"path": str(args.file), "verdict": "refused", "refusal": str(error)}, indent=2))
        return 1
    found = inspect(file, against, whole=args.whole)
    print(json.dumps(_json(found), indent=2, allow_nan=False) if args.json else _printable(_text(found)))
    return 1 if found.refusal else 0


def _printable(text: str) -> str:
    """Without what a hostile header could do to a terminal, and in what stdout can say."""
    plain = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    return plain.encode(_encoding(), "replace").decode(_encoding())


def _encoding() -> str:
    """What stdout can say; nothing is asked of one that is closed."""
    return getattr(sys.stdout, "encoding", None) or "ascii"


def _json(found: "Inspection") -> dict[str, Any]:
    file = found.file
    return {
        "path": str(file.path),
        "bytes": found.size,
        "verdict": found.verdict,
        "refusal": found.refusal,
        "warnings": found.warnings,
        "base": found.base,
        "kind": file.kind,
        "family": file.family,
        "networks": file.networks,
        "ranks": file.ranks,
        "dtypes": sorted(set(file.dtypes.values())),
        "modules": len(file.factors),
        "hash": found.hash_state,
        "parameters": found.parameters,
        "blocks": [_finite(dataclasses.asdict(block)) for block in found.blocks],
        "against": found.against,
        "differences": [dataclasses.asdict(each) for each in found.differences],
        "unknown": found.unknown,
        "metadata": file.metadata,
    }


def _finite(block: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what is not finite becomes null."""

    def said(value: Any) -> Any:
        if isinstance(value, list):
            return [said(each) for each in cast("list[Any]", value)]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: said(value) for key, value in block.items()}


def _text(found: "Inspection") -> str:
    file = found.file
    lines = [f"{file.path}: {file.describe()}, {found.size / 2**20:.1f} MiB", ""]
    lines += _rows([(name, fact) for name, fact in zip(_FACTS, _facts(found), strict=True) if fact])
    if found.blocks:
        lines += ["", *_chart(found)]
    lines += ["", "training parameters in the header:", *_parameters(found)]
    if found.against:
        lines += ["", *_comparison(found)]
    return "\n".join([*lines, "", *_verdict(found)])


def _facts(found: "Inspection") -> list[str]:
    from punks.lora.parameters import shown

    file, known = found.file, found.parameters
    name = known.get("sd_model_name")
    hashes = {
        "verified": "sshs_model_hash is verified",
        "does not match": "sshs_model_hash DOES NOT MATCH the tensors",
        "not verified": "sshs_model_hash is not verified (--whole reads all of the file)",
        "unknown": "unknown",
    }
    return [
        ", ".join(f"{network} ({count})" for network, count in file.networks.items()) or "unknown",
        f"{shown(known, 'network_dim')}, {shown(known, 'network_alpha')}",
        ", ".join(sorted(set(file.dtypes.values()))),
        f"{shown(known, 'epoch')} of {shown(known, 'num_epochs')}, step {shown(known, 'steps')} of "
        f"{shown(known, 'max_train_steps')}",
        f"{shown(known, 'base_model_version')}" + (f", {name}" if name else ""),
        hashes[found.hash_state],
        ", ".join(file.metadata[k] for k in ("modelspec.title", "modelspec.architecture") if k in file.metadata),
    ]


def _chart(found: "Inspection") -> list[str]:
    from punks.lora.parameters import UNKNOWN
    from punks.lora.strengths import bars

    try:
        "█▏".encode(_encoding())
        unicode = True
    except UnicodeEncodeError:
        unicode = False
    read, there = (sum(getattr(block, what) for block in found.blocks) for what in ("measured", "modules"))
    of = f"{there} modules" if read == there else f"a sample of {read} of {there} modules; --whole reads all"
    scale = "alpha/rank " if all(block.scaled for block in found.blocks) else ""
    lines = [f"strength |{scale}B A| / rank, mean (least to most), of {of}:"]
    varies = len({(*block.ranks, *block.alphas) for block in found.blocks}) > 1
    rows: list[tuple[str, ...]] = []
    for block, bar in zip(found.blocks, bars(found.blocks, _BAR, unicode=unicode), strict=True):
        alphas = several([f"{alpha:g}" for alpha in block.alphas]) if block.alphas else UNKNOWN
        own = f"rank {several(block.ranks)}, alpha {alphas}"
        figures = f"{block.mean:.3g} ({block.least:.3g} to {block.most:.3g})"
        rows.append((block.name, bar, figures, own if varies else ""))
    return lines + _rows(rows)


def _parameters(found: "Inspection") -> list[str]:
    from punks.lora.parameters import CIRCUMSTANCES, shown

    names = sorted(found.parameters.keys() - CIRCUMSTANCES - {"networks", "base"})
    if not any(key.startswith("ss_") for key in found.file.metadata):
        return ["  unknown: the file carries none"]
    width = max(60, min(120, shutil.get_terminal_size().columns)) - 2
    items = [f"{name}={shorten(shown(found.parameters, name), 60)}".replace(" ", "\xa0") for name in names]
    lines = wrap(", ".join(items), width, break_long_words=False, break_on_hyphens=False)
    return ["  " + line.replace("\xa0", " ") for line in lines]


def _comparison(found: "Inspection") -> list[str]:
    lines: list[str] = []
    if found.differences:
        lines.append(f"differs from {found.against} in:")
        header = ("PARAMETER", "THIS", "OTHER", "THE OWNER'S ANALYSIS")
        rows = [(each.name, text(each.this), text(each.other), each.analysis) for each in found.differences]
        lines += _rows([header, *rows])
    else:
        lines.append(f"no difference from {found.against} in what both are known to have")
    if found.unknown:
        lines.append(f"unknown of this file: {', '.join(found.unknown)}")
    return lines


def _verdict(found: "Inspection") -> list[str]:
    if found.refusal:
        return [f"verdict: refused: {found.refusal}", *(f"  also: {warning}" for warning in found.warnings)]
    return [f"verdict: {found.verdict} on base {found.base}", *(f"  warning: {warning}" for warning in found.warnings)]


def _rows(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
