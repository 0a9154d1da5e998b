"""Loads what a rule needs, lets it decide, writes what it says: inside the caller's transaction, together with the ledger's row.

That a record applies once is the ledger's doing; that two at once do no harm is done here, by row locks and constraints.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.envelope import Record
from sync_agent.contract.kinds import Attendance, Capture, CardHolder, Case, Health, PersonReference, Verification
from sync_agent.contract.parts import Part
from sync_agent.contract.receipts import Standing
from sync_agent.registry.rules import attendance, cases, health, people
from sync_agent.registry.rules.decision import (
    Change,
    Decision,
    KeepAttendance,
    KeepCard,
    Member,
    OpenCase,
    RuleBook,
    SetParts,
    SetStatus,
)
from sync_agent.registry.rules.rows import Rows
from sync_agent.registry.tables import (
    AttendanceRow,
    Person,
    ReviewCase,
    VerificationRow,
)


class NoRule(Exception):
    """A record kind that the contract knows and no rule handles. Code REG-02: a fault of this program, not of the device."""

    code = "REG-02"


@dataclass(frozen=True, slots=True)
class Applied:
    """What the rules made of a record; the ledger's row is filled from it.

    Attributes:
        code: why it was refused.
        gaps: all that is missing, by name.
        effective_from: since when the registry's state is what the record asks for.
        case_number: of the review case that was opened.
        site_id: the site the record speaks of.
        person_id: whom it is about, where it is about somebody the registry knows.
    """

    standing: Standing
    code: Code | None
    effective_from: datetime | None
    case_number: str | None
    site_id: str
    person_id: int | None
    gaps: tuple[str, ...] = ()


def apply(session: Session, record: Record, personal: Part, book: RuleBook, now: datetime, rows: Rows | None = None) -> Applied:
    """Decide about a record and have what follows from it written at the next flush.

    Args:
        session: a write transaction of `Database`; the row of `RecordRow` is there, or is added in the same one.
        record: its signature is checked, and its device is enrolled.
        personal: its opened personal part.
        book: what the operator decides.
        now: the time of this transaction.
        rows: what was loaded for several records together; without it each row is asked for.

    Raises:
        NoRule: no rule handles this kind.
    """
    work = _Work(session, record, personal, book, now, rows or Rows(session, now))
    decision = work.decide()
    work.write(decision)
    return Applied(
        standing=decision.standing,
        code=decision.code,
        effective_from=decision.effective_from,
        case_number=work.case_number,
        site_id=work.site_id,
        person_id=work.person.id if work.person is not None else None,
        gaps=decision.gaps,
    )


class _Work:
    """One record and the rows it is about, locked where they may change."""

    def __init__(self, session: Session, record: Record, personal: Part, book: RuleBook, now: datetime, rows: Rows) -> None:
        self._session = session
        self._record = record
        self._personal = personal
        self._book = book
        self._now = now
        self._device = rows.device(record)
        self.site_id: str = getattr(record.facts, "site", self._device.site_id)
        self.person = _person(rows, personal)
        self._place = rows.place(self.site_id, self.person) if self.person is not None else None
        self._status = rows.status(self._device) if isinstance(record.facts, Health) else None
        self.case_number: str | None = None

    def decide(self) -> Decision:
        """Ask the rule of the record's kind."""
        if self.site_id != self._device.site_id:
            return cases.other_site()
        time = self._record.event.time
        on = time.astimezone(self._book.zone).date()
        member = None if self._place is None else Member(self._place.status, self._place.effective_from)
        match self._record.facts, self._personal:
            case Capture() as facts, CardHolder() as holder:
                return people.capture(member, facts, holder, on)
            case Verification() as facts, CardHolder() as holder:
                return people.verify(member, facts, holder, on, self._now)
            case Attendance(), PersonReference():
                return attendance.attend(member, self._now)
            case Case() as facts, _:
                return cases.ask(facts)
            case Health() as facts, _:
                return health.report(self._status.parts_at if self._status else None, facts, time, self._now)
            case facts, _:
                raise NoRule(f"no rule handles records of kind {facts.kind!r}. Upgrade the sync agent before the kiosks.")

    def write(self, decision: Decision) -> None:
        """Write the changes, and the comparison whatever came of it."""
        facts = self._record.facts
        if isinstance(facts, Verification) and self.person is not None:
            self._session.add(
                VerificationRow(
                    record_id=self._record.event.id,
                    site_id=facts.site,
                    person_id=self.person.id,
                    time=self._record.event.time,
                    method=facts.method,
                    outcome=facts.outcome,
                    facts=facts.model_dump(mode="json"),
                )
            )
        for change in decision.changes:
            self._write(change)

    def _write(self, change: Change) -> None:
        match change:
            case SetStatus():
                if self._place is not None:
                    self._place.status, self._place.changed_at = change.status, self._now
                    self._place.effective_from = change.effective_from
            case KeepCard():
                self._keep_card()
            case KeepAttendance():
                self._keep_attendance()
            case SetParts():
                if self._status is not None:
                    self._status.parts, self._status.parts_at = dict(change.parts), self._record.event.time
                    self._status.version = change.version
            case OpenCase():
                self._open(change)
            case other:
                raise TypeError(f"nobody here writes a {type(other).__name__}")

    def _keep_card(self) -> None:
        """A card that was read earlier may arrive later; what was read last stands."""
        person, holder, time = self.person, self._personal, self._record.event.time
        if person is not None and isinstance(holder, CardHolder) and (person.card_at is None or person.card_at <= time):
            person.name, person.card, person.card_at = holder.name, holder.model_dump_json(), time

    def _keep_attendance(self) -> None:
        facts = self._record.facts
        if self.person is not None and isinstance(facts, Attendance):
            self._session.add(
                AttendanceRow(
                    record_id=self._record.event.id,
                    site_id=facts.site,
                    person_id=self.person.id,
                    time=self._record.event.time,
                    direction=facts.direction,
                    method=facts.method,
                )
            )

    def _open(self, case: OpenCase) -> None:
        row = ReviewCase(
            kind=case.kind,
            record_id=self._record.event.id,
            device_id=self._device.id,
            site_id=self.site_id,
            person_id=self.person.id if self.person is not None else None,
            step=case.step,
            cause=case.cause,
            opened_at=self._now,
            deadline=self._now + self._book.review,
        )
        self._session.add(row)
        self._session.flush()
        self.case_number = row.number


def _person(rows: Rows, personal: Part) -> Person | None:
    match personal:
        case CardHolder() as holder:
            return rows.person_of(holder)
        case PersonReference(number=number):
            return rows.person(number)
        case _:
            return None
