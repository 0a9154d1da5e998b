"""Loads and writes for qualification submissions."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.requests import SubmissionEntry
from sync_agent.registry.rules import applications, applications_rows, library, library_rows, permits_rows, requests_rows
from sync_agent.registry.rules import submissions as rule
from sync_agent.registry.rules.applications import Ruling
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.requests_rows import Asked
from sync_agent.registry.rules.submissions import AddSubmission, CompleteFiling, Line, Situation
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import ApplicationState, QualificationLine, Submission


def submit(work: Work) -> Decision:
    """S19-S28: an enterprise submits."""
    asked = requests_rows.receive(work, SubmissionEntry)
    if isinstance(asked, Decision):
        return asked
    lead = work.rows.person(asked.body.technical_lead)

    def write(change: Change) -> None:
        assert isinstance(change, AddSubmission) and lead is not None
        work.session.add(
            Submission(
                record_id=work.record.event.id,
                uscc=asked.firm.uscc,
                line=asked.body.line,
                grade=asked.body.grade,
                technical_lead_id=lead.id,
                state=ApplicationState.SUBMITTED,
                at=work.now,
                decided_at=None,
            )
        )

    return requests_rows.settle(work, asked, rule.submit(asked.firm, asked.body, _situation(work, asked)), write)


def decide(session: Session, submission_id: int, ruling: Ruling, now: datetime) -> ApplicationState:
    """S25: have staff decide about a submission.

    Args:
        session: a write transaction.
        submission_id: which.
        ruling: what is decided, and by whom.
        now: the time.

    Returns:
        Its state from now on.

    Raises:
        CannotDecide: no such submission, or it cannot be decided so; nothing is changed.
    """
    row, firm = applications_rows.locked(session, Submission, submission_id)
    for change in rule.decide(row.state, firm.region, firm.filing_complete_at, ruling, now):
        if isinstance(change, CompleteFiling):
            firm.filing_complete_at = change.at
        else:
            applications_rows.settle(session, row, change, ruling, now)
    return row.state


def line_of(session: Session, line: str, grade: str, on: date) -> Line | None:
    """Return how the vocabulary has a line and grade; None: not at all."""
    row = session.get(QualificationLine, (line, grade))
    if row is None:
        return None
    return Line(row.family, row.valid_from <= on and (row.valid_until is None or on <= row.valid_until))


def _situation(work: Work, asked: Asked[SubmissionEntry]) -> Situation:
    uscc, entry = asked.firm.uscc, asked.body
    same = select(Submission.id).where(
        Submission.uscc == uscc, Submission.line == entry.line, Submission.state.in_(applications.UNDER_WAY)
    )
    who = work.rows.person(entry.technical_lead)
    posts = () if who is None else library_rows.posts(work.session, uscc, who.id, work.now, work.book.zone)
    people = library_rows.people(work.session, uscc, work.now, work.book.zone)
    wanted = library_rows.requirements(work.session, entry.line, entry.grade)
    return Situation(
        people=library.gaps(wanted, people, work.on),
        lead=library.technical_lead_fault(posts, work.on),
        line=line_of(work.session, entry.line, entry.grade, work.on),
        has_permit=permits_rows.in_effect(work.session, uscc, work.on) is not None,
        has_open=work.session.scalar(same.limit(1)) is not None,
        documents=asked.lacks,
    )
