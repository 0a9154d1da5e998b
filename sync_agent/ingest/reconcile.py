"""Reconciliation: what a device says it has signed, compared with what the centre holds of it.

A device says its last sequence and digest on every connection and once a day. The answer is a receipt that repeats the nonce and
names everything that is missing, so that what every other layer lost is sent again. A device that says less, or other, than the
centre holds was rolled back or is a copy: a person must look.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from sync_agent.contract.status import Birth
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import gaps
from sync_agent.ingest.seen import Chain, Seen
from sync_agent.ingest.sink import SEEN
from sync_agent.registry.tables import DeviceSeen, DeviceStatus, RecordRow

LATE: Final = timedelta(hours=1)
"""What a device that is connected has not sent again within so long is probably gone for good."""

KNOWN: Final = 16
"""Births of a device whose nonces are remembered."""


def doubt(session: Session, device: DeviceId, birth: Birth) -> str | None:
    """Compare a birth with what is held, the first time it is heard; return what does not fit.

    The broker keeps births and gives them again when the device has long gone on, the last one or, after the death of an agent
    that had not acknowledged them, several: such a one says nothing new.

    Args:
        session: a write transaction in which `presence.take` took the birth, and no record yet that may have come after it.
        device: whose.
        birth: with a nonce.
    """
    status = session.get_one(DeviceStatus, device)
    known = status.nonces.split()
    if birth.nonce in known or birth.boot < status.boot:
        return None
    status.nonces = " ".join([*known, birth.nonce][-KNOWN:])
    held = session.get(DeviceSeen, (device, birth.epoch))
    if held is None:
        return None
    if birth.last_seq < held.upto:
        return f"says it has signed up to {birth.last_seq}, the centre holds up to {held.upto}"
    last = select(RecordRow.digest).where(
        RecordRow.device_id == device, RecordRow.epoch == birth.epoch, RecordRow.seq == birth.last_seq
    )
    digest = session.scalar(last)
    if digest is not None and digest != birth.last_digest:
        return f"says another digest of record {birth.last_seq} than the centre holds"
    return None


def lost(session: Session, device: DeviceId, epoch: str, now: datetime) -> str | None:
    """Say what is missing of a chain for so long that somebody must look; None when nothing is."""
    late = [gap for gap in gaps.listing(session, device) if gap.epoch == epoch and gap.lost and now - gap.since > LATE]
    return f"{sum(gap.lost for gap in late)} records, the first of them {late[0].first}" if late else None


def seen(session: Session, chains: Collection[Chain]) -> dict[Chain, Seen]:
    """Return what is held of some chains; one of which nothing ever came is left out."""
    if not chains:
        return {}
    some = select(*SEEN).where(tuple_(DeviceSeen.device_id, DeviceSeen.epoch).in_(list(chains)))
    return {(device, epoch): Seen.of(*kept) for device, epoch, *kept in session.execute(some)}
