from __future__ import annotations

import threading
from datetime import datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, StatementError

from sync_agent.registry.database import Database, insert_absent
from sync_agent.registry.tables import Device, Site
from tests.sync_agent.world import NOW


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as session:
        session.add(Site(id="a", name="a", created_at=NOW))
        session.flush()
        raise ZeroDivisionError
    with database.read() as session:
        assert session.get(Site, "a") is None


def test_a_time_comes_back_as_it_went_in(database: Database) -> None:
    with database.write() as session:
        session.add(Site(id="a", name="a", created_at=NOW))
    with database.read() as session:
        assert session.get_one(Site, "a").created_at == NOW
        assert session.get_one(Site, "a").created_at.tzinfo is not None


def test_a_time_without_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match="without zone"), database.write() as session:
        session.add(Site(id="a", name="a", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - that is the point


def test_a_device_of_no_site_cannot_be(database: Database) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Device(id="d", site_id="nowhere", serial="", enrolled_at=NOW))


def test_a_row_is_inserted_once(database: Database) -> None:
    values = {"id": "a", "name": "first", "created_at": NOW}
    with database.write() as session:
        assert insert_absent(session, Site, values)
        assert not insert_absent(session, Site, values | {"name": "second"})
    with database.read() as session:
        assert session.get_one(Site, "a").name == "first"


def test_a_reader_is_not_held_up_by_a_writer(database: Database) -> None:
    with database.write() as writing:
        writing.add(Site(id="a", name="a", created_at=NOW))
        writing.flush()
        with database.read() as reading:
            assert reading.scalars(select(Site)).all() == []


def test_two_writers_do_not_lose_a_change(database: Database) -> None:
    with database.write() as session:
        session.add(Site(id="a", name="0", created_at=NOW))

    def count() -> None:
        for _ in range(10):
            with database.write() as session:
                site = session.scalars(select(Site).where(Site.id == "a").with_for_update()).one()
                site.name = str(int(site.name) + 1)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.read() as session:
        assert session.get_one(Site, "a").name == "30"


def test_sqlite_survives_a_power_cut(sqlite_database: Database) -> None:
    with sqlite_database.read() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 2
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
