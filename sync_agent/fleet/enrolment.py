"""How a device is let in and shut out: an operator approves its request, its certificate is signed, revoked, listed.

A device makes its keys itself; nothing secret crosses the desk. Revoking takes hold in two places: the broker refuses the
certificate by the revocation list (make it read the list again), and the sync agent refuses the record key at once.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from cryptography import x509
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract import slip
from sync_agent.contract.enrolment import Answer, Request, tls_key_digest
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import alarms, presence, trust
from sync_agent.fleet.authority import Authority, Revoked
from sync_agent.fleet.trust import public
from sync_agent.registry.database import Database
from sync_agent.registry.tables import AlarmKind, AuditEvent, Device, DeviceCertificate, DeviceKey, DeviceStatus, Site
from sync_agent.settings import FleetSettings, Settings

log = structlog.get_logger(__name__)

_PUBLIC_MEMBERS: Final = ("kty", "crv", "x")


class CannotEnrol(Exception):
    """A device cannot be let in or shut out as asked. Code ENR-01; the text says why and what to do."""

    code = "ENR-01"


COMMAND: Final = "command-line"
"""Who did it, for the audit, when it came from the `sync-agent` command."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list of devices."""

    device: DeviceId
    site: str
    serial: str
    enrolled_at: datetime
    certificate_until: datetime | None
    seen: presence.Seen

    def __str__(self) -> str:
        since = f" since {self.seen.since:%Y-%m-%d %H:%M:%S}Z" if self.seen.since else ""
        until = f"certificate until {self.certificate_until:%Y-%m-%d}" if self.certificate_until else "no certificate"
        return f"{self.device:<24} {self.site:<16} {self.seen.presence}{since}, {until}"


def approve(
    database: Database, authority: Authority, request: Request, settings: Settings, now: datetime, *, actor: str = COMMAND
) -> Answer:
    """Let a device in, or give one that is in a new certificate.

    Args:
        database: the registry.
        authority: signs the certificate.
        request: as the device made it.
        settings: what the device is told of broker and tenant.
        now: the time.
        actor: who approves.

    Raises:
        BadRequest: the certificate request does not fit.
        CannotEnrol: the record key is another's, revoked, or not an Ed25519 key; or the device is in with another key.
    """
    with database.write() as session:
        return admit(session, authority, request, settings, now, actor)


def admit(session: Session, authority: Authority, request: Request, settings: Settings, now: datetime, actor: str) -> Answer:
    """Let a device in, in a write transaction; raises as `approve`."""
    key = record_key(request)
    device = DeviceId(request.device)
    _admit(session, request, key, now)
    issued = certify(session, authority, device, request.csr, settings, now)
    session.add(AuditEvent(at=now, actor=actor, action="device.approve", subject=device))
    log.info("device.approved", device=device, site=request.site, certificate=issued.serial)
    return answer(session, authority, device, request.site, key, issued.pem, settings, now)


def certify(
    session: Session, authority: Authority, device: DeviceId, csr: str, settings: Settings, now: datetime
) -> DeviceCertificate:
    """Return a certificate for a device's key: a new one, or that which it was given for the very same key and has not worn yet.

    Raises:
        BadRequest: the request does not fit.
    """
    issued = authority.sign_device(csr, device, settings.fleet.certificate_days, now)
    digest = tls_key_digest(csr)
    asked = select(DeviceCertificate).where(
        DeviceCertificate.device_id == device,
        DeviceCertificate.key_digest == digest,
        DeviceCertificate.issuer == authority.issuer,
        DeviceCertificate.revoked_at.is_(None),
        DeviceCertificate.issued_at > now - timedelta(days=1),
        DeviceCertificate.issued_at <= now,
    )
    known = session.scalars(asked).first()
    if known is not None and issued.valid_until - known.valid_until <= timedelta(days=1):
        return known
    row = DeviceCertificate(
        serial=issued.serial,
        device_id=device,
        valid_until=issued.valid_until,
        issued_at=now,
        pem=issued.pem,
        key_digest=digest,
        issuer=authority.issuer,
    )
    session.add(row)
    session.flush()
    return row


def attestation(authority: Authority, device: DeviceId, site: str, key: OKPKey, valid_from: datetime, certificate: str) -> str:
    """Return the agent's word that a record key is a device's, base64, for as long as its certificate and a third more."""
    held = x509.load_pem_x509_certificate(certificate.encode())
    life = held.not_valid_after_utc - held.not_valid_before_utc
    said = slip.attest(
        key,
        device=device,
        site=site,
        valid_from=valid_from,
        valid_until=held.not_valid_after_utc + life / 3,
        agent_key=authority.receipt_key,
    )
    return base64.b64encode(said).decode()


def answer(
    session: Session,
    authority: Authority,
    device: DeviceId,
    site: str,
    key: OKPKey,
    certificate: str,
    settings: Settings,
    now: datetime,
) -> Answer:
    """Return what a device that was let in is given."""
    registered = session.get_one(DeviceKey, key.thumbprint())
    newest = trust.newest_list(session, authority, now)
    trust.heard(session, device, newest.number)
    return Answer(
        tenant=settings.tenant,
        device=device,
        site=site,
        broker_host=settings.broker.device_host or settings.broker.host,
        broker_port=settings.broker.port,
        certificate=certificate,
        ca=authority.certificate,
        agent_keys=[public(each) for each in authority.agent_keys],
        registry_key=public(authority.registry_key),
        number=newest.number,
        door=settings.door.address,
        record_key=key.thumbprint(),
        attestation=attestation(authority, device, site, key, registered.valid_from, certificate),
    )


def revoke(
    database: Database, authority: Authority, device: DeviceId, settings: FleetSettings, now: datetime, *, actor: str = COMMAND
) -> None:
    """Shut a device out from now on: its record keys, its certificates, and a new revocation list.

    Raises:
        CannotEnrol: no such device.
    """
    with database.write() as session:
        row = session.get(Device, device)
        if row is None:
            raise CannotEnrol(f"there is no device {device!r}. `sync-agent device list` shows those there are.")
        row.revoked_at = row.revoked_at or now
        for key in session.scalars(select(DeviceKey).where(DeviceKey.device_id == device)):
            key.revoked_at = min(now, key.revoked_at) if key.revoked_at else now  # one that was replaced ends in the future
        held = select(DeviceCertificate).where(DeviceCertificate.device_id == device, DeviceCertificate.revoked_at.is_(None))
        for certificate in session.scalars(held):
            certificate.revoked_at = now
        session.add(AuditEvent(at=now, actor=actor, action="device.revoke", subject=device))
    # After the commit: a list that cannot be written leaves the device refused by its key, and can be written again.
    refresh_revocations(database, authority, settings, now)
    log.warning("device.revoked", device=device)


def refresh_revocations(database: Database, authority: Authority, settings: FleetSettings, now: datetime) -> None:
    """Write the revocation list from what the registry knows; certificates that have ended anyway are left out."""
    with authority.alone():  # whoever reads before a revocation must not write after it
        revoked = _revoked(database, now)
        authority.write_revocation_list(revoked, settings.revocation_list_days, now)
    log.info("revocation-list.written", revoked=len(revoked), days=settings.revocation_list_days)


def is_list_behind(database: Database, authority: Authority, now: datetime) -> bool:
    """Tell whether a revoked certificate is missing on the list that lies here: revoked at another host, or a write cut short."""
    return not {each.serial for each in _revoked(database, now)} <= authority.listed_revoked()


def _revoked(database: Database, now: datetime) -> list[Revoked]:
    asked = select(DeviceCertificate).where(DeviceCertificate.revoked_at.is_not(None), DeviceCertificate.valid_until > now)
    with database.read() as session:
        return [Revoked(row.serial, row.revoked_at) for row in session.scalars(asked) if row.revoked_at is not None]


def listing(database: Database, settings: FleetSettings, now: datetime) -> list[Listed]:
    """Return every device, by name."""
    until: dict[str, datetime] = {}
    asked = select(Device, DeviceStatus).outerjoin(DeviceStatus, DeviceStatus.device_id == Device.id).order_by(Device.id)
    with database.read() as session:
        for certificate in session.scalars(select(DeviceCertificate).where(DeviceCertificate.revoked_at.is_(None))):
            until[certificate.device_id] = max(certificate.valid_until, until.get(certificate.device_id, certificate.valid_until))
        return [
            Listed(
                DeviceId(device.id),
                device.site_id,
                device.serial,
                device.enrolled_at,
                until.get(device.id),
                presence.look(status, device.revoked_at, settings, now),
            )
            for device, status in session.execute(asked)
        ]


def _admit(session: Session, request: Request, key: OKPKey, now: datetime) -> None:
    """Make or find the rows of device, site and record key."""
    name, kid = request.device, key.thumbprint()
    known = session.get(DeviceKey, kid)
    if known is not None and (known.device_id != name or known.revoked_at is not None):
        why = "belongs to another device" if known.device_id != name else "was revoked"
        raise CannotEnrol(f"the record key of {name!r} {why}. Delete the device's identity and make a new request on it.")
    device = session.get(Device, name)
    if device is not None and device.revoked_at is None and known is None:
        raise CannotEnrol(f"{name!r} is enrolled with another record key. If the device was set up anew, revoke it first.")
    _notice_board(session, request, now)
    if session.get(Site, request.site) is None:
        session.add(Site(id=request.site, name=request.site, created_at=now))
        session.flush()
    if device is None:
        session.add(Device(id=name, site_id=request.site, serial=request.serial, enrolled_at=now))
    else:
        device.site_id, device.serial, device.revoked_at = request.site, request.serial, None
    session.flush()
    if known is None:
        session.add(DeviceKey(kid=kid, device_id=name, public_key=public(key), valid_from=now))


def _notice_board(session: Session, request: Request, now: datetime) -> None:
    """Sound an alarm where the board is in already under another name: one of the two is not what it says, or was left behind."""
    if not request.serial:
        return
    twins = select(Device.id).where(Device.serial == request.serial, Device.id != request.device, Device.revoked_at.is_(None))
    twin = session.scalars(twins.order_by(Device.id)).first()
    if twin is not None:
        detail = f"its board is also that of {twin}; revoke the one that is gone"
        alarms.sound(session, AlarmKind.ENROLMENT, DeviceId(request.device), "same-board", detail, now)


def record_key(request: Request) -> OKPKey:
    """Return the public record key of a request.

    Raises:
        CannotEnrol: not an Ed25519 key.
    """
    given = {name: request.record_key.get(name) for name in _PUBLIC_MEMBERS}
    if given["kty"] != "OKP" or given["crv"] != "Ed25519" or not isinstance(given["x"], str):
        raise CannotEnrol(
            f"the record key of {request.device!r} is not a public Ed25519 key. Make the request again on the device."
        )
    try:
        return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": given["x"]})
    except (JoseError, ValueError) as err:
        raise CannotEnrol(f"the record key of {request.device!r} cannot be read. Make the request again on the device.") from err
