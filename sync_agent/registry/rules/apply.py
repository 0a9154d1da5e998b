"""Finds who decides about a record and has them do it: inside the caller's transaction, together with the ledger's row.

That a record applies once is the ledger's doing; that two at once do no harm is done by row locks and constraints.

A handler loads what its rule needs (`..._rows.py`), asks the rule, which is pure, and writes what it says with `Work.settle`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.envelope import Record
from sync_agent.contract.kinds import Attendance, Capture, Case, Chain, Health, Piece, Purpose, Request, Verification
from sync_agent.contract.parts import Part
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import RequestKind
from sync_agent.registry.rules import (
    agents_rows,
    cases,
    credit_rows,
    documents_rows,
    enterprises_rows,
    licences_rows,
    permits_rows,
    personnel_rows,
    projects_rows,
    site_rows,
    submissions_rows,
)
from sync_agent.registry.rules.decision import Decision, RuleBook
from sync_agent.registry.rules.rows import Rows
from sync_agent.registry.rules.work import Work

Handler = Callable[[Work], Decision]

CAPTURES: Final[Mapping[Purpose, Handler]] = {
    Purpose.WORKER: site_rows.capture,
    Purpose.LEGAL_REPRESENTATIVE: enterprises_rows.capture_legal_rep,
    Purpose.PERSONNEL: personnel_rows.capture,
}
"""Who decides about a card that was read for something."""

VERIFICATIONS: Final[Mapping[Purpose, Handler]] = {
    Purpose.WORKER: site_rows.verify,
    Purpose.LEGAL_REPRESENTATIVE: enterprises_rows.verify_legal_rep,
    Purpose.PERSONNEL: personnel_rows.verify,
    Purpose.SIGNING: enterprises_rows.sign,
}
"""Who decides about a comparison that was made for something."""

REQUESTS: Final[Mapping[RequestKind, Handler]] = {
    RequestKind.PROFILE: enterprises_rows.update_profile,
    RequestKind.AGENT_CONTACT: agents_rows.edit_contact,
    RequestKind.PERSON: personnel_rows.add,
    RequestKind.SUBMISSION: submissions_rows.submit,
    RequestKind.QUALIFICATION: licences_rows.request,
    RequestKind.SAFETY_PERMIT: permits_rows.add,
    RequestKind.MAKEUP: projects_rows.make_up,
    RequestKind.CREDIT: credit_rows.claim,
}
"""Who decides about what an enterprise asks for."""


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
    if rows is None:
        rows = Rows(session, now)
        rows.load([(record, personal)])
    work = Work(session, record, personal, book, now, rows)
    decision = _other_site(work) if work.site_id != work.device.site_id else _handler(record)(work)
    return Applied(
        standing=decision.standing,
        code=decision.code,
        effective_from=decision.effective_from,
        case_number=work.case_number,
        site_id=work.site_id,
        person_id=work.person.id if work.person is not None else None,
        gaps=decision.gaps,
    )


def _handler(record: Record) -> Handler:
    """Return who decides about a record.

    Raises:
        NoRule: nobody.
    """
    handler: Handler | None
    match record.facts:
        case Capture(purpose=purpose):
            handler, what = CAPTURES.get(purpose), f"captures for {purpose}"
        case Verification(purpose=purpose):
            handler, what = VERIFICATIONS.get(purpose), f"verifications for {purpose}"
        case Attendance():
            return site_rows.attend
        case Case():
            return site_rows.ask
        case Health():
            return site_rows.report
        case Piece():
            return documents_rows.piece
        case Chain():
            return agents_rows.authorise
        case Request(about=about):
            handler, what = REQUESTS.get(about), f"requests about {about}"
        case facts:
            handler, what = None, f"records of kind {facts.kind!r}"
    if handler is None:
        raise NoRule(f"no rule handles {what}. Upgrade the sync agent before the kiosks.")
    return handler


def _other_site(work: Work) -> Decision:
    """A device that speaks of another site changes nothing there; who was before it is remembered with the case."""
    work.about()
    if isinstance(work.record.facts, Verification):
        work.keep_verification()
    return work.settle(cases.other_site())
