"""Brings a registry's database up to date, step by step (Alembic). The steps are part of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from sync_agent.registry.database import WRITES

log = structlog.get_logger(__name__)

_ONE_AT_A_TIME: Final = 0x72656E7A
"""Key of the PostgreSQL lock: of several sync agents that start together one migrates and the others wait."""


class NewerDatabase(Exception):
    """The database was made by a newer sync agent. Code REG-03: upgrade this one; nothing was touched."""

    code = "REG-03"


def migrate(engine: Engine) -> None:
    """Bring the database to the newest step; does nothing where it is there already.

    Raises:
        NewerDatabase: it is at a step this program does not know.
    """
    config = configuration()
    script = ScriptDirectory.from_config(config)
    newest = script.get_current_head()
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_AT_A_TIME})
        found = current(connection)
        if found == newest:
            return
        if found is not None and found not in {step.revision for step in script.walk_revisions()}:
            raise NewerDatabase(
                f"the registry is at step {found!r}, which this sync agent does not know. Upgrade the sync agent."
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    log.info("registry.migrated", before=found, now=newest)


def current(connection: Connection) -> str | None:
    """Return the step a database is at, None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def configuration() -> Config:
    """Return the configuration of Alembic; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
