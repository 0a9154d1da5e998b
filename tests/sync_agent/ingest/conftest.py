"""Fixtures of ingest: a centre on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from sync_agent.registry.database import Database
from tests.sync_agent.ingest.centre import Centre


@pytest.fixture
def centre(database: Database) -> Centre:
    """A centre with one device, on SQLite and on PostgreSQL."""
    return Centre(database)


@pytest.fixture
def small_centre(sqlite_database: Database) -> Centre:
    """The same on SQLite alone: for what does not depend on the database."""
    return Centre(sqlite_database)
