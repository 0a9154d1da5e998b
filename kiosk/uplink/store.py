"""How the outbox lies on the disk: its tables, and the way its SQLite file is opened. Their versions: versions.py."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, Engine, Index, String, TypeDecorator, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry


class Utc(TypeDecorator[datetime]):
    """A zone-aware time, kept as UTC (SQLite has no zones)."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Store as ISO 8601 in UTC, so that text order is time order."""
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Read back zone-aware."""
        return None if value is None else datetime.fromisoformat(value)


class Base(DeclarativeBase):
    """Tables of the outbox."""


class Meta(Base):
    """One row: what identifies this database."""

    __tablename__ = "meta"

    one: Mapped[int] = mapped_column(primary_key=True)
    epoch: Mapped[str]
    boot: Mapped[int]


class State(StrEnum):
    """Where a record is on its way."""

    WAITING = "waiting"
    RECEIVED = "received"
    ANSWERED = "answered"
    REJECTED = "rejected"


class Kept:
    """A signed record and what became of it.

    Attributes:
        ruled_at: when the centre said the ruling in force, by the centre's clock; unknown for one that release 1 took in.
    """

    id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    at: Mapped[datetime] = mapped_column(Utc)
    digest: Mapped[str]
    message: Mapped[bytes]
    message_sha256: Mapped[str]
    state: Mapped[str] = mapped_column(default=State.WAITING)
    received_at: Mapped[datetime | None] = mapped_column(Utc)
    standing: Mapped[str | None]
    code: Mapped[str | None]
    effective_from: Mapped[datetime | None] = mapped_column(Utc)
    case: Mapped[str | None]
    fault: Mapped[str | None]
    ruled_at: Mapped[datetime | None] = mapped_column(Utc)


class Row(Kept, Base):
    """A record of the epoch in force."""

    __tablename__ = "record"
    __table_args__ = (Index("unsettled", "state", "seq"),)

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Former(Kept, Base):
    """A record of an epoch that ended: apart, so that release 1, which knows one epoch, never counts or sends it wrongly."""

    __tablename__ = "former"
    __table_args__ = (Index("former_unsettled", "state"),)

    epoch: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let one process at a time make the database: SQLite does not wait when two switch a new file to WAL at once."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def open_engine(path: Path, *, busy_s: float) -> Engine:
    """Return the way to the outbox's file; a connection with the option `immediate` is one that writes.

    Args:
        path: the file.
        busy_s: how long a write waits for the other process's lock, seconds.
    """
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": busy_s})

    @event.listens_for(engine, "connect")
    def settings(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.isolation_level = None
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            except sqlite3.Error:
                connection.close()  # the pool does not have it yet and would leave it open
                raise

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Two processes write: taking the lock at once avoids a failed upgrade in the middle of a transaction.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("immediate") else "BEGIN")

    return engine
