from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from sync_agent.registry.database import Database
from sync_agent.registry.migrations import NewerDatabase, current, migrate
from sync_agent.registry.tables import Base


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
