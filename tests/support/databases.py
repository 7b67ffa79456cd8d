"""A real PostgreSQL server in a temporary folder, and databases for tests: the same tests run on it and on SQLite."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select

from punks.service.server import free_port
from punks.store.database import connect, make_url
from punks.store.tables import METADATA

PASSWORD = "s3cret @/%"  # as hard to write in an address as one can be
QUOTED = "s3cret%20%40%2F%25"


def _binaries() -> Path | None:
    """Where PostgreSQL's programs are: on PATH, or where pg_config or Debian's package puts them."""
    places = [Path(found).resolve().parent] if (found := shutil.which("pg_ctl")) else []
    if config := shutil.which("pg_config"):
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        places.append(Path(asked.stdout.strip()))
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if {"initdb", "pg_ctl"} <= {p.name for p in place.glob("*")}), None)


class Postgres:
    """A server that tests start and stop; root runs it as somebody else, since it refuses root."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder, self._binaries, self.port = folder, binaries, free_port()
        self._up = False
        self._as = {}
        if os.geteuid() == 0:
            names = {user.pw_name for user in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        (secret := folder / "password").write_text(PASSWORD)
        secret.chmod(0o644)
        self._call("initdb", "-U", "owner", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://owner:{QUOTED}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        if not self._up:
            self._call("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", options, "start")
        self._up = True

    def stop(self) -> None:
        """At once, as in a crash; connections break."""
        if self._up:
            self._call("pg_ctl", "-w", "-m", "immediate", "stop")
        self._up = False

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="owner", dbname="postgres", password=PASSWORD, autocommit=True
        )

    def _call(self, program: str, *options: str) -> None:
        command = [self._binaries / program, "-D", self._folder / "data", *options]
        with (self._folder / "calls").open("ab") as log:  # no pipe: the server would keep it open
            done = subprocess.run(command, cwd=self._folder, stdout=log, stderr=log, check=False, **self._as)
        assert done.returncode == 0, (self._folder / "calls").read_text()


@contextmanager
def running() -> Generator[Postgres]:
    """A server with an empty database, ended and removed on leaving; skips the test where there is no PostgreSQL."""
    binaries = _binaries()
    if binaries is None:
        if "GITHUB_ACTIONS" in os.environ:  # where script/postgres can install it
            raise AssertionError("PostgreSQL is missing; script/postgres installs it")
        pytest.skip("no PostgreSQL here; script/postgres installs it")
    with tempfile.TemporaryDirectory(prefix="punks-postgres-") as folder:
        server = Postgres(Path(folder), binaries)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests, each of which empties its database."""
    with running() as server:
        yield server


class Sqlite:
    """A file that can be away, with a folder in its place."""

    def __init__(self, path: Path) -> None:
        self._path, self.url = path, f"sqlite:///{path}"

    def start(self) -> None:
        self._path.rmdir()
        self._path.with_suffix(".away").rename(self._path)

    def stop(self) -> None:
        self._path.rename(self._path.with_suffix(".away"))
        self._path.mkdir()


@dataclass
class Store:
    """An empty database, by its address, and its server."""

    server: Postgres | Sqlite

    @property
    def url(self) -> str:
        return self.server.url

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table in the order of its primary key, when each was stored aside."""
        engine = connect(make_url(self.url))
        try:
            with engine.connect() as connection:
                found = connection.execute(select(one := METADATA.tables[f"punks.{table}"]).order_by(*one.primary_key))
                return [dict(row) for row in found.mappings()]
        finally:
            engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty database, of each kind."""
    if request.param == "sqlite":
        return Store(Sqlite(tmp_path / "punks.db"))
    server: Postgres = request.getfixturevalue("postgres")
    server.start()  # a test that failed may have left it stopped
    with server.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS punks CASCADE")
    return Store(server)
