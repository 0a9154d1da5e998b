"""Loads and writes for credit records and claims."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.kinds import Request
from sync_agent.contract.requests import CreditEntry
from sync_agent.registry.rules import applications_rows, documents, requests_rows
from sync_agent.registry.rules import credit as rule
from sync_agent.registry.rules.applications import Ruling
from sync_agent.registry.rules.credit import AddCredit
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.licences import OWN
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import ApplicationState, CreditClaim, CreditRecord, Employment, LibraryStatus


def claim(work: Work) -> Decision:
    """S61: an enterprise reports something for a credit record."""
    asked = requests_rows.receive(work, CreditEntry)
    if isinstance(asked, Decision):
        return asked
    uscc, entry = asked.firm.uscc, asked.body
    person = work.rows.person(entry.number) if entry.number else None
    is_of_firm = person is not None and _works_for(work.session, uscc, person.id)
    lacks = [*asked.lacks, *documents.wanted(work.facts(Request).attachments, "evidence")]

    def write(_: Change) -> None:
        work.session.add(
            CreditClaim(
                record_id=work.record.event.id,
                uscc=uscc,
                person_id=None if person is None else person.id,
                content=entry.model_dump_json(),
                state=ApplicationState.SUBMITTED,
                at=work.now,
                decided_at=None,
            )
        )

    return requests_rows.settle(work, asked, rule.claim(entry, is_of_firm, lacks, work.on), write)


def decide(session: Session, claim_id: int, ruling: Ruling, now: datetime, points: float = 0.0) -> ApplicationState:
    """S61: have staff decide about a claim.

    Args:
        session: a write transaction.
        claim_id: which.
        ruling: what is decided, and by whom.
        now: the time.
        points: what it is worth, where it is accepted.

    Returns:
        Its state from now on.

    Raises:
        CannotDecide: no such claim, or it cannot be decided so; nothing is changed.
    """
    row, _ = applications_rows.locked(session, CreditClaim, claim_id)
    entry = CreditEntry.model_validate_json(row.content)
    for change in rule.decide(row.state, entry, ruling, points):
        if isinstance(change, AddCredit):
            credit = CreditRecord(
                uscc=None if row.person_id is not None else row.uscc,
                person_id=row.person_id,
                is_bonus=change.is_bonus,
                title=entry.title,
                points=change.points,
                on=entry.on,
                source=OWN,
                key=row.record_id,
            )
            session.add(credit)
            session.flush()
            row.credit_id = credit.id
        else:
            applications_rows.settle(session, row, change, ruling, now)
    return row.state


def _works_for(session: Session, uscc: str, person: int) -> bool:
    asked = select(Employment.id).where(
        Employment.uscc == uscc, Employment.person_id == person, Employment.status != LibraryStatus.LEFT
    )
    session.flush()
    return session.scalar(asked.limit(1)) is not None
