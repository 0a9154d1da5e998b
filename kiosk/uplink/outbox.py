"""The durable outbox: every signed record stays here until the centre's receipt and its rules' answer have come.

SQLite in WAL mode with ``synchronous=FULL``: a record that `add` returned for survives a power cut. The kiosk writes, the uplink
sends and settles; both open the same file. What is personal is sealed before it comes here, so a pulled card shows nothing.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from kiosk.clock import Clock, stamp
from kiosk.uplink import settling, versions
from kiosk.uplink.faults import OutboxBusy, told_apart
from kiosk.uplink.settling import Asked, Spot
from kiosk.uplink.store import Former, Kept, Meta, Row, State, alone, open_engine
from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.envelope import GENESIS, Place, Signed
from sync_agent.contract.receipts import Receipt, Standing

log = structlog.get_logger(__name__)

BUSY_MS: Final = 5_000
"""How long a write waits for the other process's lock, milliseconds."""

PRUNE_STEP: Final = 500
"""Most records deleted in one transaction, so that a visit never waits for long."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A record that is safe in the outbox.

    Attributes:
        seq: its place in the chain.
        number: what the visitor is given to ask by.
        record: its id.
        kind: record kind.
        at: when it happened.
        epoch: of the chain.
    """

    seq: int
    number: str
    record: UUID
    kind: str
    at: datetime
    epoch: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a record has come; each word is true or not yet true."""

    state: State
    standing: Standing | None
    code: Code | None
    effective_from: datetime | None
    case: str | None
    fault: Fault | None


KEPT: Final = Progress(State.WAITING, None, None, None, None, None)
"""Safe here; nothing more is known."""


class Added(NamedTuple):
    """Where and when a new record stands."""

    place: Place
    at: datetime


class Listed(NamedTuple):
    """One line of the list of all records."""

    seq: int
    kind: str
    at: datetime
    progress: Progress
    epoch: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record that the centre has not answered."""

    spot: Spot
    message: bytes


@dataclass(frozen=True, slots=True)
class Depth:
    """How much the centre does not hold yet.

    Attributes:
        count: records without receipt.
        oldest_age_s: age of the oldest of them, seconds.
    """

    count: int
    oldest_age_s: int


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of the chain."""

    epoch: str
    last_seq: int
    last_digest: str


class Outbox:
    """The outbox of one kiosk. May be used from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the outbox, making it on first use and bringing an older release's up to ours.

        Raises:
            OutboxFault: it cannot be opened or made; a file that is there is left as it is.
        """
        self._path = path
        with told_apart("opening the outbox"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with alone(path.with_suffix(".lock")), ExitStack() as unless_opened:
                versions.check(path)
                self._engine = open_engine(path, busy_s=BUSY_MS / 1000)
                unless_opened.callback(self._engine.dispose)
                self._writer = self._engine.execution_options(immediate=True)
                with self._writer.begin() as connection:
                    versions.bring_up(connection)
                with self._write() as session:
                    if session.get(Meta, 1) is None:
                        session.add(Meta(one=1, epoch=secrets.token_hex(8), boot=0))
                unless_opened.pop_all()

    def begin_boot(self) -> int:
        """Count one more start of the kiosk and return the number."""
        with self._write() as session:
            meta = session.get_one(Meta, 1)
            meta.boot += 1
            return meta.boot

    @property
    def boot(self) -> int:
        """The number of the kiosk's latest start."""
        with self._read() as session:
            return session.get_one(Meta, 1).boot

    @property
    def epoch(self) -> str:
        """The epoch in force; the uplink begins another when the centre shows that this outbox went back to an older state."""
        with self._read() as session:
            return session.get_one(Meta, 1).epoch

    def free_mb(self) -> int:
        """Return the room for records, megabytes: what is free on the disk and inside the file, which never shrinks."""
        with self._read() as session, told_apart("looking for room"):
            pages, size = (session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in _ROOM)
            return int(shutil.disk_usage(self._path.parent).free + pages * size) // 1_000_000

    def probe(self) -> None:
        """Try at once, without waiting for the other process, whether the outbox can be written and its end be read.

        Raises:
            OutboxFault: it cannot; never `OutboxBusy`, which passes.
        """
        try:
            with (
                told_apart("probing the outbox"),
                closing(self._at_once()) as database,
            ):
                database.execute("BEGIN IMMEDIATE")
                database.execute("SELECT seq, digest FROM record ORDER BY seq DESC LIMIT 1").fetchall()
                database.execute("ROLLBACK")
        except OutboxBusy:
            log.debug("outbox.probed-while-busy")

    def add(self, record_id: str, kind: str, clock: Clock, sign: Callable[[Place, datetime], Signed]) -> Added:
        """Give a record the next place and its time, have it signed for them, and keep it: all in one transaction.

        Args:
            record_id: UUIDv7.
            kind: record kind.
            clock: says when it is; a record is never before the one before it (`kiosk.clock.stamp`).
            sign: makes the signed record for its place in the chain and its time.

        Returns:
            Its place and its time.

        Raises:
            OutboxFault: it cannot be kept; nothing was written and the sequence is not used up.
        """
        with self._write() as session:
            tail = _tail(session)
            place = Place(tail.epoch, tail.last_seq + 1, tail.last_digest)
            at = stamp(clock, _newest(session, tail))
            signed = sign(place, at)
            session.add(
                Row(
                    seq=place.seq,
                    id=record_id,
                    kind=kind,
                    at=at,
                    digest=signed.digest,
                    message=signed.message,
                    message_sha256=sha256(signed.message).hexdigest(),
                )
            )
        return Added(place, at)

    def waiting(self, limit: int) -> list[Spot]:
        """Name the oldest records that the centre does not hold, former epochs first, at most `limit`."""
        former = (
            select(Former.epoch, Former.seq).where(Former.state == State.WAITING).order_by(Former.at, Former.seq).limit(limit)
        )
        with self._read() as session:
            found = [Spot(epoch, seq) for epoch, seq in session.execute(former)]
            rest = select(Row.seq).where(Row.state == State.WAITING).order_by(Row.seq).limit(limit - len(found))
            epoch = session.get_one(Meta, 1).epoch
            return found + [Spot(epoch, seq) for seq in session.scalars(rest)]

    def unruled(self, after: Spot | None, limit: int) -> list[Outgoing]:
        """Return received records that the rules have not answered, those behind `after` first, at most `limit`."""
        query = select(Row.seq, Row.message).where(Row.state == State.RECEIVED)
        order = (Row.seq <= after.seq, Row.seq) if after else (Row.seq,)
        with self._read() as session:
            epoch = session.get_one(Meta, 1).epoch
            return [Outgoing(Spot(epoch, seq), message) for seq, message in session.execute(query.order_by(*order).limit(limit))]

    def fetch(self, spots: Sequence[Spot]) -> list[Outgoing]:
        """Return the named records in the given order, but for those that are gone."""
        with self._read() as session:
            epoch = session.get_one(Meta, 1).epoch
            found: dict[Spot, bytes] = {}
            for one in {spot.epoch for spot in spots}:
                seqs = [spot.seq for spot in spots if spot.epoch == one]
                query = (
                    select(Row.seq, Row.message).where(Row.seq.in_(seqs))
                    if one == epoch
                    else select(Former.seq, Former.message).where(Former.epoch == one, Former.seq.in_(seqs))
                )
                found.update((Spot(one, seq), message) for seq, message in session.execute(query))
            return [Outgoing(spot, found[spot]) for spot in spots if spot in found]

    def settle(self, receipt: Receipt, now: datetime, asked: Asked | None = None) -> list[Spot]:
        """Take in a receipt whose signature holds; return the records whose progress changed.

        Args:
            receipt: what the centre says.
            now: by the kiosk's clock.
            asked: the birth that still awaits its receipt: only this one is taken as a reconciliation.

        Raises:
            OutboxFault: the marks cannot be kept; the receipt will come again.
        """
        with self._write() as session:
            return sorted(settling.settle(session, receipt, now, asked))

    def progress(self, seq: int, epoch: str = "") -> Progress:
        """Say how far a record has come; without `epoch`, one of the epoch in force."""
        with self._read() as session:
            row = _find(session, Spot(epoch or session.get_one(Meta, 1).epoch, seq))
            if row is None:
                raise LookupError(f"the outbox holds no record {seq}")
            return _progress(row)

    def depth(self, now: datetime) -> Depth:
        """Say how much the centre does not hold."""
        count, oldest = 0, now
        with self._read() as session:
            for kept, age in ((Row, Row.seq), (Former, Former.at)):  # of several epochs the lowest number need not be the oldest
                count += session.scalar(select(func.count()).select_from(kept).where(kept.state == State.WAITING)) or 0
                first = select(kept.at).where(kept.state == State.WAITING).order_by(age).limit(1)
                oldest = min(oldest, session.scalar(first) or now)
        return Depth(count, int((now - oldest).total_seconds()))

    def tail(self) -> Tail:
        """Return the end of the chain."""
        with self._read() as session:
            return _tail(session)

    def listing(self) -> Iterator[Listed]:
        """Yield every record kept, former epochs first, oldest first."""
        with self._read() as session:
            epoch = session.get_one(Meta, 1).epoch
            for row in _every(session):
                yield Listed(row.seq, row.kind, row.at, _progress(row), row.epoch if isinstance(row, Former) else epoch)

    def messages(self) -> Iterator[bytes]:
        """Yield the message of every record kept, former epochs first, oldest first; a few at a time are in memory."""
        with self._read() as session:
            for row in _every(session):
                yield row.message

    def prune(self, now: datetime, *, keep_days: int, min_free_mb: int) -> int:
        """Delete what the centre has finally answered and was kept long enough, sooner where room is short.

        Never a record without its final answer, and never the end of the chain.

        Args:
            now: by the kiosk's clock.
            keep_days: how long answered records stay, days since the receipt.
            min_free_mb: where less room than twice this is left, the oldest go before their time.

        Returns:
            How many records were deleted.

        Raises:
            OutboxFault: a step could not be written; those before it stand.
        """
        count = 0
        while step := self._prune_step(now - timedelta(days=keep_days)):
            count += step
        while self.free_mb() < 2 * min_free_mb and (step := self._prune_step(now)):
            count += step
        if count:
            log.info("outbox.pruned", records=count)
        return count

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _at_once(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)

    def _prune_step(self, before: datetime) -> int:
        count = 0
        with self._write() as session:
            last = session.scalar(select(func.max(Row.seq))) or 0
            for kept, but in ((Former, Former.seq > 0), (Row, Row.seq < last)):
                is_final = (kept.state == State.ANSWERED, kept.standing.in_((Standing.ACCEPTED, Standing.REFUSED)))
                old = (
                    select(kept.id).where(*is_final, kept.received_at < before, but).order_by(kept.seq).limit(PRUNE_STEP - count)
                )
                count += len(session.scalars(delete(kept).where(kept.id.in_(old)).returning(kept.id)).all())
        return count

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with told_apart("reading the outbox"), Session(self._engine) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with told_apart("writing to the outbox"), Session(self._writer) as session, session.begin():
            yield session


_ROOM: Final = ("freelist_count", "page_size")


def _tail(session: Session) -> Tail:
    epoch = session.get_one(Meta, 1).epoch
    for seq, digest in session.execute(select(Row.seq, Row.digest).order_by(Row.seq.desc()).limit(1)):
        return Tail(epoch, seq, digest)
    return Tail(epoch, 0, GENESIS)


def _newest(session: Session, tail: Tail) -> datetime | None:
    """Return when the record before the next one was written; before the first of an epoch that is one of the former epoch."""
    if tail.last_seq:
        return session.scalar(select(Row.at).where(Row.seq == tail.last_seq))
    return session.scalar(select(func.max(Former.at)))


def _find(session: Session, spot: Spot) -> Row | Former | None:
    if spot.epoch == session.get_one(Meta, 1).epoch:
        return session.get(Row, spot.seq)
    return session.get(Former, (spot.epoch, spot.seq))


def _every(session: Session) -> Iterator[Row | Former]:
    yield from session.scalars(select(Former).order_by(Former.at, Former.seq).execution_options(yield_per=100))
    yield from session.scalars(select(Row).order_by(Row.seq).execution_options(yield_per=100))


def _progress(row: Kept) -> Progress:
    return Progress(
        State(row.state),
        Standing(row.standing) if row.standing else None,
        Code(row.code) if row.code else None,
        row.effective_from,
        row.case,
        Fault(row.fault) if row.fault else None,
    )
