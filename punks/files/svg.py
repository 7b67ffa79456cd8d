"""SVG: one rectangle for each run of cells of one color, crisp at any size."""

import html
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from punks.files.png import write_bytes


def svg(cells: NDArray[np.uint8], size: int, texts: Mapping[str, str]) -> str:
    """Cells, uint8 (grid, grid, 3 or 4), as an SVG document `size` px wide; transparent cells are left out.

    The texts, such as the recipe, stand in its metadata.
    """
    grid, rects = len(cells), list[str]()
    for y, row in enumerate(cells.tolist()):
        x = 0
        for color, run in groupby(row):
            width = len(list(run))
            if len(color) == 3 or color[3]:
                fill = "#{:02x}{:02x}{:02x}".format(*color[:3])
                rects.append(f'<rect x="{x}" y="{y}" width="{width}" height="1" fill="{fill}"/>')
            x += width
    said = "".join(f'<desc id="{key}">{html.escape(text, quote=False)}</desc>' for key, text in texts.items())
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {grid} {grid}"'
    lines = [f'{head} shape-rendering="crispEdges">', f"<metadata>{said}</metadata>" if said else "", *rects, "</svg>"]
    return "\n".join(filter(None, lines)) + "\n"


def write_svg(cells: NDArray[np.uint8], size: int, path: Path, texts: Mapping[str, str]) -> None:
    """Writes the SVG of cells; see `svg`. Raises ImageError."""
    write_bytes(path, svg(cells, size, texts).encode())
