"""`punks weights`: what is there, what is missing, whether it is whole, and the way to get it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from punks.files import weights
from punks.files.checksums import SUMS, recorded, sha256
from punks.variants import DEFAULT, VARIANTS, Variant


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = (
        "Lists the weights of each variant, verifies or fetches them. PUNKS_WEIGHTS moves their folder."
    )
    parser.add_argument("variants", nargs="*", metavar="VARIANT", type=_variant, help=f"of {', '.join(VARIANTS)}")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--fetch", action="store_true", help=f"fetch base and LoRA (of {DEFAULT} if none is named)")
    what.add_argument("--verify", action="store_true", help="compare every file with its recorded SHA-256")
    parser.add_argument("--epoch", type=_epoch, metavar="N", help="fetch this epoch, or 'all' that the source has")
    parser.add_argument(
        "--lora",
        metavar="SOURCE",
        help="fetch the LoRA from here, not from PUNKS_LORA_URL: the http(s) address of the file, "
        "a file, a folder of files, or hf:OWNER/REPO[@REVISION]",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0, or 1 where --verify found a damaged or missing file. Raises PunkError."""
    if not args.fetch and (args.epoch is not None or args.lora is not None):
        args.parser.error("--epoch and --lora go with --fetch")
    if args.verify:
        return _verify(weights.folder(), args.variants or list(VARIANTS.values()), as_json=args.json)
    if args.fetch:
        from punks.lora.fetch import fetch

        args.variants = args.variants or [VARIANTS[DEFAULT]]
        for row in args.variants:
            if row.failed:
                _say(f"warning: {row.name} is a failed run: {row.verdict}")
        fetch(args.variants, args.epoch, args.lora, _say)
    rows = [_row(row) for row in args.variants or VARIANTS.values()]
    print(json.dumps(rows, indent=2) if args.json else _table(rows))
    return 0


def _verify(root: Path, variants: list[Variant], *, as_json: bool) -> int:
    bases = {row.base.name for row in variants}
    sums = {name: digest for name, digest in recorded(root).items() if name.partition("/")[0] in bases}
    found: dict[str, list[str]] = {"whole": [], "damaged": [], "missing": [], "unrecorded": []}
    total = sum((root / name).stat().st_size for name in sums if (root / name).is_file())
    with tqdm(desc="verifying", total=total, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        for name, digest in sums.items():
            bar.set_postfix_str(name)
            if not (root / name).is_file():
                found["missing"].append(name)
            elif sha256(root / name, bar.update) == digest:
                found["whole"].append(name)
            else:
                found["damaged"].append(name)
    # git keeps what is embedded
    files = [path for row in variants if not row.embedded for path in _files(root / row.base.name)]
    names = sorted({path.relative_to(root).as_posix() for path in files})
    found["unrecorded"] = [name for name in names if name not in sums]
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        for verdict in ("damaged", "missing"):
            for name in found[verdict]:
                print(f"{verdict}: {name}; fetch it again: {_way(name)}")
        for name in found["unrecorded"]:
            print(f"unrecorded: {name}; check and record it: {_way(name)}")
        counts = ", ".join(f"{len(names)} {verdict}" for verdict, names in found.items())
        nothing = "none of these was fetched, and git keeps what is embedded"
        print(f"{root / SUMS}: {counts if any(found.values()) else nothing}")
    return 1 if found["damaged"] or found["missing"] else 0


def _row(variant: Variant) -> dict[str, Any]:
    base, own = weights.base_folder(variant), weights.lora_path(variant, variant.epoch)
    present = weights.epochs_present(variant)
    return {
        "variant": variant.name,
        "base": variant.base.name,
        "base_bytes": sum(path.stat().st_size for path in _files(base) if path.parent.name != "lora"),
        "base_missing": [str(path) for path in weights.missing(variant, variant.epoch) if path != own],
        "epoch": variant.epoch,
        "epochs_present": present,
        "lora_bytes": sum(weights.lora_path(variant, epoch).stat().st_size for epoch in present),
        "failed": variant.failed,
        "verdict": variant.verdict,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [("VARIANT", "BASE", "LORA EPOCHS", "VERDICT")]
    for row in rows:
        size = tqdm.format_sizeof(row["base_bytes"], "B")
        base = f"{row['base']} missing" if row["base_missing"] else f"{row['base']} {size}"
        epochs = ", ".join(str(epoch) for epoch in row["epochs_present"])
        size = tqdm.format_sizeof(row["lora_bytes"], "B")
        lora = f"{epochs} ({size})" if epochs else "none"
        cells.append((row["variant"], base, lora, ("FAILED RUN: " if row["failed"] else "") + row["verdict"]))
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]) for line in cells
    ]
    ways = [
        f"get {row['variant']}: script/download-weights {row['variant']}"
        for row in rows
        if not VARIANTS[row["variant"]].embedded and (row["base_missing"] or row["epoch"] not in row["epochs_present"])
    ]
    return "\n".join([f"{weights.folder()}", "", *lines, *([""] if ways else []), *ways])


def _files(folder: Path) -> list[Path]:
    """The files of a base, less what a fetch in progress leaves."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith((".part", ".tag")))
    return [path for path in paths if ".cache" not in path.parts]


def _way(name: str) -> str:
    base, _, file = name.partition("/")
    for row in VARIANTS.values():
        if row.base.name == base:
            for epoch in range(1, row.epochs + 1):
                if file == f"lora/{row.lora_file(epoch)}":
                    return f"script/download-weights {row.name} --epoch {epoch}"
    return f"script/download-weights {next(row.name for row in VARIANTS.values() if row.base.name == base)}"


def _variant(name: str) -> Variant:
    if name not in VARIANTS:
        raise argparse.ArgumentTypeError(f"there is no {name!r}; choose one of {', '.join(VARIANTS)}")
    return VARIANTS[name]


def _epoch(text: str) -> int | Literal["all"]:
    if text == "all":
        return "all"
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'all'")
    return int(text)


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
