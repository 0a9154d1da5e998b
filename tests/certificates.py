"""A small certificate authority for tests, independent of the product's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_MAY_SIGN = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues and revokes certificates; keeps `ca` and `revoked`, its own certificate and revocation list, as PEM files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.ca = folder / "ca.crt"
        self.revoked = folder / "ca.crl"
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = _name("Authority of a test")
        self._list = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        own = _certificate(self._name, self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        own = own.add_extension(_MAY_SIGN, True).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False
        )
        self.ca.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        self._write_list()

    def issue(self, name: str, *, address: str | None = None, begins_in: timedelta = timedelta(minutes=-5)) -> Issued:
        """Issue a certificate for a common name that holds for a day, for a server at an IP address when one is given."""
        key = generate_private_key(SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = _certificate(_name(name), self._name, key, begins_in).add_extension(issuer, False)  # Python 3.13 insists on it
        if address is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False)
        signed = builder.sign(self._key, hashes.SHA256())
        issued = Issued(self._folder / f"{signed.serial_number:x}.crt", self._folder / f"{signed.serial_number:x}.key")
        issued.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return issued

    def revoke(self, issued: Issued) -> None:
        """Put a certificate on the revocation list."""
        serial = x509.load_pem_x509_certificate(issued.certificate.read_bytes()).serial_number
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(datetime.now(UTC)).build()
        self._list = self._list.add_revoked_certificate(entry)
        self._write_list()

    def _write_list(self) -> None:
        now = datetime.now(UTC)
        dated = self._list.last_update(now - timedelta(minutes=5)).next_update(now + timedelta(days=1))
        self.revoked.write_bytes(dated.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, begins_in: timedelta = timedelta(minutes=-5)
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins_in)
        .not_valid_after(now + begins_in + timedelta(days=1))
    )
