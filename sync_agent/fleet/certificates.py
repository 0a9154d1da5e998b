"""X.509 as the device CA uses it: certificates on P-256, requests of devices, revocation lists. Computes only; keeps nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATED: Final = timedelta(hours=1)
"""Certificates and lists begin this much earlier: clocks of devices lag."""


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
class Issuer:
    """Who signs: a CA certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(self, key: ec.EllipticCurvePublicKey, name: str, days: int, now: datetime, *, hosts: Sequence[str] = ()) -> Issued:
        """Return a certificate for `key`.

        Args:
            key: whose.
            name: common name.
            days: life.
            now: begin.
            hosts: names and addresses of a server; absent makes it a client's certificate.
        """
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(name, self.certificate.subject, key, now, now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host_name(host) for host in hosts]), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return Issued(pem(signed), f"{signed.serial_number:x}", signed.not_valid_after_utc)

    def list_revoked(self, revoked: Iterable[Revoked], days: int, now: datetime) -> str:
        """Return a revocation list, PEM.

        Args:
            revoked: every certificate that holds no longer.
            days: life of the list.
            now: begin of it.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _BACKDATED)
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
            .add_extension(self._identifier(), critical=False)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(each.serial, 16)).revocation_date(each.since)
            builder = builder.add_revoked_certificate(entry.build())
        return pem(builder.sign(self.key, hashes.SHA256()))

    def is_good(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePublicKey, hosts: Sequence[str], until: datetime
    ) -> bool:
        """Tell whether a certificate is of this issuer and for this key, names exactly `hosts` and holds at `until`."""
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        named: set[str] = set()
        if hosts:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            named = {str(name.value) for name in names}
        wanted = {str(_host_name(host).value) for host in hosts}
        is_ours = issuer == self._identifier() and certificate.public_key() == key
        return is_ours and named == wanted and certificate.not_valid_after_utc > until

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())


def self_signed(key: ec.EllipticCurvePrivateKey, name: str, days: int, now: datetime) -> x509.Certificate:
    """Return the certificate of a CA that may sign no further CA."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        _builder(name, subject, key.public_key(), now, now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def requested_key(csr: str, name: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of a certificate request; nothing else of it is taken over.

    Args:
        csr: PEM.
        name: the common name that it must carry.

    Raises:
        BadRequest: not a request, not signed by its own key, another key than P-256, or another name.
    """
    try:
        asked = x509.load_pem_x509_csr(csr.encode())
        is_own = asked.is_signature_valid
    except ValueError as err:
        raise BadRequest(f"the request of {name!r} is not a PEM certificate request. Make it again on the device.") from err
    key = asked.public_key()
    if not is_own or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest(f"the request of {name!r} is not signed by a P-256 key of its own. Make it again on the device.")
    if [attribute.value for attribute in asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] != [name]:
        raise BadRequest(f"the request of {name!r} carries another name. Make it again on the device.")
    return key


def revocation_lists(text: bytes) -> list[x509.CertificateRevocationList]:
    """Read every revocation list of a file.

    Args:
        text: PEM, one list after the other.

    Raises:
        ValueError: one cannot be read.
    """
    mark = b"-----BEGIN X509 CRL-----"
    return [x509.load_pem_x509_crl(mark + part) for part in text.split(mark)[1:]]


def pem(what: x509.Certificate | x509.CertificateRevocationList) -> str:
    """Return it as PEM."""
    return what.public_bytes(serialization.Encoding.PEM).decode()


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


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
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
