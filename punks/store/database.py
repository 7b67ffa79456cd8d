"""A database: its address, its tables in this version, and rows that are there once however often they are put."""

import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, delete, event, func, insert, inspect, select
from sqlalchemy import make_url as parse
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from punks.errors import RecipeError, StoreError
from punks.store.tables import METADATA, SCHEMA, VERSIONS

Row = dict[str, Any]
# What turns the tables of version n into those of n + 1, at n - 1, on every connection's first use. Alembic would bring
# scripts, an environment and a second table for what is one number here: a store is only ever taken forward, by itself.
STEPS: list[Callable[[Connection], object]] = []
_WAY = "use a file, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME, with %40 for an @ in the password"
_LOCK = 24_24  # any number: runs that start at once make the tables one after the other
# a server that is away is noticed in seconds; poolers such as Supabase's mix up prepared statements
_POSTGRES = {"connect_timeout": 5, "tcp_user_timeout": 10_000, "prepare_threshold": None}
_UPSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def make_url(given: str) -> URL:
    """The address of a database, or of an SQLite file. Raises RecipeError, which does not show it, StoreError."""
    if "://" not in given:
        return URL.create("sqlite", database=str(Path(given).expanduser()))
    try:
        url = parse(re.sub("^postgres(ql)?://", "postgresql+psycopg://", given))
    except (ArgumentError, ValueError):
        url = URL.create("unknown")
    # an @ in the host or the database belongs to a password, which would be shown
    whole = re.fullmatch(r"[\w.:-]*", url.host or "") and url.database and "@" not in url.database
    if not whole or url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise RecipeError("store", f"{given.partition(':')[0]}://...", _WAY)
    if url.drivername != "sqlite" and find_spec("psycopg") is None:
        raise StoreError("PostgreSQL needs psycopg; pip install 'punks[store]'")
    return url


def shown(url: URL) -> str:
    """An address without what may be a secret: user, password and query."""
    if url.drivername == "sqlite":
        return url.database or ""
    return f"postgresql://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database}"


def reason(error: Exception) -> str:
    """Why the database failed, in one line, without the query."""
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return said.splitlines()[0] if said else type(error).__name__


def connect(url: URL) -> Engine:
    """A database with the tables of this version. Raises SQLAlchemyError where it is away, StoreError."""
    if url.drivername == "sqlite":
        options: dict[str, Any] = {"connect_args": {"timeout": 30}, "poolclass": NullPool}
        options["execution_options"] = {"schema_translate_map": {SCHEMA: None}}
    else:
        options = {"connect_args": _POSTGRES, "pool_pre_ping": True}
    engine = create_engine(url, hide_parameters=True, **options)
    if url.drivername == "sqlite":
        event.listen(engine, "connect", _with_foreign_keys)
    try:
        with engine.begin() as connection:
            _upgrade(connection, shown(url))
    except (SQLAlchemyError, StoreError):
        engine.dispose()
        raise
    return engine


def put(connection: Connection, table: Table, rows: Sequence[Row], *, keep: bool = False) -> None:
    """Adds rows, all with the same columns; one whose primary key is there gets these columns, unless `keep`."""
    if not rows:
        return
    statement = _UPSERT[connection.dialect.name](table)
    keys = [column.name for column in table.primary_key]
    if change := {name: statement.excluded[name] for name in rows[0] if name not in keys and not keep}:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=change)
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement, rows)


def _upgrade(connection: Connection, name: str) -> None:
    """Makes the tables, or takes those of an earlier version forward."""
    newest = len(STEPS) + 1
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        if not inspect(connection).has_schema(SCHEMA):
            connection.execute(CreateSchema(SCHEMA))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # or each statement would be a transaction of its own
    VERSIONS.create(connection, checkfirst=True)
    version = connection.scalar(select(VERSIONS.c.version))
    if version == newest:
        return
    if version is None:
        METADATA.create_all(connection)
    elif version > newest:
        raise StoreError(f"{name}: a later version of punks made it; update punks")
    else:
        for step in STEPS[version - 1 :]:
            step(connection)
    connection.execute(delete(VERSIONS))
    connection.execute(insert(VERSIONS).values(version=newest))


def _with_foreign_keys(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
