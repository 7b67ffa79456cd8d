"""The pictures of the service, on their way into a store."""

import atexit
import os
import secrets
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from punks.files.checksums import sha256
from punks.generate import Punk
from punks.recipe import Recipe
from punks.store.database import Row, make_url
from punks.store.keeper import Keeper
from punks.store.rows import Own, picture, put_pictures

MOST = 10_000  # pictures that wait in memory for a database that is away
_CHUNK = 500
_GRACE = 5  # seconds at the end


class Predictions:
    """Takes punks without making anybody wait; a thread of its own puts them into the store."""

    def __init__(self, url: str) -> None:
        self._waiting = deque[tuple[Recipe, Row]]()
        self._known = set[Own]()
        self._lost = 0
        self._keeper = Keeper(make_url(url), self._put, _say, f"up to {MOST} pictures wait in memory until it is back")
        atexit.register(self.close)

    def close(self) -> bool:
        """Puts what is left. -> whether all is in the store; False too where that takes longer than _GRACE."""
        return self._keeper.close(_GRACE)

    def add(self, punks: Sequence[Punk], images: Sequence[Path], pixels: Sequence[Path]) -> None:
        """Takes the punks of a prediction, with the files of its answer."""
        for punk, image, small in zip(punks, images, pixels, strict=True):
            if punk.recipe is None:
                continue
            row = picture(
                punk.recipe,
                punk.finish,
                key=secrets.token_hex(32),
                folder=None,
                name=image.stem,
                address=image.name,
                cells=punk.art.digest,
                image_sha256=sha256(image),
                pixels_sha256=sha256(small),
                palette=punk.art.hexes,
                confidence=round(punk.art.confidence, 4),
                stages={stage: round(taken, 4) for stage, taken in punk.painting.seconds.items()},
                warnings="; ".join(punk.warnings),
            )
            if len(self._waiting) < MOST:
                self._waiting.append((punk.recipe, row))
            else:
                self._lost += 1
        self._keeper.wake()

    def _put(self, engine: Engine) -> list[str]:
        while count := min(_CHUNK, len(self._waiting)):
            rows = [self._waiting[at] for at in range(count)]
            try:
                with engine.begin() as connection:
                    put_pictures(connection, rows, self._known)
            except SQLAlchemyError:
                self._known.clear()
                raise
            for _ in rows:
                self._waiting.popleft()
        lost, self._lost = self._lost, 0
        return [f"the store was away for so long that it misses {lost} pictures"] if lost else []


def _say(line: str) -> None:
    os.write(2, f"{line}\n".encode())  # sys.stdout and sys.stderr are the prediction's own log, which its caller reads
