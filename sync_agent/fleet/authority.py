"""The device CA that the sync agent owns, and the keys of the sync agent itself.

Everything lies in one folder, each file readable for its owner only. The CA signs the broker's certificate, the sync agent's own
and those of the devices; P-256 throughout. Receipts are signed with a separate Ed25519 key, personal parts are sealed to an
X25519 key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from sync_agent.contract.topics import DeviceId

AGENT: Final = "sync-agent"
"""Common name of the sync agent's own certificate; the broker lets it hear all, so no device may be given it."""

_CA_DAYS: Final = 3650
_OWN_DAYS: Final = 365
_RENEW_DAYS: Final = 30
_BACKDATED: Final = timedelta(hours=1)
"""Certificates begin this much earlier: clocks of devices lag."""


class AuthorityFault(Exception):
    """The folder of keys cannot be used. Code CA-01; the text says which file and what to do."""

    code = "CA-01"


class BadRequest(Exception):
    """A certificate request that is not signed. Code CA-02; the text says what does not fit."""

    code = "CA-02"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was signed.

    Attributes:
        serial: hexadecimal.
    """

    pem: str
    serial: str
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate that holds no longer."""

    serial: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything lies; what the broker and the connection to it are given."""

    folder: Path

    @property
    def ca(self) -> Path:
        """Certificate of the CA."""
        return self.folder / "ca.crt"

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

    @property
    def data_key(self) -> Path:
        """The key that seals personal columns (`registry.protect.vault_at`)."""
        return self.folder / "data.key"

    @property
    def _ca_key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def _receipt_key(self) -> Path:
        return self.folder / "receipt.pem"

    @property
    def _registry_key(self) -> Path:
        return self.folder / "registry.pem"


class Authority:
    """The CA and the sync agent's own keys, in memory. Use `establish` or `load`."""

    def __init__(
        self,
        files: Files,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        receipt_key: OKPKey,
        registry_key: OKPKey,
    ) -> None:
        self.files = files
        self.receipt_key = receipt_key
        """Private Ed25519 key that signs receipts."""
        self.registry_key = registry_key
        """Private X25519 key that personal parts are sealed to."""
        self._key = key
        self._certificate = certificate

    @property
    def certificate(self) -> str:
        """The CA's certificate, PEM: what devices are told to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign_device(self, csr: str, device: DeviceId, days: int, now: datetime) -> Issued:
        """Sign the request of a device.

        Args:
            csr: PEM; only its public key is taken over.
            device: the common name, which the request must carry too.
            days: life of the certificate.
            now: begin of it.

        Raises:
            BadRequest: not a request, not signed by its own key, another key than P-256, another name, or the sync agent's.
        """
        if device == AGENT:
            raise BadRequest(f"{AGENT!r} is the sync agent itself. Give the device another name.")
        try:
            asked = x509.load_pem_x509_csr(csr.encode())
            is_own = asked.is_signature_valid
        except ValueError as err:
            raise BadRequest(f"the request of {device!r} is not a PEM certificate request. Make it again on the device.") from err
        key = asked.public_key()
        if not is_own or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise BadRequest(f"the request of {device!r} is not signed by a P-256 key of its own. Make it again on the device.")
        names = [name.value for name in asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [device]:
            raise BadRequest(f"the request of {device!r} carries another name. Make it again on the device.")
        return self._sign(key, device, ExtendedKeyUsageOID.CLIENT_AUTH, days, now)

    def write_revocation_list(self, revoked: Iterable[Revoked], days: int, now: datetime) -> None:
        """Write the list the broker refuses clients by; it must read it again afterwards (SIGHUP).

        Args:
            revoked: every certificate that holds no longer.
            days: life of the list; past it the broker refuses everybody.
            now: begin of it.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - _BACKDATED)
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(each.serial, 16)).revocation_date(each.since)
            builder = builder.add_revoked_certificate(entry.build())
        listed = builder.sign(self._key, hashes.SHA256())
        _write(self.files.revoked, listed.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey,
        name: str,
        usage: x509.ObjectIdentifier,
        days: int,
        now: datetime,
        hosts: Sequence[str] = (),
    ) -> Issued:
        until = now + timedelta(days=days)
        builder = (
            _builder(name, self._certificate.subject, key, now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs=True, is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host_name(host) for host in hosts]), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Issued(
            signed.public_bytes(serialization.Encoding.PEM).decode(), f"{signed.serial_number:x}", signed.not_valid_after_utc
        )

    def _certify_own(self, certificate: Path, key_file: Path, name: str, hosts: Sequence[str], now: datetime) -> None:
        """Make the certificate of one of our own programs, or make it new when it ends soon or must name other hosts."""
        key = _own_key(key_file)
        if _still_good(certificate, self._key.public_key(), hosts, now):
            return
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        _write(certificate, self._sign(key.public_key(), name, usage, _OWN_DAYS, now, hosts).pem.encode())


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
    key = _own_key(files._ca_key)
    if not files.ca.exists():
        _write(files.ca, _self_signed(key, now).public_bytes(serialization.Encoding.PEM))
    if not files._receipt_key.exists():
        _write(files._receipt_key, OKPKey.generate_key("Ed25519").as_pem(private=True))
    if not files._registry_key.exists():
        _write(files._registry_key, OKPKey.generate_key("X25519").as_pem(private=True))
    authority = load(folder)
    hosts = list(dict.fromkeys(["localhost", "127.0.0.1", *names]))
    authority._certify_own(files.broker_certificate, files.broker_key, hosts[0], hosts, now)
    authority._certify_own(files.agent_certificate, files.agent_tls_key, AGENT, (), now)
    return authority


def load(folder: Path) -> Authority:
    """Read an established authority.

    Raises:
        AuthorityFault: there is none, or a file cannot be read.
    """
    files = Files(folder)
    key = _private_key(_read(files._ca_key), files._ca_key)
    try:
        certificate = x509.load_pem_x509_certificate(_read(files.ca))
    except ValueError as err:
        raise AuthorityFault(f"{files.ca.name!r} is not a certificate. Restore the folder of keys from its backup.") from err
    return Authority(files, key, certificate, _own_jwk(files._receipt_key), _own_jwk(files._registry_key))


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Renzheng device CA")])
    return (
        _builder("Renzheng device CA", subject, key.public_key(), now, now + timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs=False, is_ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs: bool, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _still_good(path: Path, ca_key: ec.EllipticCurvePublicKey, hosts: Sequence[str], now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    ours = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key)
    issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    named: set[str] = set()
    if hosts:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        named = {str(name.value) for name in names}
    lasts = certificate.not_valid_after_utc - now > timedelta(days=_RENEW_DAYS)
    return lasts and issuer == ours and named == {str(_host_name(host).value) for host in hosts}


def _own_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        _write(path, fresh.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return _private_key(_read(path), path)


def _private_key(pem: bytes, path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except ValueError as err:
        raise AuthorityFault(f"{path.name!r} is not a private key. Restore the folder of keys from its backup.") from err
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityFault(f"{path.name!r} holds another kind of key than P-256. Restore the folder of keys from its backup.")
    return key


def _own_jwk(path: Path) -> OKPKey:
    try:
        return OKPKey.import_key(_read(path))
    except (JoseError, ValueError) as err:
        raise AuthorityFault(f"{path.name!r} is not a private key. Restore the folder of keys from its backup.") from err


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise AuthorityFault(f"{str(path)!r} cannot be read ({err.strerror}). Run `sync-agent device init`.") from err


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
