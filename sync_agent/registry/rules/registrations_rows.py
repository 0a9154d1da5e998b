"""Raises changes of the business registration, and writes what staff decides of them, of regions and legal representatives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import enterprises, firm_rows, registrations
from sync_agent.registry.rules.accounts import Named
from sync_agent.registry.rules.accounts_rows import person_named
from sync_agent.registry.rules.agents_rows import NotWaiting, end_term
from sync_agent.registry.rules.decision import Change
from sync_agent.registry.rules.regions import region
from sync_agent.registry.rules.registrations import Item, Move, Rename, ReplaceLegalRep, SuspendAgent
from sync_agent.registry.tables import (
    AgentStatus,
    AuditEvent,
    BusinessRegChange,
    CaseKind,
    CaseState,
    ChangeState,
    Enterprise,
    LegalRepStatus,
    Region,
    ReviewCase,
)


@dataclass(frozen=True, slots=True)
class Reported:
    """A change as an upstream system reports it; of a legal representative, old and new as `of_person` writes them.

    Attributes:
        source: the connector's name.
        key: names this change at its source.
    """

    uscc: str
    source: str
    key: str
    item: Item
    old: str
    new: str

    def __repr__(self) -> str:
        """Tell no values."""
        return f"Reported({self.source}, {self.item})"


def of_person(named: Named) -> str:
    """Return a legal representative as the old or new value of a change."""
    return json.dumps({"number": named.number, "name": named.name}, ensure_ascii=False)


def report(session: Session, change: Reported, now: datetime) -> bool:
    """S62: raise a change; for the connectors. Return whether it is new; the same again changes nothing."""
    values = {
        "uscc": change.uscc,
        "source": change.source,
        "key": change.key,
        "item": change.item,
        "old": change.old,
        "new": change.new,
        "detail": {},
        "state": ChangeState.OPEN,
        "seen_at": now,
    }
    return insert_absent(session, BusinessRegChange, values)


def accept(session: Session, change: int, by: str, now: datetime) -> None:
    """S62: staff accepts a change, and what follows of it is done in the same transaction.

    Raises:
        NotWaiting: it is decided.
    """
    row, enterprise = _waiting(session, change)
    item = Item(row.item)
    new, number = row.new, ""
    if item is Item.LEGAL_REPRESENTATIVE:
        named = json.loads(row.new)
        new, number = named["name"], named["number"]
    firm = firm_rows.of(session, enterprise)
    is_overridden = bool(enterprise.region_reason)
    _write(session, enterprise, registrations.accept(firm, item, new, number, is_overridden=is_overridden), now)
    row.state, row.decided_at = ChangeState.ACCEPTED, now
    session.add(AuditEvent(at=now, actor=by, action="registration.accepted", subject=f"{enterprise.uscc} {item}"))


def reject(session: Session, change: int, by: str, now: datetime) -> None:
    """S62: staff rejects a change; nothing follows.

    Raises:
        NotWaiting: it is decided.
    """
    row, enterprise = _waiting(session, change)
    row.state, row.decided_at = ChangeState.REJECTED, now
    session.add(AuditEvent(at=now, actor=by, action="registration.rejected", subject=f"{enterprise.uscc} {row.item}"))


def set_region(session: Session, uscc: str, wanted: Region | None, reason: str, by: str, now: datetime) -> None:
    """S17: staff sets a region against the rule, with a reason; None goes back to the rule.

    Raises:
        ValueError: no reason is given.
    """
    if wanted is not None and not reason.strip():
        raise ValueError("a region is set against the rule only with a reason")
    row = session.get_one(Enterprise, uscc, with_for_update=True)
    row.region = wanted or region(row.division, uscc)
    row.region_reason, row.changed_at = (reason if wanted is not None else ""), now
    session.add(AuditEvent(at=now, actor=by, action="region.set", subject=f"{uscc} {row.region}"))


def review_legal_rep(session: Session, uscc: str, by: str, now: datetime, *, is_approved: bool) -> None:
    """Section 4.1: staff decides about a legal representative in review; their open cases are decided with it.

    Raises:
        NotWaiting: nobody is in review.
    """
    row = session.get_one(Enterprise, uscc, with_for_update=True)
    change = enterprises.review(firm_rows.of(session, row), is_approved=is_approved)
    if change is None:
        raise NotWaiting(f"no legal representative of {uscc} is in review. Look at the enterprise again.")
    theirs = row.legal_rep_person_id
    row.legal_rep_status, row.legal_rep_fails, row.legal_rep_at = change.status, change.fails, now
    if not is_approved and not row.legal_rep_is_named:
        row.legal_rep_person_id = None  # only the card that was rejected said who it is
    kinds = (CaseKind.LEGAL_REPRESENTATIVE, CaseKind.MANUAL_CHECK, CaseKind.COMPARISON, CaseKind.DOUBTFUL_CARD)
    of_theirs = ReviewCase.uscc == uscc, ReviewCase.person_id == theirs, ReviewCase.kind.in_(kinds)
    for case in session.scalars(select(ReviewCase).where(*of_theirs, ReviewCase.state == CaseState.OPEN).with_for_update()):
        case.state, case.decided_at = (CaseState.APPROVED if is_approved else CaseState.REJECTED), now
    session.add(AuditEvent(at=now, actor=by, action="legal-rep.reviewed", subject=f"{uscc} {change.status}"))


def _waiting(session: Session, change: int) -> tuple[BusinessRegChange, Enterprise]:
    uscc = session.scalars(select(BusinessRegChange.uscc).where(BusinessRegChange.id == change)).one()
    enterprise = session.get_one(Enterprise, uscc, with_for_update=True)
    row = session.get_one(BusinessRegChange, change, with_for_update=True)
    if row.state is not ChangeState.OPEN:
        raise NotWaiting("this change of the registration is decided already. Look at the enterprise again.")
    return row, enterprise


def _write(session: Session, enterprise: Enterprise, changes: Iterable[Change], now: datetime) -> None:
    enterprise.changed_at = now
    for change in changes:
        match change:
            case Rename(name=name):
                enterprise.name = name
            case Move(division=division, region=where):
                enterprise.division, enterprise.region = division, where
            case SuspendAgent():
                end_term(session, enterprise.uscc, AgentStatus.SUSPENDED, "legal-representative-changed", now)
            case ReplaceLegalRep(number=number, name=name):
                person = person_named(session, Named(number, name), now)
                enterprise.legal_rep_person_id = person.id if person is not None else None
                enterprise.legal_rep_is_named = person is not None
                enterprise.legal_rep_status, enterprise.legal_rep_fails = LegalRepStatus.NOT_CAPTURED, 0
                enterprise.legal_rep_at = now
            case other:
                raise TypeError(f"nobody here writes a {type(other).__name__}")
