"""`punks finish`: punks finished anew, without painting; `punks snap` does the same for pictures made elsewhere."""

import argparse
import dataclasses
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from punks.cli.generate import add_exports, export, result_line
from punks.cli.options import add_fields, add_store, free_path, given, output_path, require_writable, stored
from punks.cli.terminal import say
from punks.errors import ImageError, PunkError, RecipeError
from punks.finish import SUFFIXES
from punks.request import FINISH

if TYPE_CHECKING:
    from punks.generate import Punk
    from punks.palette import Palette
    from punks.vocabulary import Color

MANIFEST = "manifest.jsonl"  # what makes a folder that of a batch


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options: those of a finish."""
    parser.description = (
        "Change the background, eyes, colors or size of finished punks and paintings. Nothing is painted; the recipe "
        "is kept. In the folder of a batch all its punks are finished anew."
    )
    parser.add_argument(
        "-o", "--output", type=output_path, metavar="X", help="file or folder to write; by default NAME-finished.png"
    )
    parser.add_argument("--painting", type=Path, metavar="FILE", help="the painting of the punk, if it was kept")
    parser.add_argument("--json", action="store_true", help="print one JSON object a picture")
    declare_files(parser)
    add_store(parser)


def declare_files(parser: argparse.ArgumentParser) -> None:
    """Declares what `finish` and `snap` share."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="pictures, folders or patterns such as 'art/*.png'")
    add_fields(parser, FINISH)
    parser.add_argument("--shared-palette", action="store_true", help="one palette of --colors colors for all pictures")
    add_exports(parser)
    parser.add_argument("--frame", type=int, metavar="N", help="a frame of an animation or of several pages, from 0")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("--skip-existing", action="store_true", help="leave out pictures whose file exists already")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Finishes every picture; one that fails does not end the others. -> 0, or 1 where any failed."""
    changes = given(args, FINISH)
    if args.command == "finish" and len(args.files) == 1 and (Path(args.files[0]) / MANIFEST).is_file():
        return _batch(args, Path(args.files[0]), changes)
    if getattr(args, "store", None):
        args.parser.error("--store works with a batch; give its folder and nothing else")
    from punks.files.pictures import find_pictures

    files = find_pictures(args.files)
    if len(files) > 1 and getattr(args, "painting", None):
        args.parser.error("--painting is of one picture; name that picture alone")
    targets = _targets(args, files)
    require_writable(next(iter(targets.values())).parent)
    failures: list[str] = []
    palette = _shared(args, files, changes, failures) if args.shared_palette else None
    if palette is not None:
        changes = {**changes, "palette": palette, "colors": None}
    skipped = written = 0
    for path, target in targets.items():
        if args.skip_existing and target.exists():
            skipped += 1
            continue
        started = time.perf_counter()
        for punk in _opened(args, [path], changes, failures):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                export(args, punk, target, alone=len(targets) == 1)
            except (PunkError, OSError) as error:
                failures.append(str(error))
                continue
            written += 1
            for warning in punk.warnings:
                say(f"punks: {target.name}: {warning}")
            print(result_line(target, punk, time.perf_counter() - started, as_json=args.json), flush=True)
    for line in dict.fromkeys(failures):
        say(f"punks: {line}")
    if len(files) > 1:
        counts = {"written": written, "skipped": skipped, "failed": len(files) - written - skipped}
        say(f"punks: {', '.join(f'{count} {word}' for word, count in counts.items() if count)}")
    return 1 if failures else 0


def _opened(
    args: argparse.Namespace, files: Iterable[Path], changes: dict[str, Any], failures: list[str]
) -> Iterator["Punk"]:
    """The punks in files, finished with these changes; what cannot be is added to the failures."""
    from punks.generate import open_punk

    for path in files:
        try:
            punk = open_punk(path, getattr(args, "painting", None), args.frame)
            if punk.recipe is None and not punk.art.has_grid:
                raise ImageError(f"{path}: no 24x24 grid found (confidence {punk.art.confidence:.2f}); nothing written")
        except PunkError as error:
            failures.append(str(error))
            continue
        finish = dataclasses.replace(punk.finish, **changes)  # where this fails, the options are wrong
        try:
            yield punk.painting.finish(finish)
        except PunkError as error:
            failures.append(f"{path}: {error}")


def _shared(
    args: argparse.Namespace, files: Iterable[Path], changes: dict[str, Any], failures: list[str]
) -> "Palette | None":
    """The palette of all the pictures that can be written."""
    from punks.snap import shared_palette

    counts: Counter[Color] = Counter()
    for punk in _opened(args, files, {**changes, "colors": None}, failures):
        for color in punk.art.cells.reshape(-1, punk.art.cells.shape[-1]).tolist():
            if len(color) == 3 or color[3]:
                counts[(color[0], color[1], color[2])] += 1
    return shared_palette(counts, args.colors or 64) if counts else None


def _targets(args: argparse.Namespace, files: list[Path]) -> dict[Path, Path]:
    """Where each picture goes. Raises RecipeError where two would be one, or one exists."""
    from punks.files.formats import SUFFIXES as PICTURES

    output: Path | None = args.output
    if output is None:
        targets = {path: free_path(path.with_name(f"{path.stem}-finished.png")) for path in files}
    elif output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(files) > 1:
            raise RecipeError("output", str(output), f"name a folder for {len(files)} pictures")
        targets = {files[0]: output}
    elif not output.is_dir() and (output.exists() or output.suffix.lower() in PICTURES):
        raise RecipeError("output", str(output), f"use a name that ends in {', '.join(SUFFIXES)}, or a folder")
    else:
        targets = {path: output / f"{path.stem}.png" for path in files}
    seen: dict[Path, Path] = {}
    for path, target in targets.items():
        if (other := seen.setdefault(target, path)) != path:
            raise RecipeError("files", f"{other} and {path}", f"both would become {target}; do one folder at a time")
        if target.resolve() == path.resolve():
            raise RecipeError("output", str(target), "this is the picture itself; use another name or folder")
        if target.exists() and not args.force and not args.skip_existing:
            raise RecipeError("output", str(target), "it exists; use another name, --skip-existing or --force")
    return targets


def _batch(args: argparse.Namespace, folder: Path, changes: dict[str, Any]) -> int:
    """Finishes the punks of a batch anew, where they lie."""
    if args.output is not None:
        raise RecipeError("output", str(args.output), "a batch is finished in its own folder; copy the folder first")
    if args.shared_palette:
        args.parser.error("--shared-palette of a batch is found by `punks batch`; run that again with the option")
    if args.painting or args.json:
        args.parser.error("--painting and --json are for pictures; this is the folder of a batch")
    if not changes:
        args.parser.error("say what to change, for example --background lime")
    from tqdm import tqdm

    from punks.batch.run import finish_folder
    from punks.report.show import show_folder

    with stored(args, folder), tqdm(desc="finishing", unit="punk", leave=False, disable=None) as bar:
        tally = finish_folder(folder, lambda finish: dataclasses.replace(finish, **changes), bar.update)
    for number, error in sorted(tally.failed.items()):
        say(f"row {number}: {error}")
    print(f"{folder}: {tally.finished} finished" + (f", {len(tally.failed)} failed" if tally.failed else ""))
    print(show_folder(folder))
    return 1 if tally.failed else 0
