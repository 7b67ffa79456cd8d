"""The 24x24 grid: masks of cells, and a canvas that knows which cells show which trait."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]
Mask = NDArray[np.bool_]
GRID = 24
rows, columns = np.mgrid[0:GRID, 0:GRID]


@dataclass(slots=True)
class Canvas:
    cells: NDArray[np.uint8]
    rng: np.random.Generator
    masks: dict[str, Mask] = field(default_factory=dict)

    def paint(self, where: Mask, color: NDArray[np.uint8] | RGB, name: str | None = None) -> None:
        """Paint cells, and hand them over from the traits that had them to the one named."""
        self.cells[where] = color[where] if isinstance(color, np.ndarray) and color.ndim == 3 else color
        for mask in self.masks.values():
            mask &= ~where
        if name:
            self.masks[name] = self.masks.get(name, np.zeros_like(where)) | where

    def dot(self, row: int, col: int, color: NDArray[np.uint8] | RGB, name: str | None = None) -> None:
        self.paint((row == rows) & (col == columns), color, name)


def box(top: int, bottom: int, left: int, right: int) -> Mask:
    """Rows top..bottom and columns left..right, ends included."""
    return (top <= rows) & (bottom >= rows) & (left <= columns) & (right >= columns)
