"""A folder of a batch, a studio or a comparison in a store: what its files say is put there, once."""

import hashlib
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.exc import SQLAlchemyError

from punks.batch.manifest import NAME as MANIFEST
from punks.batch.manifest import Entry, entries_from, warnings
from punks.batch.picks import NAME as PICKED
from punks.batch.picks import Pick, read_picks
from punks.batch.places.worker import batches
from punks.errors import BatchError, RecipeError
from punks.recipe import Recipe
from punks.report.compare.ratings import NAME as RATED
from punks.report.compare.ratings import read_ratings
from punks.request import recorded
from punks.store.database import Row, make_url, put
from punks.store.keeper import Keeper, Say
from punks.store.rows import Own, clean, picture, put_pictures
from punks.store.scores import SCORED, put_scores
from punks.store.tables import PICKS, PICTURES

_CHUNK = 500  # pictures of a transaction


class StoredFolder:
    """How much of a folder is in a store. The database may be away in any call, and the next one makes up for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._name = clean(str(self.folder))
        self._own = PICTURES.c.folder == self._name
        self._forget()

    def sync(self, engine: Engine) -> list[str]:
        """Puts what is new since the last call. -> what cannot be read of it, which is left out.

        Raises SQLAlchemyError where the database is away.
        """
        faults: list[str] = []
        moved = False
        try:
            for names, step in (
                ((MANIFEST,), self._pictures),
                ((PICKED, RATED), self._picks),
                ((SCORED,), self._scores),
            ):
                if moved := self._changed(names) or moved:
                    try:
                        faults += step(engine)
                    except (BatchError, OSError) as error:
                        faults.append(str(error))
        except SQLAlchemyError:
            self._forget()  # all is put again, which changes nothing where it was put already
            raise
        return faults

    def count(self, engine: Engine) -> int:
        """How many pictures of the folder are in the store."""
        with engine.connect() as connection:
            return connection.scalar(select(func.count()).where(self._own)) or 0

    def _forget(self) -> None:
        self._file = self._end = 0
        self._stamps = dict[str, tuple[int, int]]()
        self._runs = set[Own]()

    def _changed(self, names: tuple[str, ...]) -> bool:
        """Whether one of these files is another one than at the last call."""
        found: dict[str, tuple[int, int]] = {}
        for name in names:
            if (path := self.folder / name).is_file():
                stat = path.stat()
                found[name] = stat.st_mtime_ns, stat.st_size
        changed = any(self._stamps.get(name) != stamp for name, stamp in found.items())
        self._stamps |= found
        return changed

    def _pictures(self, engine: Engine) -> list[str]:
        """Stores the new entries of the manifest. -> why some are left out."""
        path, faults = self.folder / MANIFEST, list[str]()
        if not path.is_file():
            return faults
        stat = path.stat()
        if stat.st_ino != self._file or stat.st_size < self._end:  # a run set damaged lines aside
            self._file, self._end = stat.st_ino, 0
        new, end = entries_from(self.folder, self._end)
        with path.open("rb") as file:
            batch = hashlib.sha256(file.readline()).hexdigest()
        for chunk in batches(new, _CHUNK):
            rows: list[tuple[Recipe, Row]] = []
            for entry in chunk:
                if entry["status"] == "done":
                    try:
                        rows.append(_row(self.folder, entry, batch))
                    except RecipeError as error:
                        faults.append(f"{path}: {entry['name']}: {error}")
            named = PICTURES.c.name.in_([entry["name"] for entry in chunk])
            other = PICTURES.c.key.not_in([row["key"] for _, row in rows])
            with engine.begin() as connection:
                connection.execute(delete(PICTURES).where(self._own, named, other))
                put_pictures(connection, rows, self._runs)
        self._end = end
        return faults

    def _picks(self, engine: Engine) -> list[str]:
        """Makes the picks of the folder's pictures those that its files say now."""
        picks, rated = read_picks(self.folder), read_ratings(self.folder / RATED).pictures
        join = select(PICKS).join(PICTURES).where(self._own)
        named = select(PICTURES.c.key, PICTURES.c.name, PICTURES.c.cells).where(self._own)
        with engine.begin() as connection:
            old = {row.picture: Pick(choice=row.choice, rating=row.rating) for row in connection.execute(join)}
            new: dict[str, Pick] = {}
            for row in connection.execute(named) if picks or rated else ():
                pick = picks.get(row.name, Pick(rating=rated.get(row.cells)))
                if pick != Pick():
                    new[row.key] = pick
            for gone in batches(old.keys() - new.keys(), _CHUNK):
                connection.execute(delete(PICKS).where(PICKS.c.picture.in_(gone)))
            changed = {key: pick for key, pick in new.items() if old.get(key) != pick}
            rows = [{"picture": key, "choice": pick.choice, "rating": pick.rating} for key, pick in changed.items()]
            put(connection, PICKS, rows)
        return []

    def _scores(self, engine: Engine) -> list[str]:
        if (self.folder / SCORED).is_file():
            with engine.begin() as connection:
                put_scores(connection, self.folder, self._name)
        return []


@contextmanager
def kept(folder: Path, url: str, say: Say) -> Generator[None]:
    """Keeps what is made in a folder in a store as well. Raises RecipeError where the address is none, StoreError."""
    later = f"{folder} has everything, and the rest is added when the store is back"
    keeper = Keeper(make_url(url), StoredFolder(folder).sync, say, later)
    try:
        yield
    finally:
        if not keeper.close():
            say(f"the store does not have everything; `punks store import {folder}` adds the rest")


def _row(folder: Path, entry: Entry, batch: str) -> tuple[Recipe, Row]:
    """The row of a picture that is done, of a batch by the hash of its first line. Raises RecipeError.

    Its key is that of this picture at this place of this batch, wherever the folder lies: a folder that was moved or
    copied brings no picture twice, and what is painted or finished anew is another picture.
    """
    recipe, finish = recorded(entry["recipe"])
    known: list[Any] = [batch, entry["name"], entry["recipe"], entry["cells"]]
    row = picture(
        recipe,
        finish,
        key=hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest(),
        folder=str(folder),
        name=entry["name"],
        address=str(folder / entry["files"]["image"]),
        cells=entry["cells"],
        image_sha256=entry["sha256"]["image"],
        pixels_sha256=entry["sha256"]["pixels"],
        palette=entry["palette"],
        confidence=entry["confidence"],
        stages=entry.get("seconds", {}),
        warnings=warnings(entry),
    )
    return recipe, row
