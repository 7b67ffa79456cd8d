"""A thread that keeps a store up to date, so that nobody waits for a database, least of all for one that is away."""

import threading
from collections.abc import Callable

from sqlalchemy import URL, Engine
from sqlalchemy.exc import SQLAlchemyError

from punks.errors import StoreError
from punks.store.database import connect, reason, shown

PACE = 1.0  # seconds between two looks
LONGEST = 30.0  # while the database is away
PATIENCE = 60.0  # for what is left at the end
Say = Callable[[str], object]


class Keeper:
    """Calls `work(engine)` now and then, and whenever it is woken; what that returns is said, each line once.

    `later` says what becomes of what a database that is away has not got.
    """

    def __init__(self, url: URL, work: Callable[[Engine], list[str]], say: Say, later: str) -> None:
        self._url, self._work, self._say, self._later = url, work, say, later
        self._engine: Engine | None = None
        self._said = set[str]()
        self._due, self._ending, self._well = threading.Event(), False, False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._due.set()

    def close(self, seconds: float = PATIENCE) -> bool:
        """Tries once more. -> whether all is in the store; False too where that takes longer."""
        self._ending = True
        self._due.set()
        self._thread.join(seconds)
        return not self._thread.is_alive() and self._well

    def _run(self) -> None:
        wait = 0.0
        while True:
            self._due.wait(wait)
            self._due.clear()
            ending = self._ending  # what was done before close() is seen by the work that follows
            self._well = False
            self._well = self._try()
            if ending:
                break
            wait = PACE if self._well else min(LONGEST, 2 * max(wait, PACE))
        if self._engine:
            self._engine.dispose()

    def _try(self) -> bool:
        try:
            if self._engine is None:
                self._engine = connect(self._url)
            for line in self._work(self._engine):
                self._once(line)
        except (SQLAlchemyError, StoreError) as error:
            why = str(error) if isinstance(error, StoreError) else f"{shown(self._url)}: {reason(error)}"
            self._once(f"the store cannot be written ({why}); {self._later}", "away")
            return False
        return True

    def _once(self, line: str, kind: str = "") -> None:
        if (kind or line) not in self._said:
            self._said.add(kind or line)
            self._say(line)
