"""Loads and writes bid locks: what the trading centre reports (U5), what staff releases, and the duty that looks for ends.

When a lock ends stands in its row; the duty keeps nothing, so a restart loses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import locks as rule
from sync_agent.registry.rules.locks import CannotRelease, Lock, TenderEvent
from sync_agent.registry.tables import AuditEvent, BidLock, Person

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody whom a tender names."""

    number: str = field(repr=False)
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tender:
    """A tender, and who bids in it with which people.

    Attributes:
        id: by the trading centre.
        uscc: the bidder.
        people: whom the bid names. Nobody: the event is of everybody whom the tender named so far.
    """

    id: str
    uscc: str
    name: str = ""
    people: tuple[Named, ...] = ()


def take(session: Session, tender: Tender, event: TenderEvent, now: datetime, zone: ZoneInfo) -> int:
    """S53, S54: write down an event; late, repeated and early ones are harmless.

    An end that comes before its beginning must name the people, as the trading centre's key does (tender and person).

    Args:
        session: a write transaction.
        tender: which.
        event: what happened to it.
        now: the time.
        zone: whose days count.

    Returns:
        How many locks changed.
    """
    ids = _locked_people(session, tender.people, now)
    for person in ids:
        insert_absent(session, BidLock, {"tender": tender.id, "person_id": person, "uscc": tender.uscc})
    asked = select(BidLock).where(BidLock.tender == tender.id).order_by(BidLock.id)
    if ids:
        asked = asked.where(BidLock.person_id.in_(ids))
    changed = 0
    for row in session.scalars(asked.with_for_update().execution_options(populate_existing=True)):
        row.uscc, row.tender_name = tender.uscc or row.uscc, tender.name or row.tender_name
        changed += _write(row, rule.follow(_lock(row), event, now, zone))
    session.flush()
    log.info("bid.event", tender=tender.id, kind=event.kind, changed=changed)
    return changed


def release(session: Session, lock_id: int, reason: str, actor: str, now: datetime, zone: ZoneInfo) -> None:
    """4.6: release a lock by hand, audited.

    Raises:
        CannotRelease: there is no such lock, it is released already, or the reason is lacking; nothing is changed.
    """
    row = session.get(BidLock, lock_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise CannotRelease(f"there is no bid lock {lock_id}.")
    _write(row, rule.release(_lock(row), reason, now, zone))
    session.add(AuditEvent(at=now, actor=actor, action="bid-lock.release", subject=f"bid-lock {lock_id}"))
    session.flush()


def release_due(session: Session, now: datetime, zone: ZoneInfo) -> int:
    """S54: write down which locks ended with the last day of their award publicity; for a duty, as often as one likes.

    Returns:
        How many.
    """
    today = now.astimezone(zone).date()
    asked = select(BidLock).where(BidLock.released_at.is_(None), BidLock.publicity_ends < today).order_by(BidLock.id)
    ended = sum(_write(row, rule.expire(_lock(row), now, zone)) for row in session.scalars(asked.with_for_update()))
    session.flush()
    if ended:
        log.info("bid.released", locks=ended)
    return ended


def locked(session: Session, people: Collection[int], now: datetime, zone: ZoneInfo) -> frozenset[int]:
    """S53: return who of some people is locked; who is in several bids is free when all are over."""
    asked = select(BidLock).where(BidLock.person_id.in_(people), BidLock.released_at.is_(None))
    return frozenset(row.person_id for row in session.scalars(asked) if rule.is_open(_lock(row), now, zone))


def _locked_people(session: Session, people: Iterable[Named], now: datetime) -> list[int]:
    """Return the registry's references of some people, their rows locked in one order; who is new is remembered."""
    wanted = {one.number: one for one in people}
    for number in sorted(wanted):
        insert_absent(session, Person, {"number_index": number, "number": number, "name": wanted[number].name, "created_at": now})
    asked = select(Person.id).where(Person.number_index.in_(wanted)).order_by(Person.id).with_for_update()
    return list(session.scalars(asked))


def _lock(row: BidLock) -> Lock:
    return Lock(row.locked_at, row.publicity_ends, row.released_at, row.release, row.reason)


def _write(row: BidLock, lock: Lock) -> bool:
    """Write a lock; return whether that changed anything."""
    if lock == _lock(row):
        return False
    row.locked_at, row.publicity_ends, row.released_at = lock.locked_at, lock.publicity_ends, lock.released_at
    row.release, row.reason = lock.release, lock.reason
    return True
