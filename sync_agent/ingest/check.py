"""Check: from the bytes of a message to a record whose signature holds, or to the reason why it is none. Touches no table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from joserfc.jwk import OKPKey

from sync_agent.contract import envelope, topics
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import MAX_BYTES, Record, Refused
from sync_agent.contract.suites import NotSigned, key_id
from sync_agent.contract.topics import BadTopic, DeviceId, Heard, Tenant


@dataclass(frozen=True, slots=True)
class RecordKey:
    """A key that records may be signed with.

    Attributes:
        device: whose it is.
        key: public Ed25519 key.
        revoked_at: records heard from then on are refused.
    """

    device: DeviceId
    key: OKPKey
    revoked_at: datetime | None


FindKey = Callable[[str], RecordKey | None]
"""Finds a registered key by its ``kid``."""


@dataclass(frozen=True, slots=True)
class Good:
    """A record whose signature holds."""

    record: Record
    device: DeviceId
    kid: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A message that cannot become a record. `device` is whose topic it came on; None when the topic is none of ours."""

    device: DeviceId | None
    fault: Fault
    detail: str


def place(topic: str, tenant: Tenant) -> Heard | Bad:
    """Say where a message came from."""
    try:
        heard = topics.heard(topic)
    except BadTopic as err:
        return Bad(None, Fault.NOT_A_RECORD, str(err))
    if heard.tenant != tenant:
        return Bad(None, Fault.NOT_A_RECORD, "another tenant's topic")
    return heard


def check(payload: bytes, heard: Heard, received_at: datetime, find_key: FindKey) -> Good | Bad:
    """Check a message on a record topic.

    Args:
        payload: the bytes as received.
        heard: where from; the broker let only that device speak there.
        received_at: when, for keys that were revoked meanwhile.
        find_key: finds the key that the message names.
    """
    device = heard.device
    if len(payload) > MAX_BYTES:
        return Bad(device, Fault.TOO_LARGE, f"{len(payload)} bytes")
    try:
        kid = key_id(payload)
    except NotSigned as err:
        return Bad(device, Fault.NOT_A_RECORD, str(err))
    known = find_key(kid)
    if known is None:
        return Bad(device, Fault.UNKNOWN_KEY, f"kid {kid[:64]!r}")
    if known.device != device:
        return Bad(device, Fault.WRONG_DEVICE, f"the key is of {known.device}")
    if known.revoked_at is not None and received_at >= known.revoked_at:
        return Bad(device, Fault.REVOKED_KEY, f"revoked at {known.revoked_at.isoformat()}")
    try:
        return Good(envelope.read(payload, known.key, heard.tenant, device), device, kid)
    except Refused as refused:
        return Bad(device, refused.fault, refused.detail)
