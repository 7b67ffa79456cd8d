"""What restoration and finishing give: the cells of a painting before it is finished, and pixel art."""

import base64
import hashlib
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks.errors import ImageError, RecipeError
from punks.finish import SIZES
from punks.palette import Palette, hex_of

Bytes = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

SURE = 0.55  # of confidence: with less there is no grid
_CODE = np.array([1 << 16, 1 << 8, 1], np.uint32)  # 0xrrggbb, which sorts as (r, g, b) does
_HEAD = struct.Struct(">BBff")  # version, cells a side, confidence, drift


def edges(size: int, grid: int) -> Ints:
    """Borders of the cells of a picture `size` px wide: round(i * size / grid), i = 0..grid."""
    return np.rint(np.arange(grid + 1) * size / grid).astype(np.intp)


@dataclass(frozen=True, eq=False, kw_only=True)
class Groups:
    """Cells that share a color: the group of each, (grid, grid), and the color of each group, uint8 (K, 3)."""

    index: Ints
    colors: Bytes

    @property
    def cells(self) -> Bytes:
        """The color of each cell, uint8 (grid, grid, 3)."""
        return self.colors[self.index]


@dataclass(frozen=True, eq=False, kw_only=True)
class Cells:
    """A restored painting before it is finished: all that finishing needs, some hundred bytes as text.

    painted: the groups as they were painted. solid: the same with all of the background in one group. background: bool
    (grid, grid), grown from the border. whole: bool, with what the figure encloses as well. clear: bool, transparent in
    the picture. confidence: 0-1, how much of the picture's edges lies on the grid. drift: median displacement of the
    cell borders, in px of a 512 px picture. warnings: what reading the picture lost.
    """

    painted: Groups
    solid: Groups
    background: Bools
    whole: Bools
    clear: Bools
    confidence: float
    drift: float
    warnings: tuple[str, ...] = ()

    @property
    def has_grid(self) -> bool:
        """Whether the picture is pixel art."""
        return self.confidence >= SURE

    def to_text(self) -> str:
        """Base64 of compressed bytes: colors and index of painted, of solid if it differs, the bits of the masks."""
        parts = [_HEAD.pack(1, len(self.whole), self.confidence, self.drift)]
        for groups in (self.painted,) if self.solid is self.painted else (self.painted, self.solid):
            wide = ">u2" if len(groups.colors) > 256 else np.uint8
            parts += len(groups.colors).to_bytes(2, "big"), groups.colors.tobytes(), groups.index.astype(wide).tobytes()
        masks = np.packbits(np.stack([self.background, self.whole, self.clear])).tobytes()
        return base64.b64encode(zlib.compress(b"".join([*parts, masks]), 9)).decode()

    @classmethod
    def from_text(cls, text: str) -> "Cells":
        """The cells that `to_text` wrote. Raises ImageError."""
        try:
            stream = zlib.decompressobj()
            data = stream.decompress(base64.b64decode(text, validate=True), 1 << 17)
            version, side, confidence, drift = _HEAD.unpack_from(data)
            masks = (3 * side * side + 7) // 8
            whole = version == 1 and stream.eof and not stream.unused_data and 8 <= side <= 64 and 0 <= confidence <= 1
            rest, found = data[_HEAD.size : -masks] if whole else b"", list[Groups]()
            while rest:
                groups, rest = _groups(rest, side)
                found.append(groups)
            painted, solid = found * 2 if len(found) == 1 else found
            bits = np.unpackbits(np.frombuffer(data[-masks:], np.uint8), count=3 * side * side)
            background, every, clear = bits.astype(bool).reshape(3, side, side)
        except (ValueError, struct.error, zlib.error) as error:
            raise ImageError(f"the data for finishing inside the picture is damaged ({error})") from error
        return cls(
            painted=painted,
            solid=solid,
            background=background,
            whole=every,
            clear=clear,
            confidence=confidence,
            drift=drift,
        )


def _groups(data: bytes, side: int) -> tuple[Groups, bytes]:
    """The groups at the beginning of the data, and the rest of it. Raises ValueError."""
    count, cells = int.from_bytes(data[:2], "big"), side * side
    kind = np.dtype(">u2" if count > 256 else np.uint8)
    end = 2 + 3 * count
    colors = np.frombuffer(data, np.uint8, 3 * count, 2).reshape(-1, 3)
    index = np.frombuffer(data, kind, cells, end).astype(np.intp).reshape(side, side)
    if index.max() >= count:
        raise ValueError("a cell has no color")
    return Groups(index=index, colors=colors), data[end + cells * kind.itemsize :]


@dataclass(frozen=True, eq=False, kw_only=True)
class PixelArt:
    """Pixel art: one color a cell.

    cells: uint8 (grid, grid, 3), or 4 with alpha 0 or 255. background: bool (grid, grid), all False without one.
    confidence, drift: see Cells.
    """

    cells: Bytes
    background: Bools
    confidence: float = 1.0
    drift: float = 0.0

    @property
    def has_grid(self) -> bool:
        """Whether the picture was pixel art."""
        return self.confidence >= SURE

    @cached_property
    def palette(self) -> Bytes:
        """uint8 (K, 3), the opaque colors, most used first."""
        return palette_of(self.cells)

    @property
    def hexes(self) -> list[str]:
        """The palette as `#rrggbb`."""
        return [hex_of((r, g, b)) for r, g, b in self.palette.tolist()]

    @property
    def digest(self) -> str:
        """The same for the same cells, and for no others."""
        return hashlib.sha256(np.ascontiguousarray(self.cells).tobytes()).hexdigest()[:32]

    def enlarge(self, size: int) -> Image.Image:
        """Nearest neighbor with borders at round(i * size / grid), RGB or RGBA. `size` is the grid, or 24, to 4096."""
        rows, counts = self.rows(size)
        return Image.fromarray(rows.repeat(counts, axis=0))

    def rows(self, size: int) -> tuple[Bytes, Ints]:
        """What `enlarge` repeats: rows of pixels, uint8 (grid, size, 3 or 4), and how often each one is repeated."""
        low, high = max(SIZES[0], len(self.cells)), SIZES[1]
        if not low <= size <= high:
            raise RecipeError("output_size", size, f"use a whole number from {low} to {high}")
        counts = np.diff(edges(size, len(self.cells)))
        return self.cells.repeat(counts, axis=1), counts


def palette_of(cells: Bytes) -> Bytes:
    """Distinct opaque colors of cells (..., 3 or 4), most used first, ties in RGB order. -> uint8 (K, 3)."""
    flat = cells.reshape(-1, cells.shape[-1])
    if flat.shape[1] == 4:
        flat = flat[flat[:, 3] > 0]
    codes, counts = np.unique(flat[:, :3].astype(np.uint32) @ _CODE, return_counts=True)
    return codes[np.argsort(-counts, kind="stable")].astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]


def as_array(palette: Palette) -> Bytes:
    """A palette as uint8 (K, 3)."""
    return np.array(palette.colors, np.uint8)
