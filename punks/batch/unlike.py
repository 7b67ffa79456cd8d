"""Punks that are too near to others: to those of another collection, or to originals."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from punks.batch.manifest import NAME as MANIFEST
from punks.batch.manifest import Entry, entries
from punks.errors import BatchError, PunkError
from punks.files.pictures import find_pictures, open_picture
from punks.generate import open_punk

NEAR = 24  # cells, one row of the art, in which punks that are alike may differ
_SAME = 8  # levels by which a color of the same cell may differ
log = logging.getLogger(__name__)


class Others:
    """Art that punks must not resemble: they are alike where at most `near` of the 576 cells differ."""

    def __init__(self, art: Iterable[tuple[str, NDArray[np.uint8]]], near: int = NEAR) -> None:
        self._names, cells = zip(*art, strict=True)
        self._cells, self._near = np.stack(cells), near
        self._known: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._names)

    def like(self, folder: Path, entry: Entry) -> str:
        """What a painted punk is like, in words; empty if it is like none. Raises ImageError."""
        if entry["cells"] not in self._known:
            own = plain(np.asarray(open_picture(folder / entry["files"]["pixels"])))
            apart = (np.maximum(self._cells, own) - np.minimum(self._cells, own) > _SAME).any(-1).sum((1, 2))
            at = int(apart.argmin())
            cells = f"{apart[at]} cells differ" if apart[at] else "no cell differs"
            said = f"like {self._names[at]} ({cells})" if apart[at] <= self._near else ""
            self._known[entry["cells"]] = said
        return self._known[entry["cells"]]


def read_others(folders: Iterable[Path], near: int = NEAR) -> Others:
    """The punks of batches, and the pictures of other folders, restored to their cells.

    A picture that cannot be read is said and left out. Raises BatchError where a folder has none, ImageError.
    """
    found: list[tuple[str, NDArray[np.uint8]]] = []
    for folder in folders:
        before = len(found)
        found += _punks(folder) if (folder / MANIFEST).exists() else _pictures(folder)
        if len(found) == before:
            raise BatchError(f"{folder}: no picture in it can be compared; correct --unlike")
    return Others(found, near)


def plain(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cells (24, 24, 3 or 4) -> RGBA (24, 24, 4); transparent ones are all the same."""
    alpha = cells[..., 3:] if cells.shape[2] == 4 else np.full((*cells.shape[:2], 1), 255, np.uint8)
    return np.where(alpha > 0, np.concatenate([cells[..., :3], alpha], 2), 0).astype(np.uint8)


def _punks(folder: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for entry in entries(folder):
        if entry["status"] == "done":
            path = folder / entry["files"]["pixels"]
            yield str(path), plain(np.asarray(open_picture(path)))


def _pictures(folder: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    for path in find_pictures([str(folder)]):
        try:
            art = open_punk(path).art
        except PunkError as error:
            log.warning("%s; it is not compared", error)
            continue
        if not art.has_grid:
            log.warning("%s: no 24x24 grid found; its nearest 24x24 is compared", path)
        yield str(path), plain(art.cells)
