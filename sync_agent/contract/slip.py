"""The slip: what a visitor takes home to prove that a visit took place, as a QR that anybody can check offline.

A slip is signed on the device with its record key over record, time, kind, outcome and standing. In its header travels the
attestation, in which a key of the sync agent says that this record key belongs to this device at this site: the checker needs
only the few published keys of the agent. Neither holds a name, a number or a likeness.

Both are COSE_Sign1; the attestation is a CWT with the device's key (RFC 8392, 8747) in header parameter ``kcwt`` (RFC 9528). The
text is base32 in capitals, because a QR code packs capitals tightly; behind an address it stands after ``#``, which no browser
sends to a server.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from sync_agent.contract import cose
from sync_agent.contract.cose import NotCose, Sign1, Value
from sync_agent.contract.kinds import Attendance, Capture, Case, Chain, Outcome, Request, Verification, Withdrawal

PREFIX: Final = "RZ1:"
"""What a text begins with where no address stands before it."""

MAX_CHARS: Final = 2048
"""Longest text that is looked at."""

AHEAD: Final = timedelta(days=1)
"""How far the checker's clock may be behind the device's."""

_VERSION: Final = 1
_ATTESTATION: Final = b"rz-attestation-1"
_SLIP: Final = b"rz-slip-1"

_SUB, _EXP, _NBF, _CNF, _SITE = 2, 4, 5, 8, -65537
_OKP_ED25519: Final = {1: 1, -1: 6}
_DEVICE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Standing(StrEnum):
    """What was known of the record when the slip was made."""

    KEPT = "kept"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    EFFECTIVE = "effective"
    IN_REVIEW = "in-review"
    REFUSED = "refused"
    REJECTED = "rejected"


_KINDS: Final = {
    Verification.kind: 1,
    Case.kind: 2,
    Capture.kind: 3,
    Attendance.kind: 4,
    Chain.kind: 5,
    Request.kind: 6,
    Withdrawal.kind: 7,
}
_OUTCOMES: Final = {
    None: 0,
    Outcome.MATCH: 1,
    Outcome.REVIEW: 2,
    Outcome.NO_MATCH: 3,
    Outcome.NOT_LIVE: 4,
    Outcome.POOR_QUALITY: 5,
    Outcome.WRONG_PERSON: 6,
    Outcome.NO_REFERENCE: 7,
    Outcome.TO_CONFIRM: 8,
}
_STANDINGS: Final = {
    Standing.KEPT: 0,
    Standing.RECEIVED: 1,
    Standing.ACCEPTED: 2,
    Standing.EFFECTIVE: 3,
    Standing.IN_REVIEW: 4,
    Standing.REFUSED: 5,
    Standing.REJECTED: 6,
}
"""Numbers of the words, for ever: a slip is checked years later."""

KIND_OF: Final = {number: kind for kind, number in _KINDS.items()}
OUTCOME_OF: Final = {number: outcome for outcome, number in _OUTCOMES.items()}
STANDING_OF: Final = {number: standing for standing, number in _STANDINGS.items()}
"""What the numbers mean."""


class Verdict(StrEnum):
    """Why a text proves nothing."""

    NOT_A_SLIP = "not-a-slip"
    UNKNOWN_KEY = "unknown-key"
    FORGED = "forged"
    OUT_OF_TIME = "out-of-time"
    """Signed when the attestation did not hold, or at a time that has not come."""
    TOO_NEW = "too-new"
    """Genuine, but with content that this checker does not know."""


class NotProven(ValueError):
    """A text that proves nothing.

    Attributes:
        verdict: why.
    """

    def __init__(self, verdict: Verdict, detail: str) -> None:
        super().__init__(f"{verdict}: {detail}")
        self.verdict = verdict


class BadKeys(ValueError):
    """A file of published keys that cannot be used."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a device says of one visit.

    Attributes:
        record: id of the record, UUIDv7.
        at: when it was written, UTC, to the second.
        kind: record kind.
        outcome: how the comparison ended; None where the kind has none.
        standing: what was known of the record when the slip was made.
    """

    record: UUID
    at: datetime
    kind: str
    outcome: Outcome | None
    standing: Standing


@dataclass(frozen=True, slots=True)
class Slip:
    """A slip whose proof holds: what was said, and by which device."""

    entry: Entry
    device: str
    site: str


def attest(
    record_key: OKPKey, *, device: str, site: str, valid_from: datetime, valid_until: datetime, agent_key: OKPKey
) -> bytes:
    """Say that a record key belongs to a device at a site.

    Args:
        record_key: the device's Ed25519 key; only its public part is used.
        device: name of the device.
        site: where it stands.
        valid_from: records signed before it are not covered.
        valid_until: records signed after it are not covered.
        agent_key: private Ed25519 key of the sync agent.
    """
    claims: Value = {
        _SUB: device,
        _NBF: int(valid_from.timestamp()),
        _EXP: int(valid_until.timestamp()),
        _CNF: {1: {**_OKP_ED25519, -2: cose.raw(record_key)}},
        _SITE: site,
    }
    return cose.sign1({cose.KID: key_id(agent_key)}, claims, agent_key, _ATTESTATION)


def key_id(key: OKPKey) -> bytes:
    """Return what an attestation names an agent's key by: the first 8 bytes of the hash of its 32."""
    return sha256(cose.raw(key)).digest()[:8]


def covers(attestation: bytes, record_key: OKPKey, at: datetime) -> bool:
    """Whether an attestation is one for this key at this time; whose word it is only `check` can tell.

    Args:
        attestation: as `attest` made it.
        record_key: Ed25519 key; only its public part is used.
        at: when a record is signed.
    """
    try:
        _, _, public, since, until = _claims(Sign1(attestation).payload)
    except NotCose:
        return False
    return public == cose.raw(record_key) and since <= at.replace(microsecond=0) <= until


def write(entry: Entry, attestation: bytes, signing_key: OKPKey) -> bytes:
    """Return a slip, signed.

    Args:
        entry: what it says.
        attestation: as `attest` made it for this key.
        signing_key: the device's private Ed25519 record key.

    Raises:
        KeyError: a kind that has no slip.
    """
    said: Value = {
        1: _VERSION,
        2: entry.record.bytes,
        3: int(entry.at.timestamp()),
        4: _KINDS[entry.kind],
        5: _OUTCOMES[entry.outcome],
        6: _STANDINGS[entry.standing],
    }
    return cose.sign1({cose.KCWT: attestation}, said, signing_key, _SLIP)


def text(slip: bytes, address: str = "") -> str:
    """Return a slip as it stands in the QR code.

    Args:
        slip: as `write` returned it.
        address: of the page that checks it; "" for none.
    """
    body = base64.b32encode(slip).decode().rstrip("=")
    return f"{address}#{body}" if address else PREFIX + body


def check(said: str, agent_keys: Sequence[OKPKey], now: datetime) -> Slip:
    """Return what a text proves.

    Args:
        said: as scanned or typed: with the prefix or behind an address, in capitals or not.
        agent_keys: the published public keys of the sync agent.
        now: to refuse a slip from the future.

    Raises:
        NotProven: it proves nothing, with the verdict.
    """
    try:
        slip = Sign1(_bytes(said))
        attestation = Sign1(_bytes_of(slip.header, cose.KCWT))
        kid = _bytes_of(attestation.header, cose.KID)
        if len(slip.header) != 2 or len(attestation.header) != 2:
            raise NotCose("a header has other fields")
        issuer = next((key for key in agent_keys if key_id(key) == kid), None)
        if issuer is None:
            raise NotProven(Verdict.UNKNOWN_KEY, "attested with a key that was not published")
        attestation.verify(cose.raw(issuer), _ATTESTATION)
        device, site, public, since, until = _claims(attestation.payload)
        slip.verify(public, _SLIP)
        entry = _entry(slip.payload)
    except NotCose as err:
        raise NotProven(Verdict.NOT_A_SLIP, str(err)) from err
    except cose.BadSignature as err:
        raise NotProven(Verdict.FORGED, str(err)) from err
    if not since <= entry.at <= until:
        raise NotProven(Verdict.OUT_OF_TIME, "signed when the attestation did not hold")
    if entry.at > now + AHEAD:
        raise NotProven(Verdict.OUT_OF_TIME, "dated in the future")
    return Slip(entry, device, site)


def published(agent_keys: Sequence[OKPKey]) -> str:
    """Return the public keys that slips are checked with, as a JSON Web Key Set (RFC 7517)."""
    keys = [{**key.as_dict(private=False), "kid": key.thumbprint(), "alg": "Ed25519", "use": "sig"} for key in agent_keys]
    return json.dumps({"keys": keys}, indent=2) + "\n"


def read_published(content: str) -> tuple[OKPKey, ...]:
    """Read what `published` returned.

    Raises:
        BadKeys: not a set of public Ed25519 keys.
    """
    try:
        keys = tuple(OKPKey.import_key(fields) for fields in json.loads(content)["keys"])
        for key in keys:
            cose.raw(key)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, JoseError) as err:
        raise BadKeys(f"not a set of public Ed25519 keys (JWKS): {type(err).__name__}") from None
    if not keys:
        raise BadKeys("the set of keys is empty")
    return keys


def _bytes(said: str) -> bytes:
    """Return the bytes of a text."""
    if len(said) > MAX_CHARS:
        raise NotCose("too long")
    body = "".join(said.rpartition("#")[2].split()).upper().removeprefix(PREFIX)
    try:
        data = base64.b32decode(body + "=" * (-len(body) % 8))
    except (ValueError, binascii.Error) as err:
        raise NotCose("not base32") from err
    if base64.b32encode(data).decode().rstrip("=") != body:
        raise NotCose("not the one way to write it in base32")
    return data


def _claims(payload: bytes) -> tuple[str, str, bytes, datetime, datetime]:
    """Return device, site, public record key, and from when until when an attestation holds."""
    match cose.decode(payload):
        case {
            2: str(device),
            4: int(until),
            5: int(since),
            8: {1: {1: 1, -1: 6, -2: bytes(public), **no_key}, **no_proof},
            -65537: str(site),
            **nothing,
        } if not (no_key or no_proof or nothing) and _DEVICE.fullmatch(device) and len(site) <= 64 and len(public) == 32:
            return device, site, public, _time(since), _time(until)
        case _:
            raise NotCose("not an attestation")


def _entry(payload: bytes) -> Entry:
    match cose.decode(payload):
        case {1: int(version)} if version > _VERSION:
            raise NotProven(Verdict.TOO_NEW, f"version {version}")
        case {1: 1, 2: bytes(record), 3: int(at), 4: int(kind), 5: int(outcome), 6: int(standing), **nothing} if (
            not nothing and len(record) == 16
        ):
            if kind not in KIND_OF or outcome not in OUTCOME_OF or standing not in STANDING_OF:
                raise NotProven(Verdict.TOO_NEW, "a number without a word")
            return Entry(UUID(bytes=record), _time(at), KIND_OF[kind], OUTCOME_OF[outcome], STANDING_OF[standing])
        case _:
            raise NotCose("not what a slip says")


def _time(seconds: int) -> datetime:
    """Return a time from seconds since 1970, as far as a datetime reaches."""
    if not 0 <= seconds < 2**32:
        raise NotCose("no time")
    return datetime.fromtimestamp(seconds, UTC)


def _bytes_of(header: dict[int, Value], name: int) -> bytes:
    value = header.get(name)
    if not isinstance(value, bytes):
        raise NotCose("a header field is missing")
    return value
