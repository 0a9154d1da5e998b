"""Loads and writes for everything that staff decides: the row locked behind its enterprise, the decision kept and audited."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from sync_agent.registry.rules.applications import CannotDecide, Ruling, SetState
from sync_agent.registry.rules.decision import Change
from sync_agent.registry.tables import AuditEvent, CreditClaim, Enterprise, MakeupRow, QualificationRequest, Submission

Application = TypeVar("Application", Submission, QualificationRequest, MakeupRow, CreditClaim)


def locked(session: Session, kind: type[Application], application_id: int) -> tuple[Application, Enterprise]:
    """Return an application and its enterprise, both locked, the enterprise first as everybody does.

    Raises:
        CannotDecide: no such application.
    """
    found = session.get(kind, application_id)
    if found is None:
        raise CannotDecide(f"there is no {kind.__tablename__} {application_id}.")
    firm = session.get_one(Enterprise, found.uscc, with_for_update=True, populate_existing=True)
    row = session.get_one(kind, application_id, with_for_update=True, populate_existing=True)
    return row, firm


def settle(
    session: Session,
    row: Submission | QualificationRequest | MakeupRow | CreditClaim,
    change: Change,
    ruling: Ruling,
    now: datetime,
) -> None:
    """Write a decision, and who made it.

    Raises:
        TypeError: another change than of the state.
    """
    if not isinstance(change, SetState):
        raise TypeError(f"nobody here writes a {type(change).__name__}")
    row.state, row.reason, row.decided_at = change.state, change.reason, now
    subject = f"{row.__tablename__} {row.id}"
    session.add(AuditEvent(at=now, actor=ruling.actor, action=f"application.{ruling.verdict}", subject=subject))
