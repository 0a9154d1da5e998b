"""Loads and writes flags: raised and cleared by connectors, by staff, and by the registry itself (S50-S52, domain.md 12.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import flags as rule
from sync_agent.registry.rules import locks
from sync_agent.registry.rules.flags import REGISTRY, CannotClear
from sync_agent.registry.tables import (
    AbnormalCode,
    AbnormalFlag,
    AttendanceRow,
    AuditEvent,
    Employment,
    LibraryStatus,
    Person,
    Personnel,
    VerificationRow,
)

log = structlog.get_logger(__name__)

EVERYWHERE: Final = ""
"""Stands for all enterprises in a flag."""


def raise_flag(session: Session, person: int, uscc: str, code: AbnormalCode, text: str, by: str, now: datetime) -> bool:
    """S50: raise a flag; one that is open already stays as it is.

    Args:
        session: a write transaction.
        person: whom it is on.
        uscc: in which enterprise; `EVERYWHERE`.
        code: what is wrong; each has words of ours (`abnormal` in the words of the pages).
        text: what its source says of it; may be empty.
        by: a connector's name, `staff:` and a name, or `REGISTRY`.
        now: the time.

    Returns:
        Whether it was raised.
    """
    values = {"person_id": person, "uscc": uscc, "code": code, "text": text, "raised_by": by, "raised_at": now}
    is_new = insert_absent(session, AbnormalFlag, values)
    if is_new:
        session.add(AuditEvent(at=now, actor=by, action="flag.raise", subject=f"person {person} {code}"))
    return is_new


def clear(session: Session, person: int, uscc: str, code: AbnormalCode, by: str, now: datetime) -> None:
    """S51, S52: clear a flag in one enterprise, or the one of everywhere.

    Raises:
        CannotClear: no such flag is open, or it is not theirs to clear; nothing is changed.
    """
    asked = select(AbnormalFlag).where(
        AbnormalFlag.person_id == person,
        AbnormalFlag.uscc == uscc,
        AbnormalFlag.code == code,
        AbnormalFlag.cleared_at.is_(None),
    )
    flag = session.scalar(asked.with_for_update())
    if flag is None:
        raise CannotClear(f"no flag {code} is open there; look again.")
    if not rule.may_clear(code, flag.raised_by, by):
        raise CannotClear(f"{code} is cleared by whoever it comes from; ask there.")
    _clear(session, flag, by, now)


def clear_employers(session: Session, person: int, by: str, now: datetime) -> int:
    """S51: the training centre says that somebody's employers are in order: their flags go, at every enterprise.

    Returns:
        How many flags went.

    Raises:
        CannotClear: somebody else says so.
    """
    if not rule.may_clear(AbnormalCode.MULTI_EMPLOYER, REGISTRY, by):
        raise CannotClear("only the training centre clears MULTI_EMPLOYER: it follows a transfer notice.")
    asked = select(AbnormalFlag).where(
        AbnormalFlag.person_id == person, AbnormalFlag.code == AbnormalCode.MULTI_EMPLOYER, AbnormalFlag.cleared_at.is_(None)
    )
    flags = session.scalars(asked.order_by(AbnormalFlag.id).with_for_update()).all()
    for flag in flags:
        _clear(session, flag, by, now)
    return len(flags)


def flag_employers(session: Session, people: Collection[int], now: datetime) -> int:
    """S51: flag those of some people who work for several enterprises, at each of them.

    Asked when an employment begins, not at every report: what the training centre cleared is not raised again by itself.

    Returns:
        How many flags were raised.
    """
    session.flush()
    employers: defaultdict[int, set[str]] = defaultdict(set)
    asked = select(Employment.person_id, Employment.uscc, Employment.source, Employment.status)
    for person, uscc, source, status in session.execute(asked.where(Employment.person_id.in_(people))):
        if rule.is_employer(source, status):
            employers[person].add(uscc)
    return sum(
        raise_flag(session, person, uscc, AbnormalCode.MULTI_EMPLOYER, "", REGISTRY, now)
        for person in sorted(employers)
        for uscc in rule.employers_to_flag(employers[person])
    )


def flag_lapsed(session: Session, now: datetime, zone: ZoneInfo) -> int:
    """12.3: flag everybody in a library of whom there are no data of the last year; for a duty, once a day.

    Data are a passage of a gate, a comparison, a card that was read, the entry into a library, a retraining that was reported.

    Returns:
        How many flags were raised.
    """
    last = rule.year_before(now.astimezone(zone).date())
    since = locks.over(last, zone)  # data from then on are less than a year old
    me = Person.id

    def any_since(owner: InstrumentedAttribute[int], at: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(owner == me, at)

    in_library = or_(
        any_since(Employment.person_id, Employment.status == LibraryStatus.IN_LIBRARY),
        any_since(Personnel.person_id, Personnel.status == LibraryStatus.IN_LIBRARY),
    )
    has_data = or_(
        Person.card_at >= since,
        any_since(Employment.person_id, Employment.in_library_at >= since),
        any_since(Personnel.person_id, Personnel.effective_from >= since),
        any_since(AttendanceRow.person_id, AttendanceRow.time >= since),
        any_since(VerificationRow.person_id, VerificationRow.time >= since),
        any_since(
            AbnormalFlag.person_id,
            (AbnormalFlag.code == AbnormalCode.RETRAIN_DUE)
            & (AbnormalFlag.cleared_at.is_(None) | (AbnormalFlag.cleared_at >= since)),
        ),
    )
    # `card_at` may be NULL, and NULL is neither: what is not known to be there is not there.
    due = session.scalars(select(me).where(in_library, has_data.is_not(True)).order_by(me)).all()
    raised = sum(raise_flag(session, person, EVERYWHERE, AbnormalCode.RETRAIN_DUE, "", REGISTRY, now) for person in due)
    if raised:
        log.info("flags.retraining-due", people=raised)
    return raised


def _clear(session: Session, flag: AbnormalFlag, by: str, now: datetime) -> None:
    flag.cleared_at, flag.cleared_by = now, by
    session.add(AuditEvent(at=now, actor=by, action="flag.clear", subject=f"person {flag.person_id} {flag.code}"))
    session.flush()
