"""Looks ahead: sounds an alarm before something ends that others rely on, and clears it when it was made new in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.topics import SHARDS, DeviceId
from sync_agent.fleet import alarms
from sync_agent.fleet.authority import Authority
from sync_agent.fleet.certificates import revocation_lists
from sync_agent.fleet.keyring import Which
from sync_agent.registry.tables import Alarm, AlarmKind, Device, DeviceCertificate

log = structlog.get_logger(__name__)

LIST_AHEAD: Final = timedelta(days=7)
"""A revocation list past its end makes the broker refuse everybody."""

CA_AHEAD: Final = timedelta(days=365)
"""The change to another CA takes a renewal of every device."""

OWN_AHEAD: Final = timedelta(days=14)
"""Certificates of our own are made new 30 days before they end."""

WORN: Final = 0.8
"""Of its life a device's certificate is worn by then; it renews at two thirds."""


def look(session: Session, authority: Authority, now: datetime) -> None:
    """Look at everything that ends.

    Args:
        session: a write transaction.
        authority: the centre's own.
        now: the time.
    """
    gathered = alarms.Gathered()
    _look_at_own(gathered, authority, now)
    _look_at_devices(session, gathered, now)
    gathered.sound(session, now)


def _look_at_own(gathered: alarms.Gathered, authority: Authority, now: datetime) -> None:
    files = authority.files
    ends: list[tuple[str, datetime | None, timedelta]] = [
        ("revocation list", _list_ends(authority), LIST_AHEAD),
        ("broker certificate", _ends([files.broker_certificate]), OWN_AHEAD),
        ("door certificate", _ends([files.door_certificate]), OWN_AHEAD),
        ("session certificate", _ends(map(files.session_certificate, range(SHARDS))), OWN_AHEAD),
    ]
    for place, issuer in authority.ring.ca.items():
        name = authority.ring.names(Which.CA)[place]
        ends.append((f"CA {name[:16]}", issuer.certificate.not_valid_after_utc, CA_AHEAD))
    for what, end, ahead in ends:
        if end is None or end - now <= ahead:
            when = f"ends {end:%Y-%m-%d %H:%M}Z" if end is not None else "is not there or cannot be read"
            gathered.add(AlarmKind.CERTIFICATE, None, what, f"the {what} {when}")
        else:
            gathered.clear(AlarmKind.CERTIFICATE, None, what)


def _look_at_devices(session: Session, gathered: alarms.Gathered, now: datetime) -> None:
    asked = (
        select(DeviceCertificate)
        .join(Device, Device.id == DeviceCertificate.device_id)
        .where(Device.revoked_at.is_(None), DeviceCertificate.revoked_at.is_(None))
        .order_by(DeviceCertificate.device_id, DeviceCertificate.valid_until)
    )
    newest = {row.device_id: row for row in session.scalars(asked)}
    late = {device: row for device, row in newest.items() if _is_late(row, now)}
    for device, row in late.items():
        detail = f"not renewed; ends {row.valid_until:%Y-%m-%d %H:%M}Z"
        gathered.add(AlarmKind.CERTIFICATE, DeviceId(device), "certificate", detail)
    open_ones = select(Alarm.device_id).where(
        Alarm.kind == AlarmKind.CERTIFICATE,
        Alarm.subject == "certificate",
        Alarm.cleared_at.is_(None),
        Alarm.device_id.is_not(None),
    )
    for sounded in session.scalars(open_ones).all():
        if sounded is not None and sounded not in late:
            gathered.clear(AlarmKind.CERTIFICATE, DeviceId(sounded), "certificate")


def _is_late(row: DeviceCertificate, now: datetime) -> bool:
    begun = row.issued_at or row.valid_until - timedelta(days=90)
    return now >= begun + (row.valid_until - begun) * WORN


def _list_ends(authority: Authority) -> datetime | None:
    """Return when the first of the revocation lists ends, None where one cannot be read."""
    try:
        lists = revocation_lists(authority.files.revoked.read_bytes())
    except (OSError, ValueError):
        return None
    ends = [each.next_update_utc for each in lists]
    return min((end for end in ends if end is not None), default=None) if len(ends) == len(authority.ring.ca) else None


def _ends(certificates: Iterable[Path]) -> datetime | None:
    """Return when the first of them ends, None where one is not there or cannot be read."""
    try:
        return min(x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc for path in certificates)
    except (OSError, ValueError):
        return None
