"""Versions of the outbox's file. Each step only adds, so that the release before still opens, reads, writes and sends.

After an update that does not prove itself the kiosk goes back to the release before, with the file that the newer one used
(reference: A/B updates). What a step adds may therefore be missing from rows that the older release wrote. A step that takes
something away comes at least one release after the last use of it, and says with `_SERVES` who may still open the file.

``PRAGMA user_version`` holds ``oldest version that may open it * 1000 + version``; 0 is version 1, before there were numbers.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from kiosk.uplink.faults import OutboxNewer
from kiosk.uplink.store import Base

VERSION: Final = 2
_SERVES: Final = 1
_STAMP: Final = _SERVES * 1000 + VERSION

_STEPS: Final[dict[int, tuple[str, ...]]] = {
    2: ("ALTER TABLE record ADD COLUMN ruled_at VARCHAR(32)",),
}
"""Statements that lead from the version before to each version, beside the new tables."""


def check(path: Path) -> None:
    """Look at a file without touching it.

    Raises:
        OutboxNewer: a later release made it that this one must not serve.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        stamp = _stamp_of(path, "ro")
    except sqlite3.OperationalError as err:
        if err.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
        stamp = _stamp_of(path, "rw")  # a power cut left a journal: SQLite has to roll it back before anybody can read
    serves, version = _read(stamp)
    if serves > VERSION:
        raise OutboxNewer(
            f"the outbox {path.name!r} has version {version} and may be opened from version {serves} on; this release knows "
            f"{VERSION}. Nothing was touched. Install the release that made it."
        )


def bring_up(connection: Connection) -> None:
    """Make the tables, or add what an older release's lack. A newer file that still serves us is left as it is.

    Args:
        connection: in a transaction that writes; all of it or nothing happens.
    """
    has_tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema WHERE name = 'record'").scalar_one()
    _, version = _read(int(connection.exec_driver_sql("PRAGMA user_version").scalar_one()))
    if has_tables and version >= VERSION:
        return
    if has_tables:
        for number in range(version + 1, VERSION + 1):
            for statement in _STEPS[number]:
                connection.exec_driver_sql(statement)
    Base.metadata.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {_STAMP}")


def _stamp_of(path: Path, mode: str) -> int:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def _read(stamp: int) -> tuple[int, int]:
    """Return the oldest version that may open the file, and the file's own."""
    serves, version = divmod(stamp, 1000)
    return (serves, version) if stamp else (1, 1)
