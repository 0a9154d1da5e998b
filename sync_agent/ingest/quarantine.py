"""Quarantine: what cannot become a record is kept, once however often it comes, with the reason."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.ingest.check import Bad
from sync_agent.ingest.inbox import Letter
from sync_agent.registry.tables import Quarantine

log = structlog.get_logger(__name__)

KEPT_BYTES: Final = 64 * 1024
"""So much of a message that is no record is kept."""


def keep(session: Session, letter: Letter, bad: Bad) -> str:
    """Keep a message, or the one record of it that was the cause; return the SHA-256 of the whole message."""
    whole, topic = sha256(letter.payload).hexdigest(), letter.topic[:256].replace("\0", "�")
    content = letter.payload if bad.content is None else bad.content
    name = bad.digest or whole
    log.warning("message.quarantined", device=bad.device, fault=bad.fault.value, size=len(content))
    key = (Quarantine.sha256 == name, Quarantine.fault == bad.fault, Quarantine.topic == topic)
    known = session.scalars(select(Quarantine).where(*key).with_for_update()).first()
    if known is not None:
        known.times, known.last_at = known.times + 1, letter.received_at
        return whole
    epoch, seq = bad.place or (None, None)
    session.add(
        Quarantine(
            topic=topic,
            fault=bad.fault,
            detail=bad.detail[:500].replace("\0", "�"),
            device_id=bad.device if bad.place else None,
            epoch=epoch,
            seq=seq,
            sha256=name,
            size=len(content),
            raw=content[:KEPT_BYTES],
            at=letter.received_at,
            last_at=letter.received_at,
        )
    )
    session.flush()
    return whole
