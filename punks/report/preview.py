"""A batch to show around: an animation of its punks, and sheets at the size of a paper."""

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from punks.batch.manifest import entries
from punks.errors import ImageError, RecipeError
from punks.files.png import write_file, write_png
from punks.report.sheet import GAP, GRID, MARGIN, PAPER, TEXT, contact_sheet, in_rows, read_pixels

PAPERS = {"a5": (148, 210), "a4": (210, 297), "a3": (297, 420), "a2": (420, 594), "letter": (216, 279)}  # mm
_MM = 25.4  # an inch
_MOST_PIXELS = 60_000_000  # of a page: A2 at 400 dpi


def write_animation(folder: Path, path: Path, *, count: int = 60, seconds: float = 0.5, side: int = 480) -> str:
    """Writes the first `count` punks one after the other as an endless GIF or WebP, `side` px wide. -> what to say.

    Colors are exact; only a punk with more than 256 loses some in a GIF. Raises RecipeError, ImageError.
    """
    for name, value, least, most in (
        ("count", count, 1, 1000),
        ("seconds", seconds, 0.02, 60),
        ("side", side, 24, 2048),
    ):
        if not least <= value <= most:
            raise RecipeError(name, value, f"use a number from {least} to {most}")
    done = _done(folder)
    gif = path.suffix.lower() == ".gif"
    first, *others = (_frame(file, side, indexed=gif) for _, file in done[:count])
    options: dict[str, Any] = {"save_all": True, "append_images": others, "duration": round(seconds * 1000), "loop": 0}
    options |= {"disposal": 2, "optimize": False} if gif else {"lossless": True, "exact": True}
    write_file(path, functools.partial(first.save, format="GIF" if gif else "WEBP", **options))
    return f"{path}: {1 + len(others)} of {len(done)} punks, {path.stat().st_size / 1e6:.1f} MB"


def _done(folder: Path) -> list[tuple[str, Path]]:
    """Names and pixel files of the finished punks. Raises BatchError, and ImageError if there are none."""
    found = [(one["name"], folder / one["files"]["pixels"]) for one in entries(folder) if one["status"] == "done"]
    if not found:
        raise ImageError(f"{folder}: no punk is done")
    return found


def _frame(path: Path, side: int, *, indexed: bool) -> Image.Image:
    """A punk, enlarged; for a GIF with the colors of its own."""
    art = read_pixels(path)
    if indexed and art.mode == "RGB" and len(np.unique(np.asarray(art).reshape(-1, 3), axis=0)) <= 256:
        art = art.convert("P", palette=Image.Palette.ADAPTIVE, dither=Image.Dither.NONE)
    return art.resize((side, side), Image.Resampling.NEAREST)


def write_paper(folder: Path, path: Path, *, paper: str = "a4", dpi: int = 300, columns: int = 6) -> str:
    """Writes the punks with their names on PNGs of a paper size, NAME-2.png and so on. -> what to say of them.

    `paper` is one of PAPERS or `WIDTHxHEIGHT` in mm. A cell is a whole number of pixels; margins take the rest. Raises
    RecipeError, ImageError.
    """
    width, height = (round(length / _MM * dpi) for length in _paper(paper))
    if not 50 <= dpi <= 1200 or width * height > _MOST_PIXELS:
        raise RecipeError("dpi", dpi, f"use 50 to 1200, and at most {_MOST_PIXELS:,} pixels a sheet")
    scale = max(1, round(dpi / 100))
    gap, margin, line = GAP * scale, MARGIN * scale, (TEXT + 6) * scale
    side = ((width - 2 * margin + gap) // columns - gap) // GRID * GRID if columns > 0 else 0
    lines = (height - 2 * margin + gap) // (side + gap + line)
    if side < GRID or lines < 1:
        raise RecipeError("columns", columns, "the punks do not fit on this paper; use another number, or more dpi")
    left = (width - columns * (side + gap) + gap) // 2 - margin
    done = _done(folder)
    starts = range(0, len(done), columns * lines)
    paths = [path.with_stem(f"{path.stem}-{at}") if at > 1 else path for at in range(1, len(starts) + 1)]
    for start, file in zip(starts, paths, strict=True):
        part = done[start : start + columns * lines]
        arts, names = [read_pixels(pixels) for _, pixels in part], [name for name, _ in part]
        sheet = contact_sheet(in_rows(arts, columns), names=in_rows(names, columns), side=side, scale=scale)
        page = Image.new("RGB", (width, height), PAPER)
        page.paste(sheet, (left, 0))
        write_png(page, file, dpi=dpi)
    more = f" to {paths[-1].name}" if len(paths) > 1 else ""
    return f"{path}{more}: {len(done)} punks on {paper}, {width}x{height} px at {dpi} dpi"


def _paper(text: str) -> tuple[int, int]:
    if text.lower() in PAPERS:
        return PAPERS[text.lower()]
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text.lower())
    if match is None:
        raise RecipeError("paper", text, f"use {', '.join(PAPERS)}, or WIDTHxHEIGHT in mm such as 200x200")
    return int(match[1]), int(match[2])
