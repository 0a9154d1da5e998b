"""How a device becomes known: it makes its keys and asks, an operator approves, the answer carries what it must trust.

Over the network or by file, the messages are the same. A device that is known asks for its next certificate, and brings its next
record key, with a request signed by the record key it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sync_agent.contract.parts import Short

PublicKey = dict[str, str | list[str]]
"""A public key as JWK (RFC 8037)."""

RENEWAL_MEDIA_TYPE: Final = "rz-renewal+jws"
NEW_KEY_MEDIA_TYPE: Final = "rz-new-key+jws"
MAX_BYTES: Final = 16 * 1024
"""Largest request the door takes."""

DeviceName = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]


class Part(BaseModel):
    """A piece of an enrolment message."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(Part):
    """What a device asks to be known as. Holds no secret."""

    device: DeviceName
    site: Short
    serial: Short = Field(description="Serial number of the board.")
    csr: str = Field(max_length=4096, description="PEM certificate request of the TLS key; its common name is the device.")
    record_key: PublicKey = Field(description="Public Ed25519 key that records will be signed with.")


class Answer(Part):
    """What an approved device is given. Unknown keys are ignored: an older kiosk must understand a newer agent."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tenant: str
    device: str
    site: str
    broker_host: str
    broker_port: Annotated[int, Field(ge=1, le=65535)]
    certificate: str = Field(description="PEM, 90 days.")
    ca: str = Field(description="PEM of every authority to trust; two during a change.")
    agent_keys: Annotated[list[PublicKey], Field(min_length=1, description="Keys that may sign receipts; two in a rotation.")]
    registry_key: PublicKey = Field(description="X25519 key that personal parts are sealed to.")
    number: Annotated[int, Field(ge=0, description="Number of the trust list that these keys and authorities stand in.")] = 0
    door: str = Field(default="", description="Address of the door for renewals, https://HOST:PORT; empty where there is none.")
    record_key: str = Field(default="", description="Thumbprint of the record key that the device signs with from now on.")
    attestation: str = Field(default="", description="Base64: the agent's word that this record key is this device's.")


class Renewed(Part):
    """The answer to a renewal. Whom to believe comes signed, for here the device believes somebody already."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    certificate: str
    record_key: str
    attestation: str = ""
    trust: str = Field(default="", description="Signed trust list; empty while there was never a change.")


class NewKey(Part):
    """The record key that is to follow."""

    key: PublicKey
    proof: str = Field(max_length=1024, description="JWS of the new key over `proof_of`: whoever asks has its private part.")


class Renewal(Part):
    """What a known device asks: a certificate for a new TLS key, and perhaps a new record key. Sent signed by the record key."""

    device: DeviceName
    csr: Annotated[str, Field(max_length=4096)]
    at: AwareDatetime = Field(description="By the centre's clock as the device knows it; old requests are refused.")
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="Taken once only.")]
    new_key: NewKey | None = None


class Presented(Part):
    """A one-time code with the board it is presented on."""

    invitation: Annotated[str, Field(pattern=r"^[0-9a-f]{6}$", description="Which code; not secret.")]
    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{20}$")]
    serial: Short


class Invited(Part):
    """What a code was made for."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    device: DeviceName
    site: Short


class Enrolment(Part):
    """A request with the code that allows it."""

    presented: Presented
    request: Request


class Standing(StrEnum):
    """How far a request has come."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"


class Decision(Part):
    """What has become of a request."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    standing: Standing
    number: str = Field(description="What device and operator compare.")
    answer: Answer | None = None


class DoorFault(StrEnum):
    """Why the door refuses."""

    BAD_REQUEST = "DOOR-01"
    UNKNOWN_CODE = "DOOR-02"
    """Never made, ended, or not the secret that belongs to it."""
    OTHER_BOARD = "DOOR-03"
    """The code was made for another board, device or site."""
    CODE_USED = "DOOR-04"
    """Other keys have been presented with this code before."""
    REJECTED = "DOOR-05"
    TOO_MANY = "DOOR-06"
    WRONG_TIME = "DOOR-07"
    """The request's time is not now; the refusal carries the time."""
    NOT_KNOWN = "DOOR-08"
    """The device or its record key is not known, or was revoked."""
    REPEATED = "DOOR-09"
    """This very request was made before."""


class Refusal(Part):
    """What the door says when it refuses."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code: DoorFault
    message: str
    now: AwareDatetime


def proof_of(device: str, old_kid: str) -> bytes:
    """Return what a new record key signs to prove that the device has it."""
    return f"{device} replaces {old_kid}".encode()


def comparison(record_key: Mapping[str, str | list[str]], csr: str) -> str:
    """Return the number that the device shows and the operator compares: 12 digits over both public keys.

    Raises:
        ValueError: the request or the key cannot be read.
    """
    thumbprint = OKPKey.import_key(dict(record_key)).thumbprint()
    number = int.from_bytes(hashlib.sha256(f"{thumbprint} {tls_key_digest(csr)}".encode()).digest()) % 10**12
    digits = f"{number:012d}"
    return " ".join(digits[at : at + 4] for at in (0, 4, 8))


def tls_key_digest(csr: str) -> str:
    """Return the SHA-256 of the public key in a certificate request, hexadecimal: requests of one key differ in their signature.

    Args:
        csr: PEM.

    Raises:
        ValueError: not a PEM certificate request.
    """
    key = x509.load_pem_x509_csr(csr.encode()).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()
