"""The roll of a simulated fleet: devices with real keys and certificates, enrolled by the product's own commands, made once.

A folder holds the devices' keys and a small centre (`agent/`: the CA, the sync agent's keys, a registry in which every device was
approved). A test takes a copy of that centre's keys and has the fleet entered into its own registry in one transaction.
"""

from __future__ import annotations

import csv
import io
import shutil
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import OKPKey
from sqlalchemy import insert, select

from sync_agent import service
from sync_agent.contract.enrolment import Answer, Request
from sync_agent.contract.topics import DeviceId, Tenant
from sync_agent.fleet import authority, enrolment
from sync_agent.registry import roster
from sync_agent.registry.database import Database
from sync_agent.registry.tables import Base, Device, DeviceCertificate, DeviceKey, Site
from sync_agent.service import Office
from sync_agent.settings import FleetSettings, Settings
from system.simulate.fleet_work import worker

TENANT: Final = Tenant("xz")
A_SITE: Final = 5
"""Kiosks at a site."""
CREW: Final = 40
"""Workers of a site."""

_ENTERED: Final[tuple[type[Base], ...]] = (Site, Device, DeviceKey, DeviceCertificate)
_LEFT: Final = timedelta(days=7)
"""A certificate with less life than this is made new."""


@dataclass(frozen=True, slots=True)
class Member:
    """One simulated kiosk, enrolled.

    Attributes:
        crew: numbers of the workers of its site, for `fleet_work.worker`.
        signing_key: private Ed25519 record key.
        agent_keys: public keys that may sign receipts.
        registry_key: public X25519 key that personal parts are sealed to.
        tls: PEM file with TLS key and certificate.
        ca: PEM file of the authorities to trust.
    """

    tenant: Tenant
    device: DeviceId
    site: str
    crew: range
    signing_key: OKPKey
    agent_keys: tuple[OKPKey, ...]
    registry_key: OKPKey
    tls: Path
    ca: Path

    def context(self) -> ssl.SSLContext:
        """Return what TLS needs to prove this kiosk and to know the broker."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        context.load_cert_chain(self.tls)
        return context


def enrol(at: Office, folder: Path, count: int) -> list[Member]:
    """Return `count` kiosks whom a centre knows, enrolling those it does not know yet as a device and an operator would.

    Args:
        at: the centre: its authority signs, its registry learns.
        folder: where the devices' keys are kept from one time to the next.
        count: how many.

    Raises:
        CannotEnrol: a device of that name is enrolled with another key.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = folder / "ca.crt"
    ca.write_text(at.authority.certificate)
    with at.database.read() as session:
        until = {row.serial: row.valid_until for row in session.scalars(select(DeviceCertificate))}
    fresh_after = service.now() + _LEFT
    members = []
    for number in range(count):
        device, site = DeviceId(f"sim-{number:05d}"), f"sim-site-{number // A_SITE:04d}"
        tls, record = folder / f"{device}.tls.pem", folder / f"{device}.record.pem"
        if not record.exists():
            _write(record, OKPKey.generate_key("Ed25519").as_pem(private=True))
        if not tls.exists() or until.get(_serial(tls), fresh_after) <= fresh_after:
            signing_key = OKPKey.import_key(record.read_bytes())
            tls_key = ec.generate_private_key(ec.SECP256R1())
            answer = _approved(at, device, site, tls_key, signing_key)
            _write(tls, _pem(tls_key) + answer.certificate.encode())
        members.append(
            Member(
                tenant=Tenant(at.settings.tenant),
                device=device,
                site=site,
                crew=range(number // A_SITE * CREW, (number // A_SITE + 1) * CREW),
                signing_key=OKPKey.import_key(record.read_bytes()),
                agent_keys=tuple(map(_public, at.authority.agent_keys)),
                registry_key=_public(at.authority.registry_key),
                tls=tls,
                ca=ca,
            )
        )
    return members


@dataclass(frozen=True, slots=True)
class Roll:
    """A fleet kept in a folder, with the small centre that enrolled it."""

    folder: Path

    def members(self, count: int) -> list[Member]:
        """Return the first `count` kiosks, made where they are not there yet."""
        with self._centre() as at:
            return enrol(at, self.folder / "devices", count)

    def lay(self, state_dir: Path) -> None:
        """Give a sync agent the keys of the centre that enrolled the fleet, as its own.

        Args:
            state_dir: of that sync agent; its folder of keys must not be there yet.
        """
        with self._centre() as at:
            shutil.copytree(at.settings.keys_dir, state_dir / at.settings.keys_dir.name)

    def enter(self, database: Database, members: Sequence[Member]) -> None:
        """Enter kiosks and the workers of their sites into an empty registry.

        Args:
            database: migrated, and with the data key that `lay` copied.
            members: of this roll.
        """
        devices, sites = [member.device for member in members], sorted({member.site for member in members})
        with self._centre() as at, at.database.read() as known, database.write() as session:
            for table in _ENTERED:
                rows = list(known.execute(select(table.__table__).where(_of(table).in_(sites if table is Site else devices))))
                session.execute(insert(table), [dict(row._mapping) for row in rows])
            for member in {member.site: member for member in members}.values():
                roster.import_people(session, _list_of(member.crew), member.site, service.now())

    @contextmanager
    def _centre(self) -> Iterator[Office]:
        settings = Settings(
            state_dir=self.folder / "agent", tenant=TENANT, fleet=FleetSettings(certificate_days=825, revocation_list_days=90)
        )
        authority.establish(settings.keys_dir, settings.broker.names, service.now())
        with service.office(settings) as at:
            enrolment.refresh_revocations(at.database, at.authority, settings.fleet, service.now())
            yield at


def _approved(at: Office, device: DeviceId, site: str, tls_key: ec.EllipticCurvePrivateKey, signing_key: OKPKey) -> Answer:
    """The device asks, the operator approves."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(name).sign(tls_key, hashes.SHA256())
    request = Request(
        device=device,
        site=site,
        serial="SIMULATED",
        csr=asked.public_bytes(serialization.Encoding.PEM).decode(),
        record_key=signing_key.as_dict(private=False),
    )
    return enrolment.approve(at.database, at.authority, request, at.settings, service.now(), actor="simulator")


def _of(table: type[Base]) -> Any:
    """Return the column that says whose row it is."""
    return table.__table__.c["device_id" if "device_id" in table.__table__.c else "id"]


def _list_of(crew: range) -> str:
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(roster.COLUMNS)
    lines.writerows((card.name, card.number) for card in map(worker, crew))
    return text.getvalue()


def _serial(tls: Path) -> str:
    return f"{x509.load_pem_x509_certificate(tls.read_bytes()[tls.read_bytes().index(b'-----BEGIN CERT') :]).serial_number:x}"


def _public(key: OKPKey) -> OKPKey:
    return OKPKey.import_key(key.as_dict(private=False))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
