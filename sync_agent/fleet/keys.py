"""The keys that devices sign records with, as the registry knows them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from sync_agent.registry.tables import DeviceKey


def find(session: Session, kid: str) -> DeviceKey | None:
    """Return the key of a thumbprint, or None where no device was ever approved with it.

    A revoked device's keys all carry `revoked_at`; what such a key signed must be refused when it is received after that.
    """
    return session.get(DeviceKey, kid)
