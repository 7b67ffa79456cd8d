"""`punks weights`: lists, verifies and fetches weights."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from punks.cli.options import add_fast, add_fields
from punks.fast import OFF, ROWS
from punks.files import weights
from punks.files.checksums import SUMS, damaged, recorded
from punks.variants import DEFAULT, VARIANTS, Variant

_ADDED = ("num_inference_steps", "guidance_scale", "lora_scale", "verdict", "failed")


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = (
        "Lists the weights of each variant, verifies or fetches them. PUNKS_WEIGHTS sets their folder. "
        "`punks weights add NAME --lora FILE` makes a variant of a LoRA file."
    )
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"one of {', '.join(VARIANTS)}")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--fetch", action="store_true", help=f"fetch base and LoRA (default: {DEFAULT})")
    what.add_argument("--verify", action="store_true", help="compare every file with its recorded SHA-256")
    parser.add_argument("--epoch", type=_epoch, metavar="N", help="epoch to fetch or add, or 'all' that the source has")
    parser.add_argument(
        "--lora",
        action="append",
        metavar="SOURCE",
        help="file to add; repeat for more epochs. Or source of the LoRA (default: PUNKS_LORA_URL): the http(s) "
        "address of the file, a file, a folder of files, or hf:OWNER/REPO[@REVISION]",
    )
    add_fast(parser, "fetch the acceleration LoRAs of the base as well: all, or the one of that name")
    added = parser.add_argument_group("add", "Settings of the variant that `weights add` makes.")
    add_fields(added, ["num_inference_steps", "guidance_scale", "lora_scale"])
    added.add_argument("--verdict", metavar="TEXT", help="your opinion of it, shown in lists")
    added.add_argument("--failed", action="store_true", default=None, help="a failed training: warn when it is used")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0, or 1 if --verify found a damaged or missing file. Raises PunkError."""
    if args.variants[:1] == ["add"]:
        return _add(args)
    for name in args.variants:
        if name not in VARIANTS:
            args.parser.error(f"no variant {name!r}; choose one of {', '.join(VARIANTS)}")
    args.variants = [VARIANTS[name] for name in args.variants]
    if not args.fetch and (args.epoch is not None or args.lora is not None or args.fast is not None):
        args.parser.error("--epoch, --lora and --fast need --fetch")
    if _added(args):
        args.parser.error("--verdict, --failed, --steps, --guidance and --lora-scale need add")
    if args.lora and len(args.lora) > 1:
        args.parser.error("--fetch takes one --lora")
    if args.verify:
        return _verify(weights.folder(), args.variants or list(VARIANTS.values()), as_json=args.json)
    if args.fetch:
        from punks.lora.fetch import fetch

        args.variants = args.variants or [VARIANTS[DEFAULT]]
        for row in args.variants:
            if row.failed:
                _say(f"warning: {row.name}: {row.verdict}")
        fetch(args.variants, args.epoch, args.lora and args.lora[0], _say, fast=args.fast or OFF)
    rows = [_row(row) for row in args.variants or VARIANTS.values()]
    print(json.dumps(rows, indent=2) if args.json else _table(rows))
    return 0


def _add(args: argparse.Namespace) -> int:
    from punks.lora.own import add

    if len(args.variants) != 2 or args.fetch or args.verify or args.fast or str(args.epoch) == "all":
        args.parser.error("use: punks weights add NAME --lora FILE [--epoch N]")
    if args.epoch is not None and len(args.lora or ()) > 1:
        args.parser.error("--epoch is for one --lora; several have their number in their names")
    paths = [weights.expanded(path, "lora") for path in args.lora or ()]
    row = add(args.variants[1], paths, _say, args.epoch, **_added(args))
    print(json.dumps(_row(row), indent=2) if args.json else _table([_row(row)]))
    return 0


def _added(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name in _ADDED if (value := getattr(args, name)) is not None}


def _verify(root: Path, variants: list[Variant], *, as_json: bool) -> int:
    sums = recorded(root)
    sums = {name: sums[name] for row in variants for name in sums if name.startswith(f"{row.base.name}/")}
    present = {name for name in sums if (root / name).is_file()}
    total = sum((root / name).stat().st_size for name in present)
    with tqdm(desc="verifying", total=total, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        bad = damaged(root, sums, bar.update)
    # git checks what is embedded
    files = [path for row in variants if not row.embedded for path in _files(root / row.base.name)]
    found = {
        "whole": sorted(present - set(bad)),
        "damaged": bad,
        "missing": sorted(sums.keys() - present),
        "unrecorded": sorted({path.relative_to(root).as_posix() for path in files} - sums.keys()),
    }
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        for verdict in ("damaged", "missing", "unrecorded"):
            for name in found[verdict]:
                print(f"{verdict}: {name}; {_way(name)}")
        counts = ", ".join(f"{len(names)} {verdict}" for verdict, names in found.items())
        print(f"{root / SUMS}: {counts if any(found.values()) else 'nothing fetched yet'}")
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
        "fast": [row.name for row in weights.fast_present(variant)],
        "lora_bytes": sum(weights.lora_path(variant, epoch).stat().st_size for epoch in present),
        "failed": variant.failed,
        "verdict": variant.verdict,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [("VARIANT", "BASE", "LORA EPOCHS", "FAST", "VERDICT")]
    for row in rows:
        base = "missing" if row["base_missing"] else tqdm.format_sizeof(row["base_bytes"], "B")
        epochs = ", ".join(map(str, row["epochs_present"]))
        lora = f"{epochs} ({tqdm.format_sizeof(row['lora_bytes'], 'B')})" if epochs else "none"
        cells.append((row["variant"], f"{row['base']} {base}", lora, ", ".join(row["fast"]) or "none", row["verdict"]))
    wide = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(line, [*wide, 0], strict=True)) for line in cells]
    absent = [row for row in map(VARIANTS.__getitem__, (row["variant"] for row in rows)) if not row.embedded]
    ways = [f"get {row.name}: {weights.fetch_command(row)}" for row in absent if not weights.available(row)]
    return "\n".join([str(weights.folder()), "", *lines, *([""] if ways else []), *ways])


def _files(folder: Path) -> list[Path]:
    """The files of a base, without those of a fetch in progress."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith((".part", ".tag")))
    return [path for path in paths if ".cache" not in path.relative_to(folder).parts]


def _way(name: str) -> str:
    """How to get a file of that name, or to check and record it."""
    base, _, file = name.partition("/")
    rows = [row for row in VARIANTS.values() if row.base.name == base]
    epochs = {f"lora/{row.lora_file(epoch)}": (row, epoch) for row in rows for epoch in range(1, row.epochs + 1)}
    fast = any(weights.fast_path(rows[0], row).name == Path(file).name for row in ROWS if row.base == base)
    return f"run {weights.fetch_command(*epochs.get(file, (rows[0], None)), fast=fast)}"


def _epoch(text: str) -> int | Literal["all"]:
    if text != "all" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'all'")
    return "all" if text == "all" else int(text)


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
