"""What a person must look at: one open row for each thing that is wrong, counted up for as long as it goes on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.registry.tables.base import Base, Id, words


class AlarmKind(StrEnum):
    """What is wrong."""

    EQUIVOCATION = "equivocation"
    """A device signed two different records under one sequence: cloned, or rolled back. Subject: the epoch."""
    BROKEN_CHAIN = "broken-chain"
    """A record does not name the one before it. Subject: the epoch."""
    ROLLED_BACK = "rolled-back"
    """A device says it has signed less, or other, than the centre holds of it. Subject: the epoch."""
    CLOCK = "clock"
    """A device's clock is far off, or went backwards within one start. Subject: which of the two."""
    REVOKED_STILL_SENDING = "revoked-still-sending"
    """Something signed with a revoked key arrives: its session at the broker is not ended. Subject: the key."""
    GAP = "gap"
    """Records that a device has signed are missing and do not come. Subject: the epoch."""
    FLOOD = "flood"
    """A device sends so much that is no record that only a part of it is kept. Subject: where it would be kept."""
    UNREADABLE = "unreadable"
    """A record is held, but its personal part cannot be opened or read. Subject: the fault."""
    NOT_JUDGED = "not-judged"
    """The rules fail at a held record; it is tried again. Subject: the record's kind."""
    ENROLMENT = "enrolment"
    """An attempt to enrol that was not in order. Subject: what was attempted."""
    CERTIFICATE = "certificate"
    """A certificate, revocation list or key comes to its end and is not renewed. Subject: which."""
    FORGED = "forged"
    """A device was told something in our name that we did not sign: somebody has the broker in hand. Subject: the code."""


OPEN: Final = "cleared_at IS NULL"
OF_A_DEVICE: Final = f"{OPEN} AND device_id IS NOT NULL"
OF_NO_DEVICE: Final = f"{OPEN} AND device_id IS NULL"


class Alarm(Base):
    """Something wrong. Open until a person, or the end of its cause, clears it; after that the same thing opens a new one."""

    __tablename__ = "alarm"
    __table_args__ = (
        Index(
            "uq_alarm_device",
            "kind",
            "device_id",
            "subject",
            unique=True,
            sqlite_where=text(OF_A_DEVICE),
            postgresql_where=text(OF_A_DEVICE),
        ),
        Index(
            "uq_alarm_centre",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text(OF_NO_DEVICE),
            postgresql_where=text(OF_NO_DEVICE),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[AlarmKind] = mapped_column(words(AlarmKind))
    device_id: Mapped[str | None] = mapped_column(
        String(63), doc="As it was named: it need not be enrolled. None: the centre itself."
    )
    subject: Mapped[str] = mapped_column(String(100), doc="What it is about, within kind and device.")
    detail: Mapped[str] = mapped_column(String(500), doc="What was seen last; nothing personal.")
    times: Mapped[int] = mapped_column(default=1)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
