"""What came in: every record exactly once, every message that could not become one, and what people did here."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.receipts import Standing
from sync_agent.registry.protect import Sealed
from sync_agent.registry.tables.base import Base, Id, Utc, words


class RecordRow(Base):
    """A record as it was received, and what the rules said. Rows are added, never changed."""

    __tablename__ = "record"
    __table_args__ = (UniqueConstraint("device_id", "epoch", "seq"), Index(None, "received_at"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True, doc="UUIDv7 made on the device; applies once.")
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    epoch: Mapped[str] = mapped_column(String(16))
    seq: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64), doc="SHA-256 of the signed bytes.")
    prev: Mapped[str] = mapped_column(String(64))
    boot: Mapped[int]
    kind: Mapped[str] = mapped_column(String(32))
    time: Mapped[datetime] = mapped_column(Utc, doc="When it happened, by the device's clock.")
    clock_age_s: Mapped[int | None]
    received_at: Mapped[datetime] = mapped_column(Utc)
    kid: Mapped[str] = mapped_column(ForeignKey("device_key.kid"))
    message: Mapped[bytes] = mapped_column(LargeBinary, doc="Compact JWS as received; the personal part in it is sealed.")
    site_id: Mapped[str | None] = mapped_column(String(64), doc="The site it speaks of, known or not.")
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    standing: Mapped[Standing] = mapped_column(words(Standing))
    code: Mapped[Code | None] = mapped_column(words(Code))
    effective_from: Mapped[datetime | None]
    case_number: Mapped[str | None] = mapped_column(String(16))


class Quarantine(Base):
    """A message that never became a record, once however often it came."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("sha256", "fault", "topic"), Index(None, "last_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    topic: Mapped[str] = mapped_column(String(256))
    fault: Mapped[Fault] = mapped_column(words(Fault))
    detail: Mapped[str] = mapped_column(String(500), doc="What did not fit; nothing personal.")
    sha256: Mapped[str] = mapped_column(String(64), doc="Of the whole message.")
    size: Mapped[int] = mapped_column(doc="Bytes of the whole message.")
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
