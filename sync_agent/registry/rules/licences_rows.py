"""Loads and writes for qualifications and requests about them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.kinds import Request
from sync_agent.contract.requests import QualificationEntry
from sync_agent.registry.rules import applications, applications_rows, documents, requests_rows, submissions_rows
from sync_agent.registry.rules import licences as rule
from sync_agent.registry.rules.applications import CannotDecide, Ruling
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.licences import OWN, Amend, Cancel, Grant, Held, Issue, Pending
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import ApplicationState, Qualification, QualificationRequest


def request(work: Work) -> Decision:
    """S41, S42: an enterprise asks something about a qualification."""
    asked = requests_rows.receive(work, QualificationEntry)
    if isinstance(asked, Decision):
        return asked
    uscc, entry = asked.firm.uscc, asked.body
    work.session.flush()
    waiting = select(QualificationRequest).where(
        QualificationRequest.uscc == uscc, QualificationRequest.state.in_(applications.UNDER_WAY)
    )
    pending = [Pending(row.line, _entry(row).certificate) for row in work.session.scalars(waiting)]
    line = submissions_rows.line_of(work.session, entry.line, entry.grade, work.on)
    lacks = [*asked.lacks, *documents.wanted(work.facts(Request).attachments, "evidence")]
    decision = rule.request(asked.firm.region, entry, line, _held(work.session, uscc), pending, lacks, work.on)

    def write(_: Change) -> None:
        work.session.add(
            QualificationRequest(
                record_id=work.record.event.id,
                uscc=uscc,
                action=entry.action,
                line=entry.line,
                grade=entry.grade,
                content=entry.model_dump_json(),
                state=ApplicationState.SUBMITTED,
                at=work.now,
                decided_at=None,
            )
        )

    return requests_rows.settle(work, asked, decision, write)


def decide(session: Session, request_id: int, ruling: Ruling, now: datetime, grant: Grant | None = None) -> ApplicationState:
    """S41: have staff decide about a request.

    Args:
        session: a write transaction.
        request_id: which.
        ruling: what is decided, and by whom.
        now: the time.
        grant: what the certificate says that is issued with it.

    Returns:
        Its state from now on.

    Raises:
        CannotDecide: no such request, or it cannot be decided so; nothing is changed.
    """
    row, _ = applications_rows.locked(session, QualificationRequest, request_id)
    for change in rule.decide(row.state, _entry(row), _held(session, row.uscc), ruling, grant, now):
        match change:
            case Issue():
                new = Qualification(uscc=row.uscc, cancelled_at=None, source=OWN)
                session.add(_written(new, change, now))
            case Amend():
                _written(_named(session, row.uscc, change.certificate), change, now)
            case Cancel():
                named = _named(session, row.uscc, change.certificate)
                named.cancelled_at = named.changed_at = change.at
            case _:
                applications_rows.settle(session, row, change, ruling, now)
    return row.state


def _written(row: Qualification, change: Issue | Amend, now: datetime) -> Qualification:
    grant = change.grant
    row.number, row.line, row.grade, row.issuer = grant.number, change.line, change.grade or row.grade or "", grant.issuer
    row.valid_from, row.valid_until, row.changed_at = grant.valid_from, grant.valid_until, now
    return row


def _named(session: Session, uscc: str, number: str) -> Qualification:
    found = session.scalar(select(Qualification).where(Qualification.uscc == uscc, Qualification.number == number))
    if found is None:
        raise CannotDecide("the qualification that it is about is not there any more. Return the request.")
    return found


def _held(session: Session, uscc: str) -> list[Held]:
    rows = session.scalars(select(Qualification).where(Qualification.uscc == uscc).order_by(Qualification.id))
    return [Held(row.number, row.line, row.grade, row.source, row.valid_until, row.cancelled_at is not None) for row in rows]


def _entry(row: QualificationRequest) -> QualificationEntry:
    return QualificationEntry.model_validate_json(row.content)
