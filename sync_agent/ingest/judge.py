"""The judge: gives the rules what is held, in the order it was signed, and writes what they make of it.

Standing and effects of a record are written in one transaction; a crash before it leaves the record held and to be judged.
Records are taken by chain in order of sequence, so that an attendance is judged after the verification that was signed before it,
whatever order they arrived in; behind a fresh gap the judge waits a moment. A fault of ours at one record blocks no other, be it
one that ends the process: who has just begun counts a try at each record before it makes it, for the one before may have died at
it. What was counted and not judged is tried by itself from then on, and after some tries ever later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import structlog
from joserfc.jwk import OKPKey
from sqlalchemy import and_, or_, select, tuple_
from sqlalchemy.orm import Session

from sync_agent.contract import envelope
from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.envelope import Record, Refused
from sync_agent.contract.parts import Part
from sync_agent.contract.receipts import Standing
from sync_agent.contract.topics import DeviceId, Tenant
from sync_agent.fleet import alarms
from sync_agent.ingest import reconcile
from sync_agent.ingest.answers import Answers, Office, Post, ruling
from sync_agent.ingest.clerk import PASSING
from sync_agent.ingest.leases import Fence, Holding, LostShard
from sync_agent.registry import rules
from sync_agent.registry.database import Database
from sync_agent.registry.rules import RuleBook
from sync_agent.registry.tables import AlarmKind, DeviceSeen, GapLine, RecordRow

log = structlog.get_logger(__name__)

PIECE: Final = 200
"""Most records in one transaction."""

SMALL_PIECE: Final = 50
"""The same on SQLite, where nothing can be held meanwhile."""

PATIENCE: Final = timedelta(seconds=3)
"""So long the record behind a gap waits for those before it."""

DEADLY: Final = 3
"""At the try of this number a record is taken to be one that the judge dies at, unless it is seen to fail or to be judged."""

RETRY_MAX: Final = timedelta(minutes=5)
"""Longest wait between two tries at a record that the rules fail or the judge dies at."""


@dataclass(slots=True)
class _Piece:
    """Records to be judged in one transaction.

    Attributes:
        ids: theirs, in order.
        is_to_count: whether the try is to be counted before it is made.
    """

    ids: Sequence[str]
    is_to_count: bool


class Judge:
    """Judges what is held. One at a time in a process; several on one database are safe, each row is locked."""

    def __init__(
        self,
        database: Database,
        book: RuleBook,
        office: Office,
        registry_keys: Callable[[], Sequence[OKPKey]],
        holding: Holding,
        fence: Fence,
    ) -> None:
        """Make a judge.

        Args:
            database: the registry.
            book: what the operator has settled for the rules.
            office: who answers.
            registry_keys: gives the private X25519 keys that personal parts are sealed to, the one in force first.
            holding: tells the shards whose records are to be judged here.
            fence: raises `LostShard` in a transaction for shards that are another agent's.
        """
        self._database = database
        self._book = book
        self._office = office
        self._registry_keys = registry_keys
        self._holding = holding
        self._fence = fence
        self._after: tuple[int, str, str] | None = None
        self._pieces: list[_Piece] = []
        self._has_caught_up = False

    @property
    def is_in_the_way(self) -> bool:
        """Whether nobody else can write while a piece is judged: SQLite has one writer at a time."""
        return self._database.engine.dialect.name == "sqlite"

    def work(self) -> list[Post]:
        """Judge a piece of what is held; when this returns it is committed, and the posts may be said.

        Returns:
            The rulings, signed. Empty: there is nothing to judge now; what waits behind a gap or for another try is due later.

        Raises:
            OperationalError, InterfaceError, InternalError: the database is away, locked or read-only; nothing was written.
            LostShard: a shard is not held here any more; nothing was written.
        """
        is_whole_round = False
        while True:
            if not self._pieces:
                is_whole_round = is_whole_round or self._after is None
                self._pieces = self._look()
            while self._pieces:
                if posts := self._judge(self._pieces[0]):
                    return posts
            if is_whole_round and self._after is None:
                self._has_caught_up = True  # all that was there at the start is judged, or known to fail
                return []

    def _look(self) -> list[_Piece]:
        """Return what is ripe of the next records, chain by chain from where the last look ended, without any lock."""
        now = self._office.now()
        chain = (RecordRow.shard, RecordRow.device_id, RecordRow.epoch)
        is_due = or_(RecordRow.try_after.is_(None), RecordRow.try_after <= now)
        is_same_chain = and_(DeviceSeen.device_id == RecordRow.device_id, DeviceSeen.epoch == RecordRow.epoch)
        # Asked for in one go: what fills a gap, were it to come between two questions, would be overtaken.
        asked = select(RecordRow.id, *chain, RecordRow.seq, RecordRow.tries, DeviceSeen.gaps).join(DeviceSeen, is_same_chain)
        with self._database.read() as session:
            asked = asked.where(RecordRow.standing.is_(None), RecordRow.shard.in_(self._holding(session)), is_due)
            if self._after is not None:
                asked = asked.where(tuple_(*chain) > tuple_(*self._after))
            rows = session.execute(asked.order_by(*chain, RecordRow.seq).limit(self._most)).all()
        self._after = None if len(rows) < self._most else (rows[-1].shard, rows[-1].device_id, rows[-1].epoch)
        ripe = [row for row in rows if _is_ripe(row.seq, row.gaps, now)]
        pieces: list[_Piece] = []
        for is_suspect, some in groupby(ripe, key=lambda row: row.tries > 0):
            ids = [row.id for row in some]
            pieces += [_Piece([one], True) for one in ids] if is_suspect else [_Piece(ids, not self._has_caught_up)]
        return pieces

    def _judge(self, piece: _Piece) -> list[Post]:
        """Judge the first piece of those found, and return what is to be said of it."""
        now = self._office.now()
        try:
            if piece.is_to_count:
                self._count(piece, now)
            with self._database.write() as session:
                rows = self._lock(session, piece)
                answers = _Sitting(session, self._office.tenant, self._book, self._registry_keys(), now).judge(rows)
                seen = reconcile.seen(session, answers.chains)
                posts = list(answers.posts(seen, self._office))
        except LostShard:
            self._pieces = []
            raise
        del self._pieces[0]
        return posts

    def _count(self, piece: _Piece, now: datetime) -> None:
        """Count a try that is going to be made, in a transaction of its own."""
        gathered = alarms.Gathered()
        with self._database.write() as session:
            for row in self._lock(session, piece):
                row.tries += 1
                if row.tries >= DEADLY:
                    row.try_after = _later(now, row.tries)
                    detail = f"record {row.seq} of epoch {row.epoch}, tried {row.tries} times: the judge may die at it"
                    gathered.add(AlarmKind.NOT_JUDGED, DeviceId(row.device_id), row.kind, detail)
            gathered.sound(session, now)
        piece.is_to_count = False

    def _lock(self, session: Session, piece: _Piece) -> Sequence[RecordRow]:
        """Return the records of a piece that are still to be judged, and here."""
        asked = select(RecordRow).where(RecordRow.id.in_(piece.ids), RecordRow.standing.is_(None))
        order = (RecordRow.shard, RecordRow.device_id, RecordRow.epoch, RecordRow.seq)
        rows = session.scalars(asked.order_by(*order).with_for_update()).all()
        self._fence(session, {row.shard for row in rows})
        return rows

    @property
    def _most(self) -> int:
        return SMALL_PIECE if self.is_in_the_way else PIECE


class _Sitting:
    """One transaction of the judge."""

    def __init__(self, session: Session, tenant: Tenant, book: RuleBook, registry_keys: Sequence[OKPKey], now: datetime) -> None:
        self._session = session
        self._tenant = tenant
        self._book = book
        self._registry_keys = registry_keys
        self._now = now
        self._alarms = alarms.Gathered()

    def judge(self, rows: Sequence[RecordRow]) -> Answers:
        """Judge some locked rows, and return what is to be said of them."""
        if not self._all_at_once(rows):
            self._alarms = alarms.Gathered()
            for row in rows:
                self._alone(row)
        self._alarms.sound(self._session, self._now)
        answers = Answers()
        for row in rows:
            if row.standing is not None:
                log.info("record.applied", device=row.device_id, kind=row.kind, seq=row.seq, standing=row.standing.value)
                answers.about(row.device_id, row.epoch).rulings[row.seq] = ruling(row)
        return answers

    def _all_at_once(self, rows: Sequence[RecordRow]) -> bool:
        """Apply every record under one savepoint, which is quick; say whether it went well. Otherwise nothing happened."""
        try:
            with self._session.begin_nested(), self._session.no_autoflush:
                self._apply(rows)
                self._session.flush()
        except PASSING:
            raise
        except Exception:
            return False  # which of them it was is found out, and logged, one by one
        return True

    def _alone(self, row: RecordRow) -> None:
        """Apply one record under its own savepoint; a fault of ours is noted at it, and it is tried again later."""
        try:
            with self._session.begin_nested():
                self._apply([row])
                self._session.flush()
        except PASSING:
            raise
        except Exception as failure:
            row.tries = max(row.tries, 1)  # all but a first try were counted before
            row.try_after = _later(self._now, row.tries)
            log.exception("record.rules-failed", kind=row.kind, tries=row.tries, failure=type(failure).__name__)
            detail = f"{type(failure).__name__} at record {row.seq} of epoch {row.epoch}, tried {row.tries} times"
            times = 1 if row.tries < DEADLY else 0  # sounded already; now it is known why
            self._alarms.add(AlarmKind.NOT_JUDGED, DeviceId(row.device_id), row.kind, detail, times=times)

    def _apply(self, rows: Sequence[RecordRow]) -> None:
        """Have the rules decide about records, one after the other, and note it in their rows."""
        opened = [(row, *self._open(row)) for row in rows]
        about = rules.Rows(self._session, self._now)
        about.load((record, personal) for _, record, personal in opened if personal is not None)
        for row, record, personal in opened:
            if personal is None:
                row.standing, row.code = Standing.REFUSED, Code.UNREADABLE
                continue
            applied = rules.apply(self._session, record, personal, self._book, self._now, about)
            row.site_id, row.person_id = applied.site_id, applied.person_id
            row.standing, row.code = applied.standing, applied.code
            row.effective_from, row.case_number = applied.effective_from, applied.case_number
            row.gaps = list(applied.gaps) or None

    def _open(self, row: RecordRow) -> tuple[Record, Part | None]:
        """Open a record, its personal part with the key it was sealed to.

        A part that does not open, or holds something else than its kind, is None: the record stays in the ledger as evidence
        and is refused, for it was signed so, and the device cannot make it better by sending it again.
        """
        device = DeviceId(row.device_id)
        record = envelope.parse(envelope.payload_of(row.message), self._tenant, device)
        why = Refused(Fault.CANNOT_OPEN, "the registry has no key")
        for key in self._registry_keys:
            try:
                return record, record.personal(key)
            except Refused as refused:
                why = refused
                if refused.fault is not Fault.CANNOT_OPEN:
                    break
        self._alarms.add(AlarmKind.UNREADABLE, device, why.fault, f"record {row.seq} of epoch {row.epoch}: {why.detail}")
        return record, None


def _is_ripe(seq: int, gaps: Sequence[GapLine], now: datetime) -> bool:
    """Say whether no gap before a record is fresh; those before it would probably be on their way."""
    return all(gap["first"] > seq or now - datetime.fromisoformat(gap["since"]) >= PATIENCE for gap in gaps)


def _later(now: datetime, tries: int) -> datetime:
    return now + min(RETRY_MAX, timedelta(seconds=2.0 ** min(tries, 16)))
