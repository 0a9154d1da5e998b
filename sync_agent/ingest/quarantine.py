"""Quarantine: what cannot become a record is kept, once however often it comes, with the reason; of a flood only a part.

Who sends garbage without end would else fill the registry. So much is kept of each device within a day; what comes beyond that is
counted in an alarm, answered like all else, and gone. After some months the bytes are deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import structlog
from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from sync_agent.contract import topics
from sync_agent.contract.codes import Fault
from sync_agent.contract.topics import BadTopic, DeviceId
from sync_agent.fleet import alarms
from sync_agent.ingest.check import Bad
from sync_agent.ingest.inbox import Letter
from sync_agent.registry.database import Database
from sync_agent.registry.tables import AlarmKind, Quarantine

log = structlog.get_logger(__name__)

KEPT_BYTES: Final = 64 * 1024
"""So much of a message that is no record is kept."""

KEPT_A_DAY: Final = 100
BYTES_A_DAY: Final = 2 * 1024 * 1024
"""At either no more is kept of one device within a day, and as much again of what it signed; what came on no device's topic is of
one device here."""

DAY: Final = timedelta(days=1)

CHUNK: Final = 1000
"""So many rows are named in one statement."""

DELETED: Final = "its bytes were deleted; it is kept because it explains a gap"

_Key = tuple[str, Fault, str]
"""SHA-256, fault, topic: what one row is of."""


@dataclass(slots=True)
class _Met:
    """Something to be kept, and how often it was met in this transaction."""

    letter: Letter
    bad: Bad
    times: int = 0

    @property
    def content(self) -> bytes:
        """All of it."""
        return self.letter.payload if self.bad.content is None else self.bad.content

    @property
    def device(self) -> DeviceId | None:
        """Whose topic it came on."""
        try:
            return topics.heard(self.letter.topic).device
        except BadTopic:
            return None


class Quarantined:
    """What is to be kept of one transaction, written at its end: in a fixed order, for each is a row lock."""

    def __init__(self) -> None:
        self._met: dict[_Key, _Met] = {}

    def add(self, letter: Letter, bad: Bad) -> str:
        """Have a message kept, or the one record of it that was the cause; return the SHA-256 of the whole message."""
        whole = sha256(letter.payload).hexdigest()
        key = (bad.digest or whole, bad.fault, _text(letter.topic, 256))
        self._met.setdefault(key, _Met(letter, bad)).times += 1
        return whole

    def write(self, session: Session, gathered: alarms.Gathered) -> None:
        """Write it; what there is no room for is counted in an alarm.

        Args:
            session: a write transaction.
            gathered: the alarms of the same transaction, sounded after this.
        """
        if not self._met:
            return
        known = self._known(session)
        room: dict[tuple[DeviceId | None, bool], _Room] = {}
        for key, met in sorted(self._met.items()):
            if key not in known:
                device, is_signed = met.device, met.bad.place is not None
                if (device, is_signed) not in room:
                    room[device, is_signed] = _Room.of(session, device, is_signed, met.letter.received_at - DAY)
                if not room[device, is_signed].takes(len(met.content[:KEPT_BYTES])):
                    detail = f"more than {KEPT_A_DAY} messages or {BYTES_A_DAY} bytes within a day are no records: only counted"
                    gathered.add(AlarmKind.FLOOD, device, "quarantine", detail, times=met.times)
                    continue
                size = len(met.content)
                log.warning("message.quarantined", device=device, fault=met.bad.fault.value, size=size, times=met.times)
            _keep(session, key, met)

    def _known(self, session: Session) -> set[_Key]:
        asked = select(Quarantine.sha256, Quarantine.fault, Quarantine.topic)
        rows = session.execute(asked.where(Quarantine.sha256.in_({name for name, _, _ in self._met})))
        return {(name, fault, topic) for name, fault, topic in rows}


@dataclass(slots=True)
class _Room:
    """How much more may be kept of a device."""

    rows: int
    size: int

    @classmethod
    def of(cls, session: Session, device: DeviceId | None, is_signed: bool, since: datetime) -> _Room:
        """Return what is left of what may be kept since then, of what was signed or of the rest."""
        size = func.sum(case((Quarantine.size > KEPT_BYTES, KEPT_BYTES), else_=Quarantine.size))
        placed = Quarantine.seq.is_not(None) if is_signed else Quarantine.seq.is_(None)
        asked = select(func.count(), size).where(Quarantine.device_id == device, placed, Quarantine.at > since)
        rows, kept = session.execute(asked).one()
        return cls(KEPT_A_DAY - rows, BYTES_A_DAY - (kept or 0))

    def takes(self, size: int) -> bool:
        """Take one more of so many bytes, if there is room for it."""
        if self.rows < 1 or self.size < size:
            return False
        self.rows, self.size = self.rows - 1, self.size - size
        return True


def _keep(session: Session, key: _Key, met: _Met) -> None:
    """Put a row in, or count up the one that is there, be it since this very moment."""
    (name, fault, topic), bad, at = key, met.bad, met.letter.received_at
    epoch, seq = bad.place or (None, None)
    values: dict[str, Any] = {
        "topic": topic,
        "fault": fault,
        "detail": _text(bad.detail, 500),
        "device_id": met.device,
        "epoch": epoch,
        "seq": seq,
        "sha256": name,
        "size": len(met.content),
        "raw": met.content[:KEPT_BYTES],
        "times": met.times,
        "at": at,
        "last_at": at,
    }
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(Quarantine).values(values)
    counted_up = new.on_conflict_do_update(
        index_elements=["sha256", "fault", "topic"],
        set_={"times": Quarantine.times + new.excluded.times, "last_at": new.excluded.last_at},
    )
    session.execute(counted_up)


def clear_out(database: Database, days: int, now: datetime) -> None:
    """Delete what came so many days ago and not since; of what explains a gap in a chain only the bytes."""
    with database.write() as session:
        old = select(Quarantine.id).where(Quarantine.last_at < now - timedelta(days=days), Quarantine.detail != DELETED)
        numbers = session.scalars(old.with_for_update(skip_locked=True)).all()  # what comes again just now is left
        for first in range(0, len(numbers), CHUNK):
            some = Quarantine.id.in_(numbers[first : first + CHUNK])
            session.execute(delete(Quarantine).where(some, or_(Quarantine.seq.is_(None), Quarantine.fault == Fault.EQUIVOCATION)))
            session.execute(update(Quarantine).where(some).values(raw=b"", detail=DELETED))
    log.info("quarantine.cleared-out", rows=len(numbers), days=days)


def _text(text: str, most: int) -> str:
    return text[:most].replace("\0", "�")
