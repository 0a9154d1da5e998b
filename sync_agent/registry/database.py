"""The registry's database: SQLite for one hall, PostgreSQL beyond; one transaction at a time, read or write."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

from sync_agent.registry.protect import Vault

WRITES: Final = "registry_writes"
"""Execution option of connections whose transactions write."""

IDLE_S: Final = 10
"""PostgreSQL ends a transaction in which nothing was asked for so long, seconds."""

_END: Final = text(
    "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
    "WHERE application_name IN :names AND datname = current_database() AND usename = current_user"
).bindparams(bindparam("names", expanding=True))
"""PostgreSQL, section 9.28.2: ends sessions of the same role, which needs no privilege, and waits for up to a second for each."""


class Database:
    """The way to the registry. One object a process; may be used from any thread.

    Attributes:
        name: what PostgreSQL calls its connections.
    """

    def __init__(self, url: str, vault: Vault, *, name: str = "", pool: int = 5, busy_s: float = 5.0) -> None:
        """Prepare; nothing is opened yet.

        Args:
            url: for SQLAlchemy; `sqlite:///FILE` or `postgresql+psycopg://...`.
            vault: seals the personal columns.
            name: by which others can end its connections (`end_connections`); ASCII, at most 63 characters.
            pool: connections kept open, PostgreSQL only.
            busy_s: how long SQLite waits for another writer, seconds.
        """
        # Both hide the parameters of a failed statement: they may be personal.
        is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self.name = name
        self.engine = _sqlite(url, busy_s) if is_sqlite else _postgresql(url, pool, name)
        self._writing = self.engine.execution_options(**{WRITES: True})
        vault.attach(self.engine)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent look that holds up nobody."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, undone when it raises."""
        with Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def insert_absent(session: Session, model: type[DeclarativeBase], values: Mapping[str, Any]) -> bool:
    """Insert a row unless one of its unique keys is taken, be it at this very moment; return whether it was inserted."""
    kind = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = kind(model).values(values).on_conflict_do_nothing().returning(*inspect(model).primary_key)
    return session.execute(statement).first() is not None


def clock(session: Session) -> datetime:
    """Return the database's time at this moment; that of the transaction's begin may be old after waiting for a lock."""
    if session.get_bind().dialect.name == "postgresql":
        moment: datetime = session.scalars(select(func.clock_timestamp())).one()
        return moment.astimezone(UTC)
    return datetime.fromisoformat(session.scalars(select(func.strftime("%Y-%m-%dT%H:%M:%f+00:00", "now"))).one())


def end_connections(session: Session, names: Collection[str]) -> None:
    """End the connections of other processes by their names, whatever they are at; what they had not committed is undone.

    On SQLite, where a process that is stopped has no connection to end, nothing happens.

    Args:
        session: a transaction on the same database.
        names: not that of the transaction's own connection.
    """
    if names and session.get_bind().dialect.name == "postgresql":
        session.execute(_END, {"names": list(names)})


def _postgresql(url: str, pool: int, name: str) -> Engine:
    # A process that is stopped in the middle of a transaction must not keep its locks from the others for ever. (In the middle of
    # a COPY or of an answer it is not idle to the server: see `end_connections`.)
    options = f"-c timezone=UTC -c idle_in_transaction_session_timeout={IDLE_S}s"
    access = {"connect_timeout": 5, "options": options, "application_name": name}
    engine = create_engine(url, pool_size=pool, pool_pre_ping=True, hide_parameters=True, connect_args=access)

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        # The driver calls the end of an idle transaction an internal error; to everybody here the database went away.
        cause = context.original_exception
        if context.is_disconnect and not isinstance(context.sqlalchemy_exception, OperationalError | InterfaceError):
            raise OperationalError(context.statement, None, cause, hide_parameters=True, connection_invalidated=True) from cause

    return engine


def _sqlite(url: str, busy_s: float) -> Engine:
    path = make_url(url).database
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": busy_s, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # The driver would begin transactions late and only for some statements; SQLAlchemy begins them, below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A writer takes the lock at once: one that began as a reader could not be promoted when another has written since.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")

    return engine
