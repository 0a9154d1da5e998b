"""The keys that devices sign records with, as the registry knows them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.registry.tables import DeviceKey


def find(session: Session, kid: str) -> DeviceKey | None:
    """Return the key of a thumbprint, or None where no device was ever approved with it.

    What a key signed is refused when it is received from its `revoked_at` on: of a revoked device's keys that is when it was
    revoked, of a key that another has followed some time after that.
    """
    return session.get(DeviceKey, kid)


def newest(session: Session, device: str, now: datetime) -> DeviceKey | None:
    """Return the key that a device signs with now, or None where none of its keys holds."""
    asked = (
        select(DeviceKey)
        .where(DeviceKey.device_id == device, DeviceKey.revoked_at.is_(None) | (DeviceKey.revoked_at > now))
        .order_by(DeviceKey.valid_from.desc(), DeviceKey.revoked_at.is_not(None))
    )
    return session.scalars(asked).first()
