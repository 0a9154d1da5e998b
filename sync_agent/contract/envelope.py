"""The record on the wire: a CloudEvent with sequence and chain, signed as JWS, its personal part sealed as JWE.

CloudEvents 1.0 structured JSON; extensions ``seq``, ``epoch``, ``prev``, ``boot``, ``clockage``, ``suite``. The signature is over
the exact bytes of the event and is checked before they are parsed; ``prev`` is the digest of the previous record's bytes.

A message is one record, or a batch: a signed manifest of digests, then the records' exact bytes, one a line. The manifest with
any one of the lines proves that record alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sync_agent.contract.codes import Fault
from sync_agent.contract.kinds import KINDS
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.suites import INTL_1, SUITES, BadSignature, CannotOpen
from sync_agent.contract.topics import DeviceId, Tenant

MAX_BYTES: Final = 64 * 1024
"""Largest message a device may send."""

MEDIA_TYPE: Final = "rz-record+jws"
BATCH_MEDIA_TYPE: Final = "rz-batch+jws"
BATCH_MAX: Final = 20
"""Most records in one message."""

GENESIS: Final = "0" * 64
"""``prev`` of the first record of an epoch."""

NUL: Final = b"\\u0000"
"""The one character of JSON that no text column of PostgreSQL holds, as JSON must write it."""

_PREFIX = "cn.renzheng."
_VERSION = ".v1"


class Refused(Exception):
    """A message that cannot become a record.

    Attributes:
        fault: why, as told to the device and kept with the quarantined bytes.
        detail: for the log; holds nothing personal.
    """

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail


class Data(BaseModel):
    """Payload of the event: facts in the clear, the rest sealed to the registry's key."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    facts: dict[str, Any]
    sealed: str = Field(default="", description="Compact JWE of the personal part; empty where the kind has none.")


LAST_SEQ: Final = 2**31 - 2
"""Highest sequence: the one after it must still be a number to the database."""

Seq = Annotated[int, Field(ge=1, le=LAST_SEQ, description="Counts from 1 within an epoch, without holes.")]
Epoch = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="Random per outbox database.")]


class Event(BaseModel):
    """A CloudEvent as devices send it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$", description="UUIDv7, made on the device.")]
    source: Annotated[str, Field(pattern=r"^/rz/[a-z0-9-]+/[a-z0-9-]+$")]
    type: Annotated[str, Field(pattern=r"^cn\.renzheng\.[a-z-]+\.v[0-9]+$")]
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    seq: Seq
    epoch: Epoch
    prev: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    boot: Annotated[int, Field(ge=1, le=2**31 - 1, description="Start counter of the kiosk.")]
    clockage: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None, description="Seconds since the clock was last set from the network; absent when that never happened."
    )
    suite: str
    data: Data

    @property
    def kind(self) -> str:
        """The record kind, from the event type."""
        return self.type.removeprefix(_PREFIX).rsplit(".", 1)[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in its device's chain."""

    epoch: str
    seq: int
    prev: str


@dataclass(frozen=True, slots=True)
class Signed:
    """A record ready for the outbox."""

    message: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class Record:
    """A record whose signature holds: the event, its facts, and the still sealed personal part."""

    event: Event
    facts: Facts
    digest: str

    def personal(self, registry_key: OKPKey) -> Part:
        """Open the personal part.

        Raises:
            Refused: it does not open, or what is inside is not of the kind.
        """
        model = type(self.facts).Personal
        if not self.event.data.sealed:
            plain = b"{}"
        else:
            try:
                plain = SUITES[self.event.suite].open(self.event.data.sealed, registry_key)
            except CannotOpen as err:
                raise Refused(Fault.CANNOT_OPEN, str(err)) from err
        try:
            return model.model_validate_json(plain)
        except ValidationError as err:
            raise Refused(Fault.BAD_CONTENT, f"personal part: {places(err)}") from None


def write(
    facts: Facts,
    personal: Part | None,
    *,
    record_id: str,
    source: tuple[Tenant, DeviceId],
    time: AwareDatetime,
    place: Place,
    boot: int,
    clock_age_s: int | None,
    signing_key: OKPKey,
    registry_key: OKPKey,
) -> Signed:
    """Make a signed record, its personal part sealed to the registry.

    Args:
        facts: the clear part.
        personal: the personal part of that kind, or None where the kind has none.
        record_id: UUIDv7 made by the caller.
        source: tenant and device.
        time: when it happened, UTC.
        place: sequence and chain link.
        boot: start counter of the kiosk.
        clock_age_s: seconds since the clock was set; None if never.
        signing_key: the device's private Ed25519 record key.
        registry_key: the registry's public X25519 key.
    """
    suite = INTL_1
    sealed = suite.seal(personal.model_dump_json().encode(), registry_key) if personal is not None else ""
    event = Event(
        id=record_id,
        source="/rz/{}/{}".format(*source),
        type=f"{_PREFIX}{facts.kind}{_VERSION}",
        time=time,
        seq=place.seq,
        epoch=place.epoch,
        prev=place.prev,
        boot=boot,
        clockage=clock_age_s,
        suite=suite.name,
        data=Data(facts=facts.model_dump(mode="json"), sealed=sealed),
    )
    payload = event.model_dump_json(exclude_none=True).encode()
    return Signed(suite.sign(payload, signing_key, MEDIA_TYPE), suite.digest(payload))


class Manifest(BaseModel):
    """What the signature of a batch is over."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    digests: Annotated[tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...], Field(min_length=1, max_length=BATCH_MAX)]


def payload_of(message: bytes) -> bytes:
    """Return the event in the message of a single record, or in what `alone` made of it; unverified.

    Raises:
        NotSigned: not a compact JWS.
    """
    outer, _, line = message.partition(b"\n")
    return line or INTL_1.payload(outer)


def batch(payloads: Sequence[bytes], signing_key: OKPKey) -> bytes:
    """Return several records under one signature.

    Args:
        payloads: the exact bytes of 1 to `BATCH_MAX` events, as they were signed and chained.
        signing_key: the device's private Ed25519 record key.
    """
    manifest = Manifest(digests=tuple(INTL_1.digest(payload) for payload in payloads))
    return b"\n".join([INTL_1.sign(manifest.model_dump_json().encode(), signing_key, BATCH_MEDIA_TYPE), *payloads])


def unwrap(message: bytes, key: OKPKey) -> list[bytes]:
    """Check a message's one signature and return the exact bytes of every record in it.

    Args:
        message: a record or a batch, as received.
        key: the public record key that the device registered under the message's ``kid``.

    Raises:
        Refused: the signature does not hold, or a line is not in the manifest.
    """
    outer, *lines = message.split(b"\n")
    try:
        if not lines:
            return [INTL_1.verify(outer, key, MEDIA_TYPE)]
        manifest = Manifest.model_validate_json(INTL_1.verify(outer, key, BATCH_MEDIA_TYPE))
    except BadSignature as err:
        raise Refused(Fault.BAD_SIGNATURE, str(err)) from err
    except ValidationError as err:
        raise Refused(Fault.BAD_CONTENT, f"manifest: {places(err)}") from None
    if len(lines) > BATCH_MAX or not {INTL_1.digest(line) for line in lines} <= set(manifest.digests):
        raise Refused(Fault.BAD_SIGNATURE, "a line is not in the manifest")
    return lines


def alone(message: bytes, payload: bytes) -> bytes:
    """Return what proves one record of a message by itself: the message, or the manifest with that record's line."""
    outer, *lines = message.split(b"\n")
    return b"\n".join([outer, payload]) if lines else outer


def read(message: bytes, key: OKPKey, tenant: Tenant, device: DeviceId) -> Record:
    """Check the message of one record and parse it; the signature comes first.

    Args:
        message: as received, or as `alone` made it.
        key: the public record key that the device registered under the message's ``kid``.
        tenant: the tenant whose topic it came on.
        device: the device whose topic it came on.

    Raises:
        Refused: with the fault the device is told.
    """
    match unwrap(message, key):
        case [payload]:
            return parse(payload, tenant, device)
        case payloads:
            raise Refused(Fault.BAD_CONTENT, f"{len(payloads)} records where one was expected")


def parse(payload: bytes, tenant: Tenant, device: DeviceId) -> Record:
    """Parse the bytes of a record whose signature holds.

    Raises:
        Refused: with the fault the device is told.
    """
    try:
        event = Event.model_validate_json(payload)
    except ValidationError as err:
        raise Refused(Fault.BAD_CONTENT, f"event: {places(err)}") from None
    if event.source != f"/rz/{tenant}/{device}":
        raise Refused(Fault.WRONG_DEVICE, f"signed by {event.source}, heard from {device}")
    if event.suite not in SUITES:
        raise Refused(Fault.UNKNOWN_SUITE, event.suite[:32])
    model = KINDS.get(event.kind)
    if model is None or not event.type.endswith(_VERSION):
        raise Refused(Fault.UNKNOWN_VERSION, event.type)
    try:
        facts = model.model_validate(event.data.facts)
    except ValidationError as err:
        raise Refused(Fault.BAD_CONTENT, f"facts: {places(err)}") from None
    return Record(event, facts, INTL_1.digest(payload))


def places(err: ValidationError) -> str:
    """Say where validation failed and how, never with what value: values may be personal."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in err.errors(include_input=False)[:5])
