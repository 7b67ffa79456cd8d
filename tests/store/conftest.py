"""The databases of all tests here: one PostgreSQL server, which starts with the first that wants it."""

from tests.support.databases import postgres, store  # noqa: F401 - fixtures
