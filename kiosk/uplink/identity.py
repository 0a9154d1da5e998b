"""Who this device is: its keys, its certificate, and the keys of the centre it believes.

Keys are made on the device and never leave it: a P-256 key for TLS, a separate Ed25519 key for records, so that a new
certificate does not break evidence. `begin` writes the request that an operator approves, `finish` takes the answer; what changes
after that stands in `state.json`, replaced whole (`kiosk/uplink/wallet.py`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict

from sync_agent.contract.enrolment import Answer, Request
from sync_agent.contract.topics import DeviceId, Tenant
from sync_agent.contract.trust import Trust

ANSWER: Final = "answer.json"
STATE: Final = "state.json"


class NotEnrolled(Exception):
    """The device has no identity yet. Code ID-01: run `kiosk enrol`."""

    code = "ID-01"
    message = "identity.not-enrolled"


class State(BaseModel):
    """What is in force, by the names of files; absent on a device where nothing has changed since it was enrolled.

    Attributes:
        tls: pair of TLS key and certificate, `tls.pem` and `tls.crt`.
        former_tls: the pair before it, for as long as the new one has never connected.
        record: record key, `record.pem`.
        ca: authorities to trust.
        attestation: base64: the agent's word that the record key is this device's.
        trust: list in force; None for that of enrolment.
    """

    model_config = ConfigDict(frozen=True)

    tls: str = "tls"
    former_tls: str = ""
    record: str = "record"
    ca: str = "ca.crt"
    attestation: str = ""
    trust: Trust | None = None


class Who(Protocol):
    """Who the device is at this moment: an `Identity`, or a `Wallet` in which it changes."""

    @property
    def tenant(self) -> Tenant:
        """Operator of the devices."""

    @property
    def device(self) -> DeviceId:
        """Name of the device."""

    @property
    def site(self) -> str:
        """Where it was enrolled to stand."""

    @property
    def signing_key(self) -> OKPKey:
        """Private Ed25519 record key."""

    @property
    def agent_keys(self) -> tuple[OKPKey, ...]:
        """Public Ed25519 keys that may sign receipts."""

    @property
    def registry_key(self) -> OKPKey:
        """Public X25519 key that personal parts are sealed to."""

    @property
    def trust(self) -> int:
        """Number of the trust list in force."""

    @property
    def attestation(self) -> str:
        """Base64: the agent's word that the record key is this device's; empty where it never said so."""

    def to_connect(self) -> Identity:
        """Return the identity to connect with next."""

    def connected(self, used: Identity) -> None:
        """Learn that the broker has let us in with it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled device as it is at one moment.

    Attributes:
        signing_key: private Ed25519 record key.
        agent_keys: public Ed25519 keys that may sign receipts.
        registry_key: public X25519 key that personal parts are sealed to.
        certificate, tls_key, ca: files for the connection to the broker.
        trust: number of the trust list in force.
        attestation: base64: the agent's word that the record key is this device's.
        door: address of the enrolment door; empty where there is none.
        issuer: SHA-256 of the authority in force, hexadecimal; empty while there was never another.
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
    trust: int = 0
    attestation: str = ""
    door: str = ""
    issuer: str = ""

    def to_connect(self) -> Identity:
        """Return itself: it is one moment's."""
        return self

    def connected(self, used: Identity) -> None:
        """Change nothing."""


def begin(folder: Path, device: DeviceId, site: str, serial: str) -> Request:
    """Make the device's keys, where they are not there yet, and return the request for the operator.

    Args:
        folder: where the identity is kept, mode 0700.
        device: name of the device, also its certificate's common name.
        site: where it will stand.
        serial: serial number of the board.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = state_of(folder)
    return Request(
        device=device,
        site=site,
        serial=serial,
        csr=certificate_request(own_tls_key(folder / f"{state.tls}.pem"), device),
        record_key=own_record_key(folder / f"{state.record}.pem").as_dict(private=False),
    )


def finish(folder: Path, answer: Answer) -> None:
    """Keep the operator's answer beside the keys it was made for."""
    before = state_of(folder)
    write(folder / f"{before.tls}.crt", answer.certificate.encode())
    write(folder / State().ca, answer.ca.encode())
    write(folder / ANSWER, answer.model_dump_json(indent=2).encode())
    write_state(folder, State(tls=before.tls, record=before.record, attestation=answer.attestation))


def load(folder: Path) -> Identity:
    """Read the identity of an enrolled device.

    Raises:
        NotEnrolled: a file is missing, or is not what was written.
    """
    try:
        state = state_of(folder)
        answer = Answer.model_validate_json((folder / ANSWER).read_bytes())
        signing_key = OKPKey.import_key((folder / f"{state.record}.pem").read_bytes())
    except OSError as err:
        raise NotEnrolled(f"no identity in {folder.name!r}: {err.strerror}; run `kiosk enrol`") from err
    except ValueError as err:
        raise NotEnrolled(f"the identity in {folder.name!r} is damaged; restore the folder or run `kiosk enrol` again") from err
    believed = state.trust or answer
    return Identity(
        tenant=Tenant(answer.tenant),
        device=DeviceId(answer.device),
        site=answer.site,
        broker_host=answer.broker_host,
        broker_port=answer.broker_port,
        signing_key=signing_key,
        agent_keys=tuple(OKPKey.import_key(key) for key in believed.agent_keys),
        registry_key=OKPKey.import_key(believed.registry_key),
        certificate=folder / f"{state.tls}.crt",
        tls_key=folder / f"{state.tls}.pem",
        ca=folder / state.ca,
        trust=believed.number,
        attestation=state.attestation,
        door=answer.door,
        issuer=state.trust.issuer if state.trust else "",
    )


def state_of(folder: Path) -> State:
    """Return what is in force."""
    try:
        return State.model_validate_json((folder / STATE).read_bytes())
    except FileNotFoundError:
        return State()


def write_state(folder: Path, state: State) -> None:
    """Put something else in force, whole or not at all."""
    write(folder / STATE, state.model_dump_json(indent=2).encode())


def own_record_key(path: Path) -> OKPKey:
    """Return the private Ed25519 key in a file; made there where there is none."""
    if not path.exists():
        write(path, OKPKey.generate_key("Ed25519").as_pem(private=True))
    return OKPKey.import_key(path.read_bytes())


def own_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private P-256 key in a file; made there where there is none."""
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        write(path, fresh.private_bytes(encoding, form, serialization.NoEncryption()))
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path.name} holds another kind of key than P-256")
    return key


def certificate_request(key: ec.EllipticCurvePrivateKey, device: DeviceId) -> str:
    """Return a certificate request in the name of the device, PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the new name, too: what follows relies on it after a power cut
    finally:
        os.close(folder)
