"""Fixtures of real programs: a broker with its authority, a database server. Skipped where Debian's package is missing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from system.services.broker import Mosquitto
from system.services.database import Postgres
from system.services.process import HOST
from tests.certificates import Authority
from tests.observer import Observed

_databases = count()


@pytest.fixture(scope="session")
def authority(session_dir: Path) -> Authority:
    """The authority that the broker of these tests lets in."""
    return Authority(session_dir / "authority")


@pytest.fixture
def broker(state_dir: Path, authority: Authority) -> Iterator[Mosquitto]:
    """A running Mosquitto that knows `authority`, and the observer."""
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    own = authority.issue("broker", address=HOST)
    with Observed(
        state_dir / "mosquitto", ca=authority.ca, certificate=own.certificate, key=own.key, revoked=authority.revoked
    ) as running:
        yield running


@pytest.fixture(scope="session")
def postgres(session_dir: Path) -> Iterator[Postgres]:
    """A running PostgreSQL, one for all tests."""
    if not Path("/usr/lib/postgresql").exists():
        pytest.skip("needs Debian's postgresql")
    with Postgres(session_dir / "postgres", is_durable=False) as running:
        yield running


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """The address of an empty database."""
    return postgres.new_database(f"test_{next(_databases)}")
