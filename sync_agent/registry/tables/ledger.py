"""What came in: every record exactly once, every message that could not become one, and what people did here."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.receipts import Standing
from sync_agent.registry.protect import Sealed
from sync_agent.registry.tables.base import Base, Id, Json, Utc, words


class ClockDoubt(StrEnum):
    """Why the time a record names is not to be trusted. The order of records is their sequence's, never the clock's."""

    AHEAD = "ahead"
    """It lies after the moment the record was received."""
    BEHIND = "behind"
    """It lies before the device was enrolled."""
    BACKWARDS = "backwards"
    """It lies before that of the record before it, made in the same start of the kiosk."""


UNJUDGED: Final = text("standing IS NULL")


class RecordRow(Base):
    """A record as it was received and held; then, once, what the rules made of it. Nothing else in a row ever changes."""

    __tablename__ = "record"
    __table_args__ = (
        UniqueConstraint("device_id", "epoch", "seq"),
        Index(None, "received_at"),
        Index(
            "ix_record_unjudged",
            "shard",
            "device_id",
            "epoch",
            "seq",
            sqlite_where=UNJUDGED,
            postgresql_where=UNJUDGED,
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True, doc="UUIDv7 made on the device; applies once.")
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    shard: Mapped[int] = mapped_column(doc="Of the device; who holds it judges.")
    epoch: Mapped[str] = mapped_column(String(16))
    seq: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64), doc="SHA-256 of the signed bytes.")
    prev: Mapped[str] = mapped_column(String(64))
    boot: Mapped[int]
    kind: Mapped[str] = mapped_column(String(32))
    time: Mapped[datetime] = mapped_column(Utc, doc="When it happened, by the device's clock.")
    clock_age_s: Mapped[int | None]
    clock: Mapped[ClockDoubt | None] = mapped_column(words(ClockDoubt), doc="Why that time is not to be trusted.")
    received_at: Mapped[datetime] = mapped_column(Utc)
    kid: Mapped[str] = mapped_column(ForeignKey("device_key.kid"))
    message: Mapped[bytes] = mapped_column(
        LargeBinary, doc="What proves it by itself (`envelope.alone`); the personal part is sealed."
    )
    site_id: Mapped[str | None] = mapped_column(String(64), doc="The site it speaks of, known or not.")
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    standing: Mapped[Standing | None] = mapped_column(words(Standing), doc="What the rules made of it; None until they did.")
    code: Mapped[Code | None] = mapped_column(words(Code))
    effective_from: Mapped[datetime | None]
    case_number: Mapped[str | None] = mapped_column(String(16))
    gaps: Mapped[list[str] | None] = mapped_column(Json, doc="All that was missing, by name.")
    tries: Mapped[int] = mapped_column(
        default=0, doc="Tries at it that failed, or were counted before they were made (`ingest.judge`)."
    )
    try_after: Mapped[datetime | None] = mapped_column(Utc, doc="Not to be tried again before.")


class Quarantine(Base):
    """A message, or one record of a message, that never came into the ledger; once however often it came."""

    __tablename__ = "quarantine"
    __table_args__ = (
        UniqueConstraint("sha256", "fault", "topic"),
        Index(None, "last_at"),
        Index(None, "device_id", "epoch", "seq"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    topic: Mapped[str] = mapped_column(String(256))
    fault: Mapped[Fault] = mapped_column(words(Fault))
    detail: Mapped[str] = mapped_column(String(500), doc="What did not fit; nothing personal.")
    device_id: Mapped[str | None] = mapped_column(String(63), doc="Whose topic it came on.")
    epoch: Mapped[str | None] = mapped_column(String(16))
    seq: Mapped[int | None] = mapped_column(
        doc="Where the signature held, with device and epoch: the place in the chain that it explains the lack of."
    )
    sha256: Mapped[str] = mapped_column(
        String(64), doc="Of the whole message; of the one record's bytes where the signature held and that record was the cause."
    )
    size: Mapped[int] = mapped_column(doc="Bytes of what was quarantined.")
    raw: Mapped[bytes] = mapped_column(Sealed("quarantine.raw"), doc="Its beginning; sealed, for it may be anything.")
    times: Mapped[int] = mapped_column(default=1)
    at: Mapped[datetime]
    last_at: Mapped[datetime]


class AuditEvent(Base):
    """Something that a person or a command did. Rows are added, never changed."""

    __tablename__ = "audit_event"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(Utc, index=True)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(200), doc="What it was done to, by its key; nothing personal.")
