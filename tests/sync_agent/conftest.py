"""Fixtures of the sync agent: an up-to-date registry on each database it must work with, and a world to fill it from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import Vault
from tests.sync_agent.world import World

DATA_KEY = bytes(range(32))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, state_dir: Path) -> str:
    """The address of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{state_dir / 'registry.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def empty_database(database_url: str) -> Iterator[Database]:
    """A database without tables."""
    database = Database(database_url, Vault(DATA_KEY))
    yield database
    database.close()


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A registry without rows, on SQLite and on PostgreSQL."""
    migrate(empty_database.engine)
    return empty_database


@pytest.fixture
def sqlite_database(state_dir: Path) -> Iterator[Database]:
    """A registry without rows, on SQLite alone: for what does not depend on the database."""
    database = Database(f"sqlite:///{state_dir / 'registry.db'}", Vault(DATA_KEY))
    migrate(database.engine)
    yield database
    database.close()


@pytest.fixture
def world(database: Database) -> World:
    """A site with a device, and nobody on the roster."""
    return World(database)
