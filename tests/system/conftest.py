"""Fixtures of tests that let both sides talk over a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.centre import Centre, opened


@pytest.fixture
def centre(state_dir: Path, request: pytest.FixtureRequest) -> Iterator[Centre]:
    """The central side with one enrolled device: on SQLite, or by one parameter on PostgreSQL where a test asks for it."""
    on_postgres = getattr(request, "param", "sqlite") == "postgresql"
    with opened(state_dir, request.getfixturevalue("postgres_url") if on_postgres else None) as running:
        yield running
