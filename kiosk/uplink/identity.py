"""Who this device is: its keys, its certificate, and the keys of the centre it believes.

Keys are made on the device and never leave it: a P-256 key for TLS, a separate Ed25519 key for records, so that a new
certificate does not break evidence. `begin` writes the request that an operator approves, `finish` takes the answer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import OKPKey

from sync_agent.contract.enrolment import Answer, Request
from sync_agent.contract.topics import DeviceId, Tenant

_RECORD_KEY: Final = "record.pem"
_TLS_KEY: Final = "tls.pem"
_CERTIFICATE: Final = "tls.crt"
_CA: Final = "ca.crt"
_ANSWER: Final = "answer.json"


class NotEnrolled(Exception):
    """The device has no identity yet. Code ID-01: run `kiosk enrol`."""

    code = "ID-01"
    message = "identity.not-enrolled"


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled device.

    Attributes:
        signing_key: private Ed25519 record key.
        agent_keys: public Ed25519 keys that may sign receipts.
        registry_key: public X25519 key that personal parts are sealed to.
        certificate, tls_key, ca: files for the connection to the broker.
    """

    tenant: Tenant
    device: DeviceId
    site: str
    broker_host: str
    broker_port: int
    signing_key: OKPKey
    agent_keys: tuple[OKPKey, ...]
    registry_key: OKPKey
    certificate: Path
    tls_key: Path
    ca: Path


def begin(folder: Path, device: DeviceId, site: str, serial: str) -> Request:
    """Make the device's keys, where they are not there yet, and return the request for the operator.

    Args:
        folder: where the identity is kept, mode 0700.
        device: name of the device, also its certificate's common name.
        site: where it will stand.
        serial: serial number of the board.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    record_pem, tls_pem = folder / _RECORD_KEY, folder / _TLS_KEY
    if not record_pem.exists():
        _write(record_pem, OKPKey.generate_key("Ed25519").as_pem(private=True))
    if not tls_pem.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        _write(tls_pem, fresh.private_bytes(encoding, form, serialization.NoEncryption()))
    tls_key = serialization.load_pem_private_key(tls_pem.read_bytes(), None)
    if not isinstance(tls_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{tls_pem.name} holds another kind of key than P-256")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(tls_key, hashes.SHA256())
    return Request(
        device=device,
        site=site,
        serial=serial,
        csr=csr.public_bytes(serialization.Encoding.PEM).decode(),
        record_key=OKPKey.import_key(record_pem.read_bytes()).as_dict(private=False),
    )


def finish(folder: Path, answer: Answer) -> None:
    """Keep the operator's answer beside the keys it was made for."""
    _write(folder / _CERTIFICATE, answer.certificate.encode())
    _write(folder / _CA, answer.ca.encode())
    _write(folder / _ANSWER, answer.model_dump_json(indent=2).encode())


def load(folder: Path) -> Identity:
    """Read the identity of an enrolled device.

    Raises:
        NotEnrolled: a file is missing.
    """
    try:
        answer = Answer.model_validate_json((folder / _ANSWER).read_bytes())
        signing_key = OKPKey.import_key((folder / _RECORD_KEY).read_bytes())
    except OSError as err:
        raise NotEnrolled(f"no identity in {folder.name!r}: {err.strerror}; run `kiosk enrol`") from err
    return Identity(
        tenant=Tenant(answer.tenant),
        device=DeviceId(answer.device),
        site=answer.site,
        broker_host=answer.broker_host,
        broker_port=answer.broker_port,
        signing_key=signing_key,
        agent_keys=tuple(OKPKey.import_key(key) for key in answer.agent_keys),
        registry_key=OKPKey.import_key(answer.registry_key),
        certificate=folder / _CERTIFICATE,
        tls_key=folder / _TLS_KEY,
        ca=folder / _CA,
    )


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
