"""Sounds, lists and clears alarms: what in the fleet a person must look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sync_agent.contract.topics import DeviceId
from sync_agent.registry.tables import Alarm, AlarmKind, AuditEvent
from sync_agent.registry.tables.alarms import OF_A_DEVICE, OF_NO_DEVICE

log = structlog.get_logger(__name__)

SUBJECT_MAX: Final = 100
DETAIL_MAX: Final = 500

_Name = tuple[AlarmKind, DeviceId | None, str]
"""Kind, device, subject."""


def sound(
    session: Session,
    kind: AlarmKind,
    device: DeviceId | None,
    subject: str,
    detail: str,
    now: datetime,
    *,
    times: int = 1,
) -> None:
    """Open an alarm, or count up the one that is open for the same kind, device and subject.

    Who sounds several in one transaction does so in a fixed order (kind, device, subject), for each is a row lock.

    Args:
        session: a write transaction.
        kind: what is wrong.
        device: which device; None where it is the centre's own.
        subject: what it is about; together with kind and device it names one alarm, so it should not vary without end.
        detail: what was seen, nothing personal.
        now: the time.
        times: how often it was seen.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(Alarm).values(
        kind=kind,
        device_id=device,
        subject=subject[:SUBJECT_MAX],
        detail=detail[:DETAIL_MAX],
        times=times,
        first_at=now,
        last_at=now,
    )
    counted_up = new.on_conflict_do_update(
        index_elements=["kind", "subject"] if device is None else ["kind", "device_id", "subject"],
        index_where=text(OF_NO_DEVICE if device is None else OF_A_DEVICE),
        set_={"times": Alarm.times + new.excluded.times, "detail": new.excluded.detail, "last_at": new.excluded.last_at},
    )
    session.execute(counted_up)
    log.warning("alarm", kind=kind.value, device=device, subject=subject, detail=detail, times=times)


class Gathered:
    """Alarms of one transaction, sounded and cleared at its end: each once, with how often it was met, in the fixed order."""

    def __init__(self) -> None:
        self._met: dict[_Name, tuple[str, int]] = {}
        self._over: set[_Name] = set()

    def add(self, kind: AlarmKind, device: DeviceId | None, subject: str, detail: str, *, times: int = 1) -> None:
        """Gather one; the arguments are those of `sound`."""
        name = (kind, device, subject)
        self._met[name] = (detail, self._met.get(name, ("", 0))[1] + times)
        self._over.discard(name)

    def clear(self, kind: AlarmKind, device: DeviceId | None, subject: str) -> None:
        """Gather the end of one, unless it is met again."""
        self._over.add((kind, device, subject))

    def sound(self, session: Session, now: datetime) -> None:
        """Sound them, and clear those that are over."""
        for kind, device, subject in sorted(self._met.keys() | self._over, key=lambda name: (name[0], name[1] or "", name[2])):
            if (kind, device, subject) in self._over:
                clear(session, kind, device, subject, now)
            else:
                detail, times = self._met[kind, device, subject]
                sound(session, kind, device, subject, detail, now, times=times)


def clear(session: Session, kind: AlarmKind, device: DeviceId | None, subject: str, now: datetime) -> bool:
    """Close the open alarm of that kind, device and subject; return whether there was one."""
    named = (Alarm.kind == kind, Alarm.device_id == device, Alarm.subject == subject[:SUBJECT_MAX], Alarm.cleared_at.is_(None))
    return bool(session.execute(update(Alarm).where(*named).values(cleared_at=now).returning(Alarm.id)).all())


def clear_number(session: Session, number: int, now: datetime, actor: str) -> bool:
    """Close an open alarm that a person has looked at, and remember who; return whether there was one."""
    alarm = session.scalars(select(Alarm).where(Alarm.id == number, Alarm.cleared_at.is_(None)).with_for_update()).first()
    if alarm is None:
        return False
    alarm.cleared_at = now
    session.add(AuditEvent(at=now, actor=actor, action="alarm.clear", subject=f"{alarm.id} {alarm.kind}"))
    session.flush()
    return True


def line(alarm: Alarm) -> str:
    """Return an alarm as one line for the operator."""
    since = f"{alarm.first_at:%Y-%m-%d %H:%M:%S}Z"
    times = f"{alarm.times} times, last {alarm.last_at:%Y-%m-%d %H:%M:%S}Z" if alarm.times > 1 else "once"
    where = f"{alarm.kind:<22} {alarm.device_id or 'centre':<24}"
    return f"{alarm.id:>6} {where} {alarm.subject}: {alarm.detail} (since {since}, {times})"


def open_alarms(session: Session, device: DeviceId | None = None) -> Sequence[Alarm]:
    """Return the open alarms, of one device or of all, the newest first."""
    asked = select(Alarm).where(Alarm.cleared_at.is_(None)).order_by(Alarm.last_at.desc(), Alarm.id.desc())
    return session.scalars(asked if device is None else asked.where(Alarm.device_id == device)).all()
