"""`punks snap`: pictures made elsewhere -> exact pixel art."""

import argparse
import sys
from pathlib import Path
from typing import Any

from punks.cli.generate import require_writable
from punks.errors import ImageError, RecipeError


def add(subparsers: Any) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser("snap", help="restore pictures to exact pixel art", description=__doc__)
    parser.add_argument("pictures", nargs="+", metavar="IN", help="files, folders or globs")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="a .png file, or a folder")
    parser.add_argument("--size", type=int, default=1024, help="px a side of what is written (default 1024)")
    parser.add_argument("--palette", metavar="COLOURS", help="#hex,#hex,... or a .hex, .gpl or .png file")
    parser.add_argument("--lock-palette", action="store_true", help="one palette for all the pictures")
    parser.add_argument("--colors", type=int, metavar="N", help="at most N colours")
    parser.add_argument("--background", default="keep", help="keep, solid, transparent, or a colour (default keep)")
    parser.add_argument("--dither", action="store_true", help="ordered dither, with --palette")
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Restore every picture; one that fails is listed at the end. -> 0, or 1 where any failed."""
    from tqdm import tqdm

    from punks.files.palettes import parse_palette, read_palette
    from punks.files.pictures import find_pictures, open_picture
    from punks.files.png import write_art
    from punks.snap import PixelArt, lock_palette, snap

    if not 24 <= args.size <= 4096:
        raise RecipeError("size", args.size, "24 to 4096 px")
    palette = None
    if args.palette is not None:
        is_file = Path(args.palette).suffix.lower() in {".hex", ".gpl", ".png"}
        palette = read_palette(Path(args.palette)) if is_file else parse_palette(args.palette.split(","))
    if args.dither and palette is None:
        raise RecipeError("dither", True, "give the palette to dither with")
    files = find_pictures(args.pictures)
    targets = _targets(files, args.output, force=args.force)
    folder = targets[files[0]].parent
    require_writable(next(one for one in (folder, *folder.parents) if one.exists()))
    failed: list[str] = []

    def restore(path: Path) -> PixelArt | None:
        try:
            return snap(
                open_picture(path),
                palette=palette,
                colors=args.colors,
                background=args.background,
                dither=args.dither,
            )
        except ImageError as error:
            failed.append(str(error) if str(error).startswith(str(path)) else f"{path}: {error}")
            return None

    if args.lock_palette and palette is None:
        arts = [art for path in tqdm(files, desc="palette", disable=None) if (art := restore(path))]
        failed.clear()
        palette = lock_palette(arts, args.colors) if arts else None
    for path in tqdm(files, desc="snap", disable=None):
        art = restore(path)
        if art is None:
            continue
        if not art.has_grid:
            failed.append(f"{path}: no 24x24 grid in it (confidence {art.confidence:.2f}); nothing written")
            continue
        try:
            targets[path].parent.mkdir(parents=True, exist_ok=True)
            write_art(art, args.size, targets[path])
        except (ImageError, OSError) as error:
            failed.append(str(error))
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


def _targets(files: list[Path], output: Path, *, force: bool) -> dict[Path, Path]:
    from punks.files.pictures import SUFFIXES

    if output.suffix.lower() == ".png" and not output.is_dir():
        if len(files) > 1:
            raise RecipeError("output", str(output), f"a folder, for {len(files)} pictures")
        targets = {files[0]: output}
    elif not output.is_dir() and (output.exists() or output.suffix.lower() in SUFFIXES):
        raise RecipeError("output", str(output), "use a file name that ends in .png, or a folder")
    else:
        targets = {path: output / f"{path.stem}.png" for path in files}
    if len(set(targets.values())) < len(files):
        raise RecipeError("output", str(output), "two pictures have the same name; give them one folder at a time")
    for path, target in targets.items():
        if target.resolve() == path.resolve():
            raise RecipeError("output", str(target), "it is the picture to restore; use another name or folder")
        if target.exists() and not force:
            raise RecipeError("output", str(target), "it exists; another folder, or --force to overwrite")
    return targets
