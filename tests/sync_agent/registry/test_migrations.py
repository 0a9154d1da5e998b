from __future__ import annotations

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text

from sync_agent.contract.receipts import Standing
from sync_agent.contract.topics import DeviceId, shard
from sync_agent.registry.database import WRITES, Database
from sync_agent.registry.migrations import NewerDatabase, configuration, current, migrate
from sync_agent.registry.tables import AttendanceRow, Base, DeviceSeen, RecordRow


def differences(database: Database) -> list[object]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def test_a_migrated_database_is_what_the_tables_say(database: Database) -> None:
    assert differences(database) == []


def test_a_table_that_lacks_a_column_is_noticed(database: Database) -> None:
    with database.write() as session:
        session.execute(text("ALTER TABLE device DROP COLUMN serial"))
    assert differences(database) != []


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.engine.connect() as connection:
        before = current(connection)
    migrate(database.engine)
    with database.engine.connect() as connection:
        assert current(connection) == before is not None


def test_a_database_of_a_newer_program_is_left_alone(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match="9999"):
        migrate(database.engine)


def test_what_the_first_release_held_is_still_there_after_the_second_step(empty_database: Database) -> None:
    """Records keep their standing and learn their shard; gaps learn since when they are known, chains what they go on from."""
    engine = empty_database.engine.execution_options(**{WRITES: True})
    with engine.begin() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in FIRST_RELEASE:
            connection.execute(text(statement))
    migrate(empty_database.engine)
    with empty_database.read() as session:
        record = session.scalars(select(RecordRow)).one()
        assert (record.standing, record.shard, record.tries) == (Standing.ACCEPTED, shard(DeviceId("kiosk-1")), 0)
        assert session.scalars(select(AttendanceRow.record_id)).one() == record.id
        seen = session.scalars(select(DeviceSeen)).one()
        assert seen.gaps == [{"first": 2, "last": 4, "since": "2026-03-02T04:00:00+00:00"}]
        assert (seen.last_digest, seen.last_boot, seen.last_time) == (record.digest, record.boot, record.time)
        record.standing = None
        session.flush()
    assert differences(empty_database) == []


FIRST_RELEASE = (
    "INSERT INTO site VALUES ('site-7', 'site-7', '2026-03-02 04:00:00.000000')",
    "INSERT INTO device (id, site_id, serial, enrolled_at) VALUES ('kiosk-1', 'site-7', '0', '2026-03-02 04:00:00.000000')",
    "INSERT INTO device_key (kid, device_id, public_key, valid_from) VALUES ('k', 'kiosk-1', '{}', '2026-03-02 04:00:00.000000')",
    "INSERT INTO person (id, number_index, number, name, created_at) VALUES (1, 'i', 'x', 'x', '2026-03-02 04:00:00.000000')",
    "INSERT INTO device_seen VALUES ('kiosk-1', '00000000000000aa', 5, '[[2, 4]]', '2026-03-02 04:00:00.000000')",
    "INSERT INTO record (id, device_id, epoch, seq, digest, prev, boot, kind, time, received_at, kid, message, standing) VALUES"
    " ('r', 'kiosk-1', '00000000000000aa', 5, 'd', 'p', 1, 'attendance', '2026-03-02 04:00:00.000000',"
    " '2026-03-02 04:00:00.000000', 'k', 'm', 'accepted')",
    "INSERT INTO attendance VALUES ('r', 'site-7', 1, '2026-03-02 04:00:00.000000', 'enter', 'face')",
)
