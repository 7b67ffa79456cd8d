"""What restoration yields: 24x24 cells of exact colours, and the measurements behind them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks.errors import RecipeError

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

SIZES = (24, 4096)
_CODE = np.array([1 << 16, 1 << 8, 1], np.uint32)  # 0xrrggbb, which sorts as (r, g, b) does


def edges(size: int, grid: int) -> Ints:
    """Borders of the cells of a picture `size` px wide: round(i * size / grid), i = 0..grid."""
    return np.rint(np.arange(grid + 1) * size / grid).astype(np.intp)


@dataclass(frozen=True, eq=False, kw_only=True)
class PixelArt:
    """Pixel art: one colour a cell.

    cells: uint8 (grid, grid, 3), or 4 with alpha 0 or 255. palette: uint8 (K, 3), opaque colours, most used first.
    confidence: 0-1, how much of the picture's edges lies on the grid. drift: median displacement of its borders, in
    px of a 512 px picture. background: bool (grid, grid), the region grown from the border; all False without one.
    """

    cells: Bytes
    palette: Bytes
    confidence: float
    drift: float
    has_grid: bool
    background: Bools

    @property
    def hexes(self) -> list[str]:
        """The palette as `#rrggbb`."""
        return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in self.palette.tolist()]

    def enlarge(self, size: int) -> Image.Image:
        """Nearest neighbour with borders at round(i * size / grid), RGB or RGBA. `size` is 24, or the grid, to 4096."""
        rows, counts = self.rows(size)
        return Image.fromarray(rows.repeat(counts, axis=0))

    def rows(self, size: int) -> tuple[Bytes, Ints]:
        """What `enlarge` repeats: rows of pixels, uint8 (grid, size, 3 or 4), and how often each one follows itself."""
        low, high = max(SIZES[0], len(self.cells)), SIZES[1]
        if not low <= size <= high:
            raise RecipeError("size", size, f"{low} to {high} px")
        counts = np.diff(edges(size, len(self.cells)))
        return self.cells.repeat(counts, axis=1), counts


def palette_of(cells: Bytes) -> Bytes:
    """Distinct opaque colours of cells (..., 3 or 4), most used first, ties in RGB order. -> uint8 (K, 3)."""
    flat = cells.reshape(-1, cells.shape[-1])
    if flat.shape[1] == 4:
        flat = flat[flat[:, 3] > 0]
    codes, counts = np.unique(flat[:, :3].astype(np.uint32) @ _CODE, return_counts=True)
    return codes[np.argsort(-counts, kind="stable")].astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
