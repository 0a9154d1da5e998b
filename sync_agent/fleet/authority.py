"""The device CA that the sync agent owns, and the keys of the sync agent itself.

Everything lies in one folder, each file readable for its owner only. The CA signs the broker's certificate, the sync agent's own
and those of the devices. Receipts are signed with a separate Ed25519 key, personal parts are sealed to an X25519 key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from sync_agent.contract.topics import SHARDS, DeviceId
from sync_agent.fleet.certificates import BadRequest, Issued, Issuer, Revoked, pem, requested_key, self_signed

__all__ = ["AGENT", "Authority", "AuthorityFault", "BadRequest", "Files", "Revoked", "establish", "load", "session_name"]

AGENT: Final = "sync-agent"
"""Common name of the sync agent's own certificate. No device may be given it, nor the name of a shard's session."""

_CA_NAME: Final = "Renzheng device CA"
_CA_DAYS: Final = 3650
_OWN_DAYS: Final = 365
_RENEWED: Final = timedelta(days=30)
"""Our own certificates are made new this long before they end."""


class AuthorityFault(Exception):
    """The folder of keys cannot be used. Code CA-01; the text says which file and what to do."""

    code = "CA-01"


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything lies; what the broker and the connection to it are given."""

    folder: Path

    @property
    def ca(self) -> Path:
        """Certificate of the CA."""
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """Its private key: whoever has it can let devices in."""
        return self.folder / "ca.key"

    @property
    def revoked(self) -> Path:
        """Revocation list of the CA, PEM."""
        return self.folder / "ca.crl"

    @property
    def broker_certificate(self) -> Path:
        """The broker's certificate."""
        return self.folder / "broker.crt"

    @property
    def broker_key(self) -> Path:
        """The broker's private key."""
        return self.folder / "broker.key"

    @property
    def agent_certificate(self) -> Path:
        """The certificate that the sync agent shows to the broker."""
        return self.folder / "sync-agent.crt"

    @property
    def agent_tls_key(self) -> Path:
        """Its private key."""
        return self.folder / "sync-agent.key"

    def session_certificate(self, shard: int) -> Path:
        """The certificate that the session of a shard shows to the broker; its key is `agent_tls_key`."""
        return self.folder / "sessions" / f"{shard:02d}.crt"

    @property
    def receipt_key(self) -> Path:
        """The private key that signs receipts."""
        return self.folder / "receipt.pem"

    @property
    def registry_key(self) -> Path:
        """The private key that personal parts are sealed to."""
        return self.folder / "registry.pem"


class Authority:
    """The CA and the sync agent's own keys, in memory. Use `establish` or `load`.

    Attributes:
        files: where they lie.
        receipt_key: private Ed25519 key that signs receipts.
        registry_key: private X25519 key that personal parts are sealed to.
    """

    def __init__(self, files: Files, issuer: Issuer, receipt_key: OKPKey, registry_key: OKPKey) -> None:
        self.files = files
        self.receipt_key = receipt_key
        self.registry_key = registry_key
        self._issuer = issuer

    @property
    def certificate(self) -> str:
        """The CA's certificate, PEM: what devices are told to trust."""
        return pem(self._issuer.certificate)

    def sign_device(self, csr: str, device: DeviceId, days: int, now: datetime) -> Issued:
        """Sign the request of a device.

        Args:
            csr: PEM; only its public key is taken over.
            device: the common name, which the request must carry too.
            days: life of the certificate.
            now: begin of it.

        Raises:
            BadRequest: the request does not fit, or the name is the sync agent's.
        """
        if device == AGENT or device in map(session_name, range(SHARDS)):
            raise BadRequest(f"{device!r} is the sync agent itself. Give the device another name.")
        return self._issuer.sign(requested_key(csr, device), device, days, now)

    def write_revocation_list(self, revoked: Iterable[Revoked], days: int, now: datetime) -> None:
        """Write the list the broker refuses clients by; it must read it again afterwards (SIGHUP).

        Args:
            revoked: every certificate that holds no longer.
            days: life of the list; past it the broker refuses everybody.
            now: begin of it.
        """
        _write(self.files.revoked, self._issuer.list_revoked(revoked, days, now).encode())

    def certify_own(self, names: Sequence[str], now: datetime) -> None:
        """Make the certificates of broker and sync agent, where they are not there, end soon or name other hosts."""
        hosts = list(dict.fromkeys(["localhost", "127.0.0.1", *names]))
        files = self.files
        for path, key_file, name, hosted in (
            (files.broker_certificate, files.broker_key, hosts[0], hosts),
            (files.agent_certificate, files.agent_tls_key, AGENT, []),
        ):
            key = _own_key(key_file)
            held = _held(path)
            if held is None or not self._issuer.is_good(held, hosted, now + _RENEWED):
                _write(path, self._issuer.sign(key.public_key(), name, _OWN_DAYS, now, hosts=hosted).pem.encode())

    def certify_sessions(self, now: datetime) -> None:
        """Make the certificate of each shard's session, where it is missing or ends soon: the broker takes client ids from it."""
        files = self.files
        files.session_certificate(0).parent.mkdir(exist_ok=True, mode=0o700)
        public = _own_key(files.agent_tls_key).public_key()
        for shard in range(SHARDS):
            path = files.session_certificate(shard)
            held = _held(path)
            if held is None or not self._issuer.is_good(held, [], now + _RENEWED):
                _write(path, self._issuer.sign(public, session_name(shard), _OWN_DAYS, now).pem.encode())


def session_name(shard: int) -> str:
    """Return the common name, and with it the client id, of the session that hears one shard."""
    return f"{AGENT}-{shard:02d}"


def establish(folder: Path, names: Sequence[str], now: datetime) -> Authority:
    """Make what is not there yet: CA, the broker's and the sync agent's certificates, the sync agent's keys.

    Certificates of our own that end within 30 days, or name other hosts than asked for, are made new; keys never are.

    Args:
        folder: where everything is kept, mode 0700.
        names: further names and addresses of the broker, beside localhost and 127.0.0.1.
        now: begin of what is signed.

    Raises:
        AuthorityFault: a file that is there cannot be read.
    """
    files = Files(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    key = _own_key(files.ca_key)
    if not files.ca.exists():
        _write(files.ca, pem(self_signed(key, _CA_NAME, _CA_DAYS, now)).encode())
    if not files.receipt_key.exists():
        _write(files.receipt_key, OKPKey.generate_key("Ed25519").as_pem(private=True))
    if not files.registry_key.exists():
        _write(files.registry_key, OKPKey.generate_key("X25519").as_pem(private=True))
    authority = load(folder)
    authority.certify_own(names, now)
    return authority


def load(folder: Path) -> Authority:
    """Read an established authority.

    Raises:
        AuthorityFault: there is none, or a file cannot be read.
    """
    files = Files(folder)
    key = _private_key(files.ca_key)
    try:
        certificate = x509.load_pem_x509_certificate(_read(files.ca))
    except ValueError as err:
        raise _spoilt(files.ca) from err
    return Authority(files, Issuer(certificate, key), _jwk(files.receipt_key), _jwk(files.registry_key))


def _held(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _own_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        _write(path, fresh.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return _private_key(path)


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    content = _read(path)
    try:
        key = serialization.load_pem_private_key(content, None)
    except ValueError as err:
        raise _spoilt(path) from err
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _spoilt(path)
    return key


def _jwk(path: Path) -> OKPKey:
    content = _read(path)
    try:
        return OKPKey.import_key(content)
    except (JoseError, ValueError) as err:
        raise _spoilt(path) from err


def _spoilt(path: Path) -> AuthorityFault:
    return AuthorityFault(f"{path.name!r} does not hold what it should. Restore the folder of keys from its backup.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise AuthorityFault(f"{str(path)!r} cannot be read ({err.strerror}). Run `sync-agent device init`.") from err


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # several sync agents may share the folder
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
