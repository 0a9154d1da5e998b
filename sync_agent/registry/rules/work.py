"""One record at work: what a handler is given, and the changes that any subject may want written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from sync_agent.contract.envelope import Record
from sync_agent.contract.kinds import CardHolder, PersonReference, Verification
from sync_agent.contract.parts import Facts, Part
from sync_agent.registry.rules.decision import Change, Decision, KeepCard, OpenCase, RuleBook
from sync_agent.registry.rules.rows import Rows, enterprise_of
from sync_agent.registry.tables import AuditEvent, Person, ReviewCase, VerificationRow

_Facts = TypeVar("_Facts", bound=Facts)
_Part = TypeVar("_Part", bound=Part)


class Work:
    """A record and the rows it is about, locked where they may change.

    Attributes:
        session: the transaction it is judged in.
        now: the time of that transaction.
        device: the device that signed it.
        site_id: the site it speaks of.
        person: whom it is about, where it is about one; a handler may name them.
        case_number: of the review case that was opened.
    """

    def __init__(self, session: Session, record: Record, personal: Part, book: RuleBook, now: datetime, rows: Rows) -> None:
        """Load the device; what else there is to load is the handler's to say.

        Args:
            session: a write transaction of `Database`.
            record: its signature is checked, and its device is enrolled.
            personal: its opened personal part.
            book: what the operator decides.
            now: the time of this transaction.
            rows: what was loaded for several records together.
        """
        self.session = session
        self.record = record
        self.personal = personal
        self.book = book
        self.now = now
        self.rows = rows
        self.device = rows.device(record)
        self.site_id: str = getattr(record.facts, "site", self.device.site_id)
        self.person: Person | None = None
        self.case_number: str | None = None

    @property
    def time(self) -> datetime:
        """When it happened, by the device's clock."""
        return self.record.event.time

    @property
    def on(self) -> date:
        """The day it was signed on, in the registry's zone."""
        return self.time.astimezone(self.book.zone).date()

    def facts(self, kind: type[_Facts]) -> _Facts:
        """Return the clear part, which is of the kind that the handler is for.

        Raises:
            TypeError: it is not: the handler stands in the wrong place of the table.
        """
        return _of(kind, self.record.facts)

    def sealed(self, kind: type[_Part]) -> _Part:
        """Return the personal part.

        Raises:
            TypeError: as for `facts`.
        """
        return _of(kind, self.personal)

    def about(self) -> Person | None:
        """Load whom the personal part names, lock their row, and make them the one this is about."""
        match self.personal:
            case CardHolder() as holder:
                self.person = self.rows.person_of(holder)
            case PersonReference(number=number):
                self.person = self.rows.person(number)
        return self.person

    def settle(self, decision: Decision, write: Callable[[Change], None] | None = None) -> Decision:
        """Write the changes of a decision in their order, and return it.

        Args:
            decision: what the rule said.
            write: writes the changes that are the subject's own; those that any subject may want are written here.

        Raises:
            TypeError: a change that nobody here writes.
        """
        for change in decision.changes:
            match change:
                case KeepCard():
                    self._keep_card()
                case OpenCase():
                    self._open(change)
                case _ if write is not None:
                    write(change)
                case other:
                    raise TypeError(f"nobody here writes a {type(other).__name__}")
        return decision

    def keep_card(self, person: Person, holder: CardHolder) -> None:
        """Keep what stands on somebody's card. One that was read earlier may arrive later; what was read last stands."""
        if person.card_at is None or person.card_at <= self.time:
            person.name, person.card, person.card_at = holder.name, holder.model_dump_json(), self.time

    def keep_verification(self) -> None:
        """Keep a comparison, whatever comes of it."""
        facts = self.facts(Verification)
        if self.person is not None:
            row = VerificationRow(
                record_id=self.record.event.id,
                site_id=facts.site,
                person_id=self.person.id,
                time=self.time,
                method=facts.method,
                outcome=facts.outcome,
                facts=facts.model_dump(mode="json"),
            )
            self.session.add(row)

    def audit(self, action: str, subject: str) -> None:
        """Note what a device did to what, by its key; nothing personal."""
        self.session.add(AuditEvent(at=self.now, actor=f"device:{self.device.id}"[:64], action=action, subject=subject))

    def _keep_card(self) -> None:
        if self.person is not None and isinstance(self.personal, CardHolder):
            self.keep_card(self.person, self.personal)

    def _open(self, case: OpenCase) -> None:
        row = ReviewCase(
            kind=case.kind,
            record_id=self.record.event.id,
            device_id=self.device.id,
            site_id=self.site_id,
            person_id=self.person.id if self.person is not None else None,
            uscc=enterprise_of(self.record),
            step=case.step,
            cause=case.cause,
            opened_at=self.now,
            deadline=self.now + self.book.review,
        )
        self.session.add(row)
        self.session.flush()
        self.case_number = row.number


def _of(kind: type[_Part], part: Part) -> _Part:
    if not isinstance(part, kind):
        raise TypeError(f"a {type(part).__name__} where a {kind.__name__} was expected")
    return part
