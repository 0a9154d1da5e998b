"""The one door of records into the ledger: a whole batch at once, what is held already left as it is.

The chains of a batch are locked first, so that nobody else fills a place between question and answer. What comes above all that
is held has a free place and goes straight in. The places of the others (repeats, what fills a gap, what a revoked key signed) are
laid ready in a temporary table; every question about them (what is held, which keys are revoked, does the chain go on) is one
join with that table, whose cost does not grow with the ledger. PostgreSQL's tables are filled by binary COPY, SQLite's by one
executemany of the driver; all else is the same on both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    Row,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable

from sync_agent.contract.envelope import GENESIS
from sync_agent.contract.topics import shard
from sync_agent.ingest.check import Entry
from sync_agent.ingest.seen import SET_BACK, Break, Chain, Key, Seen
from sync_agent.registry.tables import ClockDoubt, DeviceKey, DeviceSeen, RecordRow

_RECORD: Final = RecordRow.metadata.tables["record"]
_SEEN: Final = DeviceSeen.metadata.tables["device_seen"]

SEEN: Final = tuple(_SEEN.c[name] for name in ("device_id", "epoch", "upto", "gaps", "last_digest", "last_boot", "last_time"))
"""What is read of `device_seen`: the chain, then what `Seen.of` takes."""

_COLUMNS: Final = {
    "id": "text",
    "device_id": "text",
    "epoch": "text",
    "seq": "int4",
    "digest": "text",
    "prev": "text",
    "boot": "int4",
    "time": "timestamptz",
    "received_at": "timestamptz",
    "kid": "text",
    "shard": "int4",
    "kind": "text",
    "clock_age_s": "int4",
    "clock": "text",
    "site_id": "text",
    "tries": "int4",
    "message": "bytea",
}
"""What is written of a record, with the types that PostgreSQL's binary COPY is told; the first ten are asked about before."""

_PLACED: Final = 10

_BATCH: Final = Table(
    "batch",
    MetaData(),
    *(Column(name, _RECORD.c[name].type, nullable=False) for name in list(_COLUMNS)[:_PLACED]),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS",
)
_CHAIN: Final = (_BATCH.c.device_id, _BATCH.c.epoch)
_KEY: Final = (*_CHAIN, _BATCH.c.seq)


@dataclass(frozen=True, slots=True)
class Staged:
    """A record on its way into the ledger: when it came, and what is wrong with its clock by itself."""

    entry: Entry
    received_at: datetime
    clock: ClockDoubt | None = None


def lock_seen(session: Session, chains: Collection[Chain], now: datetime) -> dict[Chain, Seen]:
    """Return what is held of some chains; until the end of the transaction nobody else changes that.

    Raises:
        OperationalError: as any statement; and when another begins some of the same chains at the same moment in another order.
    """
    found = _lock(session, chains)
    if absent := sorted(set(chains) - found.keys()):
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        rows = [{"device_id": device, "epoch": epoch, "updated_at": now} for device, epoch in absent]
        session.connection().execute(insert(_SEEN).on_conflict_do_nothing(), rows)
        found |= _lock(session, absent)
    return found


def _lock(session: Session, chains: Collection[Chain]) -> dict[Chain, Seen]:
    place = (_SEEN.c.device_id, _SEEN.c.epoch)
    asked = select(*SEEN).where(tuple_(*place).in_(list(chains))).order_by(*place).with_for_update()
    return {(device, epoch): Seen.of(*kept) for device, epoch, *kept in session.execute(asked)}


def revoked(session: Session, kids: Collection[str]) -> dict[str, datetime]:
    """Return which of some keys are revoked, and since when."""
    asked = select(DeviceKey.kid, DeviceKey.revoked_at).where(DeviceKey.kid.in_(list(kids)), DeviceKey.revoked_at.is_not(None))
    return {kid: since for kid, since in session.execute(asked) if since is not None}


def stage(session: Session, batch: Iterable[Staged]) -> None:
    """Lay a batch ready, in place of any before; no two of it may have the same place.

    Raises:
        DBAPIError: as any statement.
    """
    session.connection().execute(CreateTable(_BATCH, if_not_exists=True))
    session.execute(delete(_BATCH))
    _fill(session, _BATCH.name, _PLACED, map(_row, batch))


def shut_out(session: Session) -> dict[Key, str]:
    """Take out of the batch what came after its key was revoked; return the keys by place. What is held already stays in."""
    revoked = exists().where(DeviceKey.kid == _BATCH.c.kid, DeviceKey.revoked_at <= _BATCH.c.received_at)
    known = exists().where(_same_chain(0), _RECORD.c.digest == _BATCH.c.digest)
    rows = session.execute(delete(_BATCH).where(revoked, ~known).returning(*_KEY, _BATCH.c.kid))
    return {(device, epoch, seq): kid for device, epoch, seq, kid in rows}


def held(session: Session) -> dict[Key, Row[Any]]:
    """Return the ledger's row for every place of the batch that is taken: its digest and what the rules said of it."""
    columns = ("device_id", "epoch", "seq", "digest", "standing", "code", "effective_from", "case_number", "gaps")
    asked = select(*(_RECORD.c[name] for name in columns)).join_from(_BATCH, _RECORD, _same_chain(0))
    return {_key(row): row for row in session.execute(asked)}


def held_elsewhere(session: Session) -> set[Key]:
    """Return the places of the batch whose record id is held at another place, or comes twice."""
    elsewhere = or_(_RECORD.c.device_id != _BATCH.c.device_id, _RECORD.c.epoch != _BATCH.c.epoch, _RECORD.c.seq != _BATCH.c.seq)
    asked = select(*_KEY).join_from(_BATCH, _RECORD, and_(_RECORD.c.id == _BATCH.c.id, elsewhere))
    return {_key(row) for row in session.execute(asked)}


def enter(session: Session, fresh: Iterable[Staged]) -> None:
    """Put records into the ledger whose places are free; their chains are locked.

    Raises:
        IntegrityError: one of the ids is in use.
    """
    rows = sorted(map(_row, fresh), key=lambda row: row[1:4])
    if rows:
        _fill(session, _RECORD.name, len(_COLUMNS), rows)


def breaks(session: Session) -> list[Break]:
    """Return where the ledger does not go on from one record to the next, around the records that were laid ready.

    Looked at from every record to the one before it and to the one after it, which may have come earlier.
    """
    found = {
        key: Break(key, is_chain=True, is_clock=False)
        for key in map(_key, session.execute(select(*_KEY).where(_BATCH.c.seq == 1, _BATCH.c.prev != GENESIS)))
    }
    for earlier, later, step in ((_RECORD, _BATCH, -1), (_BATCH, _RECORD, +1)):
        is_chain = later.c.prev != earlier.c.digest
        is_clock = and_(later.c.boot == earlier.c.boot, later.c.time < earlier.c.time)
        pairs = select(
            later.c.device_id, later.c.epoch, later.c.seq, is_chain, is_clock, later.c.time, earlier.c.time.label("before")
        )
        wrong = pairs.join_from(_BATCH, _RECORD, _same_chain(step)).where(or_(is_chain, is_clock))
        for device, epoch, seq, breaks_chain, goes_back, time, before in session.execute(wrong):
            is_back = bool(goes_back) and before - time > SET_BACK
            if breaks_chain or is_back:
                found[device, epoch, seq] = Break((device, epoch, seq), bool(breaks_chain), is_back)
    return list(found.values())


def mark_backwards(session: Session, keys: Sequence[Key]) -> None:
    """Note at records of this transaction that their clock went back."""
    place = tuple_(RecordRow.device_id, RecordRow.epoch, RecordRow.seq)
    if keys:
        session.execute(update(_RECORD).where(place.in_(keys), _RECORD.c.clock.is_(None)).values(clock=ClockDoubt.BACKWARDS))


def write_seen(session: Session, seen: Mapping[Chain, Seen], now: datetime) -> None:
    """Write what is held of some chains; they are locked."""
    here = (_SEEN.c.device_id == bindparam("of_device"), _SEEN.c.epoch == bindparam("of_epoch"))
    rows = [
        {"of_device": device, "of_epoch": epoch, "upto": now_seen.upto, "gaps": now_seen.lines}
        | {"last_digest": now_seen.tip.digest, "last_boot": now_seen.tip.boot, "last_time": now_seen.tip.time, "updated_at": now}
        for (device, epoch), now_seen in seen.items()
    ]
    if rows:
        session.connection().execute(update(_SEEN).where(*here), rows)


def _fill(session: Session, table: str, width: int, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows, their first `width` columns, as fast as the driver can."""
    connection = session.connection()
    columns = list(_COLUMNS)[:width]
    driver: Any = connection.connection.driver_connection
    with _as_sqlalchemy(session), closing(driver.cursor()) as cursor:
        if connection.dialect.name == "postgresql":
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types([_COLUMNS[name] for name in columns])
                for row in rows:
                    copy.write_row(row[:width])
        else:
            marks = ", ".join("?" * width)
            cursor.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", [_for_sqlite(row[:width]) for row in rows]
            )


def _same_chain(step: int) -> ColumnElement[bool]:
    return and_(
        _RECORD.c.device_id == _BATCH.c.device_id, _RECORD.c.epoch == _BATCH.c.epoch, _RECORD.c.seq == _BATCH.c.seq + step
    )


def _key(row: Sequence[Any]) -> Key:
    return row[0], row[1], row[2]


def _row(staged: Staged) -> tuple[Any, ...]:
    """Return a record in the order of `_COLUMNS`."""
    entry = staged.entry
    return (
        entry.id,
        entry.device,
        entry.epoch,
        entry.seq,
        entry.digest,
        entry.prev,
        entry.boot,
        entry.time,
        staged.received_at,
        entry.kid,
        shard(entry.device),
        entry.kind,
        entry.clock_age_s,
        staged.clock,
        entry.site,
        0,
        entry.message,
    )


def _for_sqlite(row: tuple[Any, ...]) -> list[Any]:
    """Return a row with its times as SQLAlchemy writes them there."""
    return [_text(value) if isinstance(value, datetime) else value for value in row]


def _text(time: datetime) -> str:
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


@contextmanager
def _as_sqlalchemy(session: Session) -> Iterator[None]:
    """Raise what the driver raises as SQLAlchemy would, for those who tell passing faults from others."""
    dialect = session.get_bind().dialect
    driver: Any = dialect.loaded_dbapi
    try:
        yield
    except driver.Error as err:
        raise DBAPIError.instance("filling a table", None, err, driver.Error, hide_parameters=True, dialect=dialect) from err
