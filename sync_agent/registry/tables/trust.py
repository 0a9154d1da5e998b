"""How devices come in and whom they believe: one-time codes with what was asked on them, and the trust lists there have been."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.contract.enrolment import Standing
from sync_agent.registry.tables.base import Base, Json, Utc, words


class Invitation(Base):
    """A one-time code, and the request that was made on it. Its secret is not here, only the hash of it."""

    __tablename__ = "invitation"
    __table_args__ = (Index(None, "device_id"),)

    id: Mapped[str] = mapped_column(String(6), primary_key=True)
    device_id: Mapped[str] = mapped_column(String(63), doc="The device it is for; not yet enrolled.")
    serial: Mapped[str] = mapped_column(String(64))
    site_id: Mapped[str] = mapped_column(String(64))
    secret_hash: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    made_by: Mapped[str] = mapped_column(String(64))
    request: Mapped[dict[str, Any] | None] = mapped_column(Json, doc="As the device made it; holds no secret.")
    keys: Mapped[str] = mapped_column(String(130), default="", doc="The keys it came with; no others may come on this code.")
    number: Mapped[str] = mapped_column(String(14), default="", doc="What device and operator compare.")
    asked_at: Mapped[datetime | None]
    standing: Mapped[Standing | None] = mapped_column(words(Standing))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(String(64), default="")


class TrustList(Base):
    """What every device is told to believe, since a change. Rows are added, never changed: number 0 is how it began."""

    __tablename__ = "trust_list"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    at: Mapped[datetime] = mapped_column(Utc)
    actor: Mapped[str] = mapped_column(String(64))
    why: Mapped[str] = mapped_column(String(300))


class DeviceTrust(Base):
    """Which list a device believes, from its birth, and which of its record keys it is to replace."""

    __tablename__ = "device_trust"

    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"), primary_key=True)
    number: Mapped[int] = mapped_column(default=0)
    replace_key: Mapped[str] = mapped_column(String(64), default="")


class RenewalSeen(Base):
    """A request for renewal that was taken: it is not taken again. Kept until it would be too old anyway."""

    __tablename__ = "renewal_seen"

    nonce: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]
