"""Check: from the bytes of a message to records whose signature holds, or to the reason why they are none. Touches no table.

Two steps, because the second is most of what the centre spends on a record and may run in another process: `claim` finds the key
that a message must be signed with, `verify` checks the signature and reads the records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256

import structlog
from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, ValidationError

from sync_agent.contract import envelope, topics
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import MAX_BYTES, Record, Refused
from sync_agent.contract.suites import NotSigned, key_id
from sync_agent.contract.topics import BadTopic, DeviceId, Heard, Tenant

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RecordKey:
    """A key that records may be signed with.

    Attributes:
        device: whose it is.
        x: the public Ed25519 key, base64url as in its JWK (RFC 8037).
        enrolled_at: since when the device is known.
    """

    device: DeviceId
    x: str
    enrolled_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """A message and the key it must be signed with: all that verifying it takes."""

    tenant: Tenant
    device: DeviceId
    kid: str
    x: str
    message: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A record whose signature holds, as the ledger keeps it.

    Attributes:
        message: what proves it by itself.
        site: the site it speaks of, where its kind names one.
    """

    device: DeviceId
    kid: str
    id: str
    epoch: str
    seq: int
    digest: str
    prev: str
    boot: int
    kind: str
    time: datetime
    clock_age_s: int | None
    site: str | None
    message: bytes

    @property
    def key(self) -> tuple[str, str, int]:
        """Its place: device, epoch, sequence."""
        return self.device, self.epoch, self.seq


@dataclass(frozen=True, slots=True)
class Bad:
    """A message, or one record of it, that cannot come into the ledger.

    Attributes:
        device: whose topic it came on and who is told; None when nobody is.
        digest: of the record's bytes; "" where the whole message is meant.
        place: epoch and sequence, where the signature held and the record names them.
        content: what is kept of it; None is the whole message.
    """

    device: DeviceId | None
    fault: Fault
    detail: str
    digest: str = ""
    place: tuple[str, int] | None = None
    content: bytes | None = None


def place(topic: str, tenant: Tenant) -> Heard | Bad:
    """Say where a message came from."""
    try:
        heard = topics.heard(topic)
    except BadTopic as err:
        return Bad(None, Fault.NOT_A_RECORD, str(err))
    if heard.tenant != tenant:
        return Bad(None, Fault.NOT_A_RECORD, "another tenant's topic")
    return heard


def named_key(message: bytes, device: DeviceId) -> str | Bad:
    """Return the ``kid`` that a message names; nothing is verified yet."""
    if len(message) > MAX_BYTES:
        return Bad(device, Fault.TOO_LARGE, f"{len(message)} bytes")
    try:
        return key_id(message.partition(b"\n")[0])
    except NotSigned as err:
        return Bad(device, Fault.NOT_A_RECORD, str(err))


def claim(message: bytes, heard: Heard, kid: str, keys: Mapping[str, RecordKey]) -> Claim | Bad:
    """Find the key that a message must be signed with.

    Args:
        message: as received.
        heard: where from; the broker let only that device speak there.
        kid: the key it names.
        keys: the registered keys among those that are named.
    """
    known = keys.get(kid)
    if known is None:
        return Bad(heard.device, Fault.UNKNOWN_KEY, f"kid {kid[:64]!r}")
    if known.device != heard.device:
        return Bad(heard.device, Fault.WRONG_DEVICE, f"the key is of {known.device}")
    return Claim(heard.tenant, heard.device, kid, known.x, message)


def verify(claimed: Claim) -> tuple[Entry | Bad, ...]:
    """Check a message's one signature and read every record in it; a bad one among them is bad alone."""
    try:
        payloads = envelope.unwrap(claimed.message, _key(claimed.x))
        return tuple(_entry(claimed, payload) for payload in payloads)
    except Refused as refused:
        return (Bad(claimed.device, refused.fault, refused.detail),)
    except Exception as failure:  # the edge of a worker: a fault of ours in one message must not hold up the others
        log.exception("message.check-failed", failure=type(failure).__name__)
        return (Bad(None, Fault.INTERNAL, type(failure).__name__),)


def _entry(claimed: Claim, payload: bytes) -> Entry | Bad:
    try:
        return _read(claimed, payload)
    except Refused as refused:
        return Bad(
            claimed.device,
            refused.fault,
            refused.detail,
            digest=sha256(payload).hexdigest(),
            place=_place_of(payload),
            content=envelope.alone(claimed.message, payload),
        )


def _read(claimed: Claim, payload: bytes) -> Entry:
    """Read one record.

    Raises:
        Refused: it cannot come into the ledger.
    """
    record: Record = envelope.parse(payload, claimed.tenant, claimed.device)
    event = record.event
    if envelope.NUL in payload:
        raise Refused(Fault.BAD_CONTENT, "event: holds a NUL character")
    try:
        time = event.time.astimezone(UTC)
    except OverflowError:
        raise Refused(Fault.BAD_CONTENT, "event: time: beyond the calendar") from None
    return Entry(
        device=claimed.device,
        kid=claimed.kid,
        id=event.id,
        epoch=event.epoch,
        seq=event.seq,
        digest=record.digest,
        prev=event.prev,
        boot=event.boot,
        kind=event.kind,
        time=time,
        clock_age_s=event.clockage,
        site=getattr(record.facts, "site", None),
        message=envelope.alone(claimed.message, payload),
    )


class _Placed(BaseModel):
    """The place of a record that does not fit otherwise."""

    model_config = ConfigDict(hide_input_in_errors=True)

    epoch: envelope.Epoch
    seq: envelope.Seq


def _place_of(payload: bytes) -> tuple[str, int] | None:
    try:
        placed = _Placed.model_validate_json(payload)
    except ValidationError:
        return None
    return placed.epoch, placed.seq


@lru_cache(maxsize=65_536)
def _key(x: str) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": x})
