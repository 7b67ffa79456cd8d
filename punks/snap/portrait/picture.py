"""A 24x24 picture prepared for looking: which cells have the same color, and how far apart any two are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from punks.errors import ImageError
from punks.snap.art import Bools, Bytes, Floats, Ints, PixelArt
from punks.snap.color import ciede2000, lab
from punks.snap.regions import reach

GRID = 24
# the border without the middle of its upper side, which hats reach, and without its lower side, where shoulders are
FRAME = np.zeros((GRID, GRID), bool)
FRAME[0, :6] = FRAME[0, -6:] = FRAME[:21, 0] = FRAME[:21, -1] = True
LEAST = 3  # of its cells that a color of the background has
ALIKE = 4.0  # CIEDE2000 between cells of one color of the background


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """cells: RGB uint8 (24, 24, 3). owner (24, 24): which of the K colors. points: CIELAB (K, 3). gaps: CIEDE2000
    between colors (K, K). background: bool (24, 24)."""

    cells: Bytes
    owner: Ints
    points: Floats
    gaps: Floats
    background: Bools

    def away(self, color: int) -> Floats:
        """CIEDE2000 of each cell from one of the colors, (24, 24)."""
        return self.gaps[color][self.owner]

    def away_from(self, rgb: tuple[int, int, int]) -> Floats:
        """CIEDE2000 of each cell from a color that need not be in the picture, (24, 24)."""
        return ciede2000(self.points, lab(np.array(rgb, np.uint8)))[self.owner]

    def like(self, where: Bools, limit: float) -> Bools:
        """The cells within `limit` CIEDE2000 of a color that the cells of a mask have, (24, 24)."""
        return np.isin(self.owner, np.flatnonzero(self.gaps[np.unique(self.owner[where])].min(axis=0) < limit))

    @cached_property
    def light(self) -> Floats:
        """L of CIELAB, (24, 24), 0-100."""
        return self.points[self.owner, 0]

    @cached_property
    def chroma(self) -> Floats:
        """Chroma of CIELAB, (24, 24)."""
        return np.hypot(self.points[self.owner, 1], self.points[self.owner, 2])


def picture(art: PixelArt | Bytes, background: Bools | None = None) -> Picture:
    """Pixel art, or its cells uint8 (24, 24, 3 or 4), with the mask of the background where it is known."""
    cells = art.cells if isinstance(art, PixelArt) else art
    if cells.dtype != np.uint8 or cells.shape[:2] != (GRID, GRID) or cells.shape[2:] not in {(3,), (4,)}:
        raise ImageError(f"cells of {cells.dtype} {cells.shape} cannot be read; give uint8 (24, 24, 3 or 4)")
    clear = cells[..., 3] == 0 if cells.shape[2] == 4 else np.zeros((GRID, GRID), bool)
    if isinstance(art, PixelArt) and background is None:
        background = art.background
    cells = cells[..., :3]
    colors, owner = np.unique(cells.reshape(-1, 3), axis=0, return_inverse=True)
    owner = owner.reshape(GRID, GRID)
    points = lab(colors)
    gaps = ciede2000(points[:, None], points[None])
    behind = _behind(owner, gaps) | clear
    if background is not None:
        behind |= background
    return Picture(cells=cells, owner=owner, points=points, gaps=gaps, background=behind)


def _behind(owner: Ints, gaps: Floats) -> Bools:
    """What is reached from the border through the colors that the border has: patterns and steps too, (24, 24)."""
    count = np.bincount(owner[FRAME], minlength=len(gaps))
    common = ((gaps < ALIKE) @ count >= LEAST) & (count > 0)
    allowed = common[owner]
    return reach(allowed & FRAME, allowed)
