"""The durable outbox: every signed record stays here until the centre's receipt and its rules' answer have come.

SQLite in WAL mode with ``synchronous=FULL``: a record that `add` returned for survives a power cut. The kiosk writes, the uplink
sends and settles; both open the same file. What is personal is sealed before it comes here, so a pulled card shows nothing.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.envelope import GENESIS, Place, Signed
from sync_agent.contract.receipts import Receipt, Standing
from tests.kiosk.uplink.release_1.store import Base, Meta, Row, State, alone, open_engine

log = structlog.get_logger(__name__)

BUSY_MS: Final = 5_000
"""How long a write waits for the other process's lock, milliseconds."""


class OutboxFull(Exception):
    """The disk cannot take a record: full or failing. Code BOX-01: no visit may start; what is in the outbox is safe."""

    code = "BOX-01"
    message = "outbox.full"


class OutboxBusy(Exception):
    """The outbox stayed locked too long. Code BOX-02: the visitor is asked to try again."""

    code = "BOX-02"
    message = "outbox.busy"


@dataclass(frozen=True, slots=True)
class Filed:
    """A record that is safe in the outbox.

    Attributes:
        seq: its place in the chain.
        number: what the visitor is given to ask by.
    """

    seq: int
    number: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a record has come; each word is true or not yet true."""

    state: State
    standing: Standing | None
    code: Code | None
    effective_from: datetime | None
    case: str | None
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record that the centre has not answered."""

    seq: int
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
        """Open the outbox, making it on first use.

        Raises:
            OutboxFull: there is no room to make it.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = path.parent
        self._engine = open_engine(path, busy_s=BUSY_MS / 1000)
        self._writer = self._engine.execution_options(immediate=True)
        with self._guard(), alone(path.with_suffix(".lock")):
            Base.metadata.create_all(self._engine)
            with self._write() as session:
                if session.get(Meta, 1) is None:
                    session.add(Meta(one=1, epoch=secrets.token_hex(8), boot=0))
        with Session(self._engine) as session:
            self.epoch = session.get_one(Meta, 1).epoch

    def begin_boot(self) -> int:
        """Count one more start of the kiosk and return the number."""
        with self._guard(), self._write() as session:
            meta = session.get_one(Meta, 1)
            meta.boot += 1
            return meta.boot

    @property
    def boot(self) -> int:
        """The number of the kiosk's latest start."""
        with Session(self._engine) as session:
            return session.get_one(Meta, 1).boot

    def free_mb(self) -> int:
        """Return the free space on the outbox's disk, megabytes."""
        return shutil.disk_usage(self._folder).free // 1_000_000

    def add(self, record_id: str, kind: str, at: datetime, sign: Callable[[Place], Signed]) -> int:
        """Give a record the next sequence, have it signed for that place, and keep it: all in one transaction.

        Args:
            record_id: UUIDv7.
            kind: record kind.
            at: when it happened.
            sign: makes the signed record for its place in the chain.

        Returns:
            The sequence.

        Raises:
            OutboxFull: no room; nothing was written and the sequence is not used up.
            OutboxBusy: locked for too long; likewise.
        """
        with self._guard(), self._write() as session:
            tail = _tail(session, self.epoch)
            place = Place(self.epoch, tail.last_seq + 1, tail.last_digest)
            signed = sign(place)
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
        return place.seq

    def unanswered(self, limit: int) -> list[Outgoing]:
        """Return the oldest records that still want an answer, at most `limit`."""
        query = select(Row.seq, Row.message).where(Row.state.in_((State.WAITING, State.RECEIVED))).order_by(Row.seq).limit(limit)
        with Session(self._engine) as session:
            return [Outgoing(seq, message) for seq, message in session.execute(query)]

    def settle(self, receipt: Receipt, now: datetime) -> list[int]:
        """Take in a receipt whose signature holds; return the sequences whose progress changed.

        A receipt of another epoch, and a ruling on other bytes than ours, change nothing and are logged.

        Raises:
            OutboxFull: no room for the marks; the receipt will come again.
            OutboxBusy: likewise.
        """
        with self._guard(), self._write() as session:
            changed = _reject(session, receipt)
            if receipt.epoch == self.epoch:
                changed |= _receive(session, receipt, now) | _rule(session, receipt, now)
            elif receipt.epoch:
                log.warning("outbox.receipt-of-another-epoch", epoch=receipt.epoch)
        return sorted(changed)

    def progress(self, seq: int) -> Progress:
        """Say how far a record has come."""
        with Session(self._engine) as session:
            return _progress(session.get_one(Row, seq))

    def depth(self, now: datetime) -> Depth:
        """Say how much the centre does not hold."""
        query = select(func.count(), func.min(Row.at)).where(Row.state == State.WAITING)
        with Session(self._engine) as session:
            count, oldest = session.execute(query).one()
        return Depth(count, max(0, int((now - oldest).total_seconds())) if count else 0)

    def tail(self) -> Tail:
        """Return the end of the chain."""
        with Session(self._engine) as session:
            return _tail(session, self.epoch)

    def listing(self) -> Iterator[tuple[int, str, datetime, Progress]]:
        """Yield sequence, kind, time and progress of every record kept, oldest first."""
        with Session(self._engine) as session:
            for row in session.scalars(select(Row).order_by(Row.seq)):
                yield row.seq, row.kind, row.at, _progress(row)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with Session(self._writer) as session, session.begin():
            yield session

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Tell the two passing faults of a disk apart from bugs."""
        try:
            yield
        except OperationalError as err:
            number = getattr(err.orig, "sqlite_errorcode", None)
            primary = number & 0xFF if isinstance(number, int) else None
            if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise OutboxFull(f"writing to the outbox failed: {err.orig}") from err
            if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise OutboxBusy(f"the outbox stayed locked for {BUSY_MS} ms") from err
            raise


def _receive(session: Session, receipt: Receipt, now: datetime) -> set[int]:
    """Mark what the centre holds."""
    changed = set()
    waiting = select(Row).where(Row.state == State.WAITING, Row.seq <= receipt.upto)
    for row in session.scalars(waiting):
        if not any(first <= row.seq <= last for first, last in receipt.gaps):
            row.state, row.received_at = State.RECEIVED, now
            changed.add(row.seq)
    return changed


def _rule(session: Session, receipt: Receipt, now: datetime) -> set[int]:
    """Mark what the rules said."""
    changed = set()
    for ruling in receipt.rulings:
        row = session.get(Row, ruling.seq)
        if row is None or row.digest != ruling.digest:
            log.error("outbox.ruling-on-other-bytes", seq=ruling.seq)
            continue
        row.state, row.received_at = State.ANSWERED, row.received_at or now
        row.standing, row.code = ruling.standing, ruling.code
        row.effective_from, row.case = ruling.effective_from, ruling.case
        changed.add(row.seq)
    return changed


def _reject(session: Session, receipt: Receipt) -> set[int]:
    """Mark what never became a record; it stays here for staff and is not sent again."""
    changed: set[int] = set()
    for rejection in receipt.rejections:
        ours = (Row.message_sha256 == rejection.message_sha256, Row.state == State.WAITING)
        marked = update(Row).where(*ours).values(state=State.REJECTED, fault=rejection.fault).returning(Row.seq)
        changed.update(session.scalars(marked))
    return changed


def _tail(session: Session, epoch: str) -> Tail:
    last = session.scalars(select(Row).order_by(Row.seq.desc()).limit(1)).first()
    return Tail(epoch, last.seq, last.digest) if last else Tail(epoch, 0, GENESIS)


def _progress(row: Row) -> Progress:
    return Progress(
        State(row.state),
        Standing(row.standing) if row.standing else None,
        Code(row.code) if row.code else None,
        row.effective_from,
        row.case,
        Fault(row.fault) if row.fault else None,
    )
