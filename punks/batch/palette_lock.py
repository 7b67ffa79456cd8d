"""One palette over a whole batch: found when everything is painted, then put on each punk."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from punks.batch.folder import KINDS, WRITERS, Folder
from punks.batch.manifest import Entry
from punks.batch.places.worker import batches
from punks.recipe import Recipe
from punks.snap import PixelArt, lock_palette
from punks.snap.art import palette_of
from punks.snap.color import nearest
from punks.snap.portrait import read
from punks.snap.portrait.face import SURE

MOST = 1024  # colours that a palette is chosen from: those that lie near each other are one, if there are more


def lock(at: Folder, names: Sequence[str], colors: int) -> None:
    """Gives all punks that are done at most so many colours, the same ones.

    What they were stays beside them, so that the palette is found anew whenever one is added or changed, and a run
    that is cut off goes on from there.
    """
    counts: Counter[tuple[int, int, int]] = Counter()
    for entry in _done(at, names):
        cells = _before(at.path, entry)
        counts.update(map(tuple, cells[_opaque(cells)][:, :3].tolist()))
    if not counts:
        return
    table = batch_palette(counts, colors)
    hexes = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in table.tolist()]

    def put(entry: Entry) -> None:
        before = _before(at.path, entry)
        own = palette_of(before)
        cells = before.copy()
        for old, new in zip(own, table[nearest(own, table)], strict=True):
            cells[..., :3][_opaque(before) & (before[..., :3] == old).all(-1)] = new
        at.lock(entry, _art(cells, entry), _art(before, entry), _fields(entry, table, hexes), _lost(before, cells))

    locked = ",".join(hexes)
    rest = (one for one in _done(at, names) if not ("unlocked" in one["files"] and one["recipe"]["palette"] == locked))
    with ThreadPoolExecutor(WRITERS) as pool:
        for batch in batches(rest, 64):
            list(pool.map(put, batch))


def unlock(at: Folder, names: Iterable[str]) -> None:
    """Gives all punks the colours back that they were painted in."""
    for entry in _done(at, names):
        if "unlocked" in entry["files"]:
            at.unlock(entry, _art(_before(at.path, entry), entry))


def twins(at: Folder, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Punks that are as they lie there equal to one before them, with that one."""
    seen: dict[bytes, str] = {}
    for entry in _done(at, names):
        cells = _cells(at.path / entry["files"]["pixels"])
        first = seen.setdefault(hashlib.sha256(cells.tobytes()).digest(), entry["name"])
        if first != entry["name"]:
            yield entry["name"], first


def batch_palette(counts: Counter[tuple[int, int, int]], colors: int) -> NDArray[np.uint8]:
    """The colours of many cells, by how many have each -> uint8 (K, 3), K <= `colors`, most used first."""
    rows = np.array(sorted(counts), np.uint8)
    sizes = np.array([counts[tuple(row)] for row in rows.tolist()])
    owner, bits = np.arange(len(rows)), 0
    while owner.max() >= MOST:
        bits += 1
        _, owner = np.unique(rows >> bits, axis=0, return_inverse=True)
    # of colours that are one, the most used stands for all
    order = np.argsort(-sizes, kind="stable")
    _, first = np.unique(owner.ravel()[order], return_index=True)
    shades, total = rows[order][first], np.bincount(owner.ravel(), weights=sizes)
    cells = shades.repeat(np.maximum(1, np.rint(total / total.sum() * 1e6)).astype(int), axis=0)
    return lock_palette([_art(cells[None], {"confidence": 1.0})], colors)


def _done(at: Folder, names: Iterable[str]) -> Iterator[Entry]:
    found = (at.manifest.last(name) for name in names)
    return (entry for entry in found if entry is not None and entry["status"] == "done")


def _before(folder: Path, entry: Entry) -> NDArray[np.uint8]:
    path = folder / KINDS["unlocked"] / f"{entry['name']}.png"
    # whoever paints a picture anew removes this one first, so where it is it is the right one
    return _cells(path if path.exists() else folder / entry["files"]["pixels"])


def _cells(path: Path) -> NDArray[np.uint8]:
    with Image.open(path, formats=["PNG"]) as picture:
        return np.asarray(picture)


def _fields(entry: Entry, table: NDArray[np.uint8], hexes: Sequence[str]) -> dict[str, str]:
    """The fields of the recipe that give it these colours when it is painted again."""
    asked = Recipe.from_dict({**entry["recipe"], **entry.get("asked", {})})
    fields = {"palette": ",".join(hexes)}
    if asked.background_rgb is not None and asked.steer == 0:  # a painting that was drawn to a colour stays so
        fields["background"] = hexes[nearest(np.array([asked.background_rgb], np.uint8), table).item()]
    return fields


def _lost(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> str:
    """What can be read of a punk that few colours have changed."""
    was, now = read(before), read(after)
    eyes = was.eyes is not None and was.eyes.confidence >= SURE and was.eyes.name != (now.eyes and now.eyes.name)
    hair = was.hair is not None and was.hair.name != (now.hair and now.hair.name)
    what = " and ".join(["eyes"] * eyes + ["hair"] * hair)
    return f"palette-lock: {what} changed colour; lock more colours" if what else ""


def _opaque(cells: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return cells[..., 3] > 0 if cells.shape[2] == 4 else np.ones(cells.shape[:2], bool)


def _art(cells: NDArray[np.uint8], entry: Entry) -> PixelArt:
    return PixelArt(
        cells=cells,
        palette=palette_of(cells),
        confidence=entry["confidence"],
        drift=0.0,
        has_grid=True,
        background=np.zeros(cells.shape[:2], bool),
    )
