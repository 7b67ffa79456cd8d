"""Contact sheets: pictures in rows, every cell of theirs a square, with names beneath or titles at the side."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from punks.batch.manifest import Entry
from punks.errors import ImageError
from punks.files.pictures import open_picture
from punks.files.png import write_png

GRID, GAP, MARGIN, TEXT = 24, 12, 32, 13
PAPER, INK, QUIET, CHECK = "#fbfaf7", "#17161a", "#66646e", "#dedcd6"
PER_SHEET, COLUMNS = 1000, 25  # 2,152 x 4,187 px, two megabytes or so

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
Rows = Sequence[Sequence[Image.Image | None]]


def contact_sheet(
    rows: Rows,
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    *,
    names: Sequence[Sequence[str]] = (),
    title: str = "",
    side: int = 3 * GRID,
    scale: int = 1,
) -> Image.Image:
    """Pictures in a grid on light paper -> RGB. Every picture becomes `side` px: small ones by nearest neighbour.

    Titles stand left of the rows and above the columns, `names` beneath the pictures; what is too long for its place
    ends in dots. None leaves a place empty, transparent cells show a checkerboard. The font has Latin letters only.
    Text and gaps are `scale` times as large as on a screen.
    """
    gap, margin, text_size = (scale * length for length in (GAP, MARGIN, TEXT))
    font = ImageFont.load_default(text_size)
    columns = max((len(row) for row in rows), default=0)
    widest = max(map(round, map(font.getlength, row_titles)), default=0)
    left = margin + (min(320 * scale, widest) + gap if any(row_titles) else 0)
    top = margin + (2 * text_size + gap if title else 0) + (text_size + gap if any(column_titles) else 0)
    across, down = side + gap, side + gap + (text_size + 6 * scale if names else 0)
    size = (left + columns * across - gap + margin, top + len(rows) * down - gap + margin)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((margin, margin), title, INK, ImageFont.load_default(2 * text_size - 6 * scale), "lt")
    for at, text in enumerate(column_titles):
        pen.text((left + at * across, top - gap + 2 * scale), shortened(text, font, side), QUIET, font, "ls")
    for y, row in enumerate(rows):
        if y < len(row_titles):
            lines = max(1, side // (text_size + 7 * scale))
            text = shortened(row_titles[y], font, left - margin - gap, lines=lines)
            pen.text((margin, top + y * down + side // 2), text, INK, font, "lm", spacing=7 * scale)
        for x, picture in enumerate(row):
            corner = (left + x * across, top + y * down)
            if picture is not None:
                sheet.paste(_sized(picture, side), corner)
            if names and x < len(names[y]):
                pen.text(
                    (corner[0], corner[1] + side + 4 * scale), shortened(names[y][x], font, side), QUIET, font, "lt"
                )
    return sheet


def shortened(text: str, font: Font, width: int, lines: int = 1) -> str:
    """The text on at most so many lines of `width` px, broken between words; what does not fit ends in dots."""
    words, broken = text.split(), list[str]()
    while words:
        line = words.pop(0)
        while words and font.getlength(f"{line} {words[0]}") <= width:
            line += " " + words.pop(0)
        if len(broken) == lines - 1 and words:
            line, words = f"{line} {words[0]}", []
        while len(line) > 1 and font.getlength(line) > width:
            line = line.removesuffix("...")[:-1].rstrip() + "..."
        broken.append(line)
    return "\n".join(broken)


def write_sheets(folder: Path, entries: Iterable[Entry], title: str | None = None) -> list[Path]:
    """Writes `sheet.png` for the manifest's entries; more than 1,000 go on in `sheet-2.png` and so on. -> the sheets.

    Raises ImageError on pixels that cannot be read, and where the disk refuses.
    """
    done = [(entry["name"], folder / entry["files"]["pixels"]) for entry in entries if entry["status"] == "done"]
    sheets: list[Path] = []
    for start in range(0, len(done), PER_SHEET):
        part = done[start : start + PER_SHEET]
        pictures, names = [read_pixels(path) for _, path in part], [name for name, _ in part]
        said = f"{start + 1:,} to {start + len(part):,} of {len(done):,}" if len(done) > PER_SHEET else f"{len(done):,}"
        columns = min(COLUMNS, math.ceil(math.sqrt(1.6 * len(part))))
        sheet = contact_sheet(
            in_rows(pictures, columns),
            names=in_rows(names, columns),
            title=f"{title or folder.resolve().name}: {said} punk{'s' * (len(done) > 1)}",
            side=(5 if len(part) <= 300 else 3) * GRID,
        )
        sheets.append(folder / (f"sheet-{len(sheets) + 1}.png" if sheets else "sheet.png"))
        write_png(sheet, sheets[-1])
    for path in {folder / "sheet.png", *folder.glob("sheet-*.png")} - set(sheets):  # of a longer batch before
        path.unlink(missing_ok=True)
    return sheets


def read_pixels(path: Path) -> Image.Image:
    """A file of 24x24 pixels -> RGB, or RGBA where some are transparent. Raises ImageError."""
    picture = open_picture(path)
    if picture.size != (GRID, GRID):
        raise ImageError(f"{path}: {picture.width}x{picture.height} px, where {GRID}x{GRID} belong")
    return picture


def in_rows(items: Sequence[Any], columns: int) -> list[Sequence[Any]]:
    """The items, so many a row."""
    return [items[at : at + columns] for at in range(0, len(items), columns)]


def _sized(picture: Image.Image, side: int) -> Image.Image:
    larger = max(picture.size) > side
    sized = picture.resize((side, side), Image.Resampling.LANCZOS if larger else Image.Resampling.NEAREST)
    if sized.mode != "RGBA":
        return sized
    squares = (np.indices((side, side)) // max(1, side // 12)).sum(0) % 2 == 0
    paper = Image.new("RGB", (side, side), PAPER)
    paper.paste(CHECK, mask=Image.fromarray(squares))
    paper.paste(sized, mask=sized.getchannel("A"))
    return paper
