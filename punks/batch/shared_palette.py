"""One palette over a whole batch: found when everything is painted, then every punk is finished with it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from PIL import Image

from punks.batch.folder import WRITERS, Folder, as_painted
from punks.batch.jobs import Job
from punks.batch.manifest import Entry
from punks.batch.places.worker import Outcome, batches
from punks.finish import Finish
from punks.palette import Palette, difference, hex_of
from punks.snap import PixelArt, shared_palette
from punks.snap.portrait import read
from punks.snap.portrait.face import SURE
from punks.vocabulary import Color


def share_palette(at: Folder, jobs: Iterable[Job], colors: int) -> None:
    """Finishes all punks that are done with the same palette of at most so many colors.

    What each was painted as stays in its file, so the palette is found anew whenever a punk is added or changed.
    """
    counts: Counter[Color] = Counter()

    def own(one: tuple[Job, Entry]) -> PixelArt:
        job, entry = one
        return at.punk(entry).painting.finish(job.finish).art

    for batch in batches(_done(at, jobs), 64):
        with ThreadPoolExecutor(WRITERS) as pool:
            for art in pool.map(own, batch):
                opaque = art.cells[art.cells[..., 3] > 0] if art.cells.shape[2] == 4 else art.cells.reshape(-1, 3)
                counts.update((r, g, b) for r, g, b in opaque[:, :3].tolist())
    if not counts:
        return
    palette = shared_palette(counts, colors)

    def put(one: tuple[Job, Entry]) -> None:
        job, entry = one
        changes = _changes(job.finish, palette)
        if entry.get("kept") or all(entry["recipe"].get(name) == value for name, value in changes.items()):
            return
        before = at.punk(entry).painting
        mine, punk = before.finish(job.finish).art, before.finish(replace(job.finish, **changes))
        if lost := _lost(mine, punk.art):
            punk = replace(punk, warnings=(*punk.warnings, lost))
        asked = {**job.asked, **{name: _plain(getattr(job.finish, name)) for name in changes}}
        at.keep(Outcome(job=replace(job, finish=punk.finish, asked=asked), punk=punk), entry, mine)

    for batch in batches(_done(at, jobs), 64):
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(put, batch))


def twins(at: Folder, jobs: Iterable[Job]) -> Iterator[tuple[Job, str]]:
    """The jobs whose finished punk equals one before it, with the name of that one."""
    seen: dict[bytes, str] = {}
    for job, entry in _done(at, jobs):
        with Image.open(at.path / entry["files"]["pixels"], formats=["PNG"]) as picture:
            first = seen.setdefault(hashlib.sha256(np.asarray(picture).tobytes()).digest(), job.name)
        if first != job.name:
            yield job, first


def _done(at: Folder, jobs: Iterable[Job]) -> Iterator[tuple[Job, Entry]]:
    """The jobs that are done, as they were painted: with the seed that --unique gave them."""
    for job in jobs:
        entry = at.manifest.last(job.name)
        if entry is None or entry["status"] != "done" or job.recipe is None:
            continue
        yield as_painted(job, entry), entry


def _changes(own: Finish, palette: Palette) -> dict[str, str]:
    """The fields of a finish that give it these colors."""
    changes = {"palette": str(palette)}
    if (color := own.background_rgb) is not None:
        changes["background"] = hex_of(min(palette.colors, key=lambda one: difference(one, color)))
    return changes


def _plain(value: Palette | str | None) -> str | None:
    return str(value) if isinstance(value, Palette) else value


def _lost(before: PixelArt, after: PixelArt) -> str:
    """What can be read of a punk that few colors have changed."""
    was, now = read(before), read(after)
    eyes = was.eyes is not None and was.eyes.confidence >= SURE and was.eyes.name != (now.eyes and now.eyes.name)
    hair = was.hair is not None and was.hair.name != (now.hair and now.hair.name)
    what = " and ".join(["eyes"] * eyes + ["hair"] * hair)
    return f"shared palette: {what} changed color; allow more colors" if what else ""
