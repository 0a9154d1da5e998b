"""The devices: who they are, with what they sign, what was seen of them and how they are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.contract.enrolment import PublicKey
from sync_agent.contract.envelope import GENESIS
from sync_agent.contract.kinds import PartHealth, PartState
from sync_agent.contract.status import Link
from sync_agent.registry.tables.base import Base, Json, words


class Site(Base):
    """A building site or a hall."""

    __tablename__ = "site"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]


class Device(Base):
    """An enrolled device. Revoked from `revoked_at` on: its records are refused."""

    __tablename__ = "device"

    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"))
    serial: Mapped[str] = mapped_column(String(64))
    enrolled_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class DeviceKey(Base):
    """A key that a device signs records with. Kept for ever: evidence outlives the key."""

    __tablename__ = "device_key"
    __table_args__ = (Index(None, "device_id"),)

    kid: Mapped[str] = mapped_column(String(64), primary_key=True, doc="Thumbprint of the public key (RFC 7638).")
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    public_key: Mapped[PublicKey] = mapped_column(Json, doc="Ed25519, JWK (RFC 8037).")
    valid_from: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class DeviceCertificate(Base):
    """A TLS certificate that was issued to a device; what is empty was issued by an older release."""

    __tablename__ = "device_certificate"
    __table_args__ = (Index(None, "device_id"),)

    serial: Mapped[str] = mapped_column(String(40), primary_key=True, doc="Serial number, hexadecimal.")
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    valid_until: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    issued_at: Mapped[datetime | None]
    pem: Mapped[str] = mapped_column(String(4096), default="")
    key_digest: Mapped[str] = mapped_column(String(64), default="", doc="SHA-256 of its public key: asked again, given again.")
    issuer: Mapped[str] = mapped_column(String(64), default="", doc="SHA-256 of the certificate of the CA that signed it.")


class GapLine(TypedDict):
    """Missing records of a chain, as kept in `DeviceSeen.gaps`; both ends included."""

    first: int
    last: int
    since: str


class DeviceSeen(Base):
    """What the centre holds of one outbox of a device, for the cumulative receipt and for what comes next."""

    __tablename__ = "device_seen"

    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"), primary_key=True)
    epoch: Mapped[str] = mapped_column(String(16), primary_key=True)
    upto: Mapped[int] = mapped_column(default=0, doc="Highest sequence that is committed.")
    gaps: Mapped[list[GapLine]] = mapped_column(Json, default=list, doc="What is missing below it.")
    last_digest: Mapped[str] = mapped_column(String(64), default=GENESIS, doc="Of the record at `upto`; the next one names it.")
    last_boot: Mapped[int] = mapped_column(default=0, doc="The start of the kiosk that record was made in.")
    last_time: Mapped[datetime | None] = mapped_column(doc="When it was made, by the device's clock.")
    updated_at: Mapped[datetime]


class PartLine(TypedDict):
    """How one part of a device is, as kept in `DeviceStatus.parts`."""

    state: PartState
    code: str
    since: str


def part_lines(parts: Mapping[str, PartHealth]) -> dict[str, PartLine]:
    """Return a self-test as it is kept."""
    return {name: {"state": part.state, "code": part.code, "since": part.since.isoformat()} for name, part in parts.items()}


class DeviceStatus(Base):
    """How a device is, from what it said last: a cache for the fleet page, never evidence."""

    __tablename__ = "device_status"

    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"), primary_key=True)
    link: Mapped[Link] = mapped_column(words(Link))
    boot: Mapped[int] = mapped_column(default=0)
    link_since: Mapped[datetime]
    heard_at: Mapped[datetime] = mapped_column(doc="When it last said anything of itself.")
    version: Mapped[str] = mapped_column(String(64), default="")
    epoch: Mapped[str] = mapped_column(String(16), default="")
    last_seq: Mapped[int] = mapped_column(default=0, doc="Last record it says it has signed in that epoch.")
    last_digest: Mapped[str] = mapped_column(String(64), default="")
    nonces: Mapped[str] = mapped_column(
        String(1040), default="", doc="Of its last births, newest last: the broker gives a birth again and again."
    )
    queue: Mapped[int] = mapped_column(default=0, doc="Records it holds without receipt.")
    oldest_at: Mapped[datetime | None] = mapped_column(doc="When the oldest of them was made.")
    telemetry_at: Mapped[datetime | None]
    parts: Mapped[dict[str, PartLine]] = mapped_column(Json, default=dict, doc="Last self-test, part by part.")
    parts_at: Mapped[datetime | None]
