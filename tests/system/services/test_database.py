"""The PostgreSQL beside ours: made in its folder, on loopback, gone without a trace."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from system.services.database import Postgres
from system.services.process import ServiceFailed, is_listening

pytestmark = pytest.mark.postgres


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def test_a_new_database_is_empty_and_replaces_one_of_the_same_name(postgres: Postgres) -> None:
    with connect(postgres.new_database("twice")) as connection:
        connection.execute("CREATE TABLE visits (id int)")
    with connect(postgres.new_database("twice")) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'visits'").fetchone()
    assert found == (0,)


def test_nobody_comes_in_without_the_password(postgres: Postgres) -> None:
    with connect(postgres.url()):
        pass
    with pytest.raises(psycopg.OperationalError, match="password"):
        connect(f"postgresql://renzheng:guess@127.0.0.1:{postgres.port}/postgres")


def test_what_was_committed_outlives_a_crash_and_the_program_that_started_it(state_dir: Path) -> None:
    with Postgres(state_dir / "postgres") as first:
        url = first.new_database("kept")
        with connect(url) as connection:
            connection.execute("CREATE TABLE visits (id int)")
            connection.execute("INSERT INTO visits VALUES (1)")
        first.kill()
        assert not is_listening(first.port)
        first.start()
        with connect(url) as connection:
            assert connection.execute("SELECT id FROM visits").fetchall() == [(1,)]
    assert not is_listening(first.port)
    with Postgres(state_dir / "postgres") as second, connect(second.url("kept")) as connection:
        assert connection.execute("SELECT id FROM visits").fetchall() == [(1,)]


def test_everything_it_writes_is_in_its_folder_and_readable_for_its_user_only(state_dir: Path) -> None:
    with Postgres(state_dir / "postgres", is_durable=False):
        assert {path.name for path in (state_dir / "postgres").iterdir()} == {"data", "password", "postgres.log"}
        assert (state_dir / "postgres" / "password").stat().st_mode & 0o077 == 0
        assert (state_dir / "postgres" / "data").stat().st_mode & 0o077 == 0


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_a_folder_that_its_user_cannot_reach_is_a_failure_that_says_so(state_dir: Path) -> None:
    (state_dir / "closed").mkdir(mode=0o700)
    with pytest.raises(ServiceFailed, match="User 'postgres' must be able to reach that folder"):
        Postgres(state_dir / "closed" / "postgres").start()
