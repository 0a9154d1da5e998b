"""The next certificate, and the next record key, of a device that is known: its request is signed by the record key it has.

It needs no TLS certificate, so it works when that has ended. A request is taken once, and only while it is new.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from joserfc.jwk import OKPKey
from pydantic import ValidationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from sync_agent.contract.enrolment import (
    NEW_KEY_MEDIA_TYPE,
    RENEWAL_MEDIA_TYPE,
    DoorFault,
    NewKey,
    Renewal,
    Renewed,
    Request,
    proof_of,
)
from sync_agent.contract.suites import INTL_1, BadSignature, NotSigned, key_id
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import alarms, enrolment, keys, trust
from sync_agent.fleet.authority import Authority, BadRequest
from sync_agent.fleet.invitations import Refused
from sync_agent.fleet.trust import OVERLAP
from sync_agent.registry.database import Database, insert_absent
from sync_agent.registry.tables import AlarmKind, AuditEvent, Device, DeviceKey, RenewalSeen
from sync_agent.settings import Settings

log = structlog.get_logger(__name__)

NEW_FOR: Final = timedelta(minutes=10)
"""A request older than this, or this far in the future, is not taken."""


def renew(session: Session, authority: Authority, message: bytes, settings: Settings, now: datetime) -> Renewed:
    """Take a signed request for renewal.

    Args:
        session: a write transaction; what a refusal did in it is to be committed too.
        authority: signs.
        message: as received.
        settings: life of the certificate.
        now: the time.

    Raises:
        Refused: not signed by a key that holds, of another time, taken before, or it does not fit.
    """
    key, asked = _checked(session, message, now)
    device = DeviceId(asked.device)
    row = session.get_one(Device, device)
    if abs(asked.at - now) > NEW_FOR:
        raise Refused(DoorFault.WRONG_TIME, "The request is not of now. Make it again by the time given here.")
    session.execute(delete(RenewalSeen).where(RenewalSeen.at < now - 2 * NEW_FOR))
    if not insert_absent(session, RenewalSeen, {"nonce": asked.nonce, "at": now}):
        alarms.sound(session, AlarmKind.ENROLMENT, device, "renewal-repeated", "a request for renewal came twice", now)
        raise Refused(DoorFault.REPEATED, "This very request was made before. Make another.")
    if asked.new_key is None and session.get_one(DeviceKey, key.thumbprint()).revoked_at is not None:
        alarms.sound(session, AlarmKind.ENROLMENT, device, "replaced-key", "a replaced record key asks for a certificate", now)
        raise Refused(DoorFault.NOT_KNOWN, "The record key was replaced; ask with the one that followed.")
    in_force = _replace_key(session, device, key, asked.new_key, now) if asked.new_key else key
    try:
        certificate = enrolment.certify(session, authority, device, asked.csr, settings, now)
    except (BadRequest, ValueError) as err:
        raise Refused(DoorFault.BAD_REQUEST, "The certificate request does not fit. Make it again.") from err
    since = session.get_one(DeviceKey, in_force.thumbprint()).valid_from
    newest = trust.newest_list(session, authority, now)
    session.add(AuditEvent(at=now, actor="device", action="device.renew", subject=device))
    log.info("device.renewed", device=device, certificate=certificate.serial, new_record_key=asked.new_key is not None)
    return Renewed(
        certificate=certificate.pem,
        record_key=in_force.thumbprint(),
        attestation=enrolment.attestation(authority, device, row.site_id, in_force, since, certificate.pem),
        trust=trust.signed(session, authority, device, newest, now).decode(),
    )


def want_new_key(database: Database, device: DeviceId, now: datetime, *, actor: str = enrolment.COMMAND) -> None:
    """Have a device replace the record key it signs with; it is told when it connects next, and once a day.

    Raises:
        CannotEnrol: no such device, or it was revoked.
    """
    with database.write() as session:
        row = session.get(Device, device)
        newest = keys.newest(session, device, now)
        if row is None or row.revoked_at is not None or newest is None:
            raise enrolment.CannotEnrol(
                f"there is no device {device!r} that holds. `sync-agent device list` shows those there are."
            )
        trust.ask_for_new_key(session, device, newest.kid)
        session.add(AuditEvent(at=now, actor=actor, action="device.rotate", subject=device))
    log.info("device.new-key-wanted", device=device)


def want_new_keys(session: Session, days: int, now: datetime) -> int:
    """Have every device replace a record key that is older than so many days; return how many were asked."""
    asked = select(Device.id).where(Device.revoked_at.is_(None)).order_by(Device.id)
    count = 0
    for device in session.scalars(asked).all():
        newest = keys.newest(session, device, now)
        if newest is not None and newest.valid_from < now - timedelta(days=days):
            trust.ask_for_new_key(session, DeviceId(device), newest.kid)
            count += 1
    return count


def _checked(session: Session, message: bytes, now: datetime) -> tuple[OKPKey, Renewal]:
    """Return the record key that signed and what it signed.

    Raises:
        Refused: no device that holds signed this.
    """
    stranger = Refused(DoorFault.NOT_KNOWN, "No known device signed this. Ask for a new code.")
    try:
        known = keys.find(session, key_id(message))
    except NotSigned as err:
        raise Refused(DoorFault.BAD_REQUEST, "The request is not signed.") from err
    if known is None:
        raise stranger
    device, key = DeviceId(known.device_id), OKPKey.import_key(known.public_key)
    try:
        asked = Renewal.model_validate_json(INTL_1.verify(message, key, RENEWAL_MEDIA_TYPE))
    except (BadSignature, ValidationError) as err:
        alarms.sound(
            session, AlarmKind.ENROLMENT, device, "renewal-forged", "a request for renewal that its key did not sign", now
        )
        raise stranger from err
    if asked.device != device or (known.revoked_at is not None and known.revoked_at <= now):
        what = "a revoked key" if asked.device == device else f"the key of {device}"
        alarms.sound(
            session, AlarmKind.ENROLMENT, device, "renewal-refused", f"renewal asked for {asked.device} with {what}", now
        )
        raise stranger
    return key, asked


def _replace_key(session: Session, device: DeviceId, old: OKPKey, wanted: NewKey, now: datetime) -> OKPKey:
    """Register the record key that follows; the one before it holds a while longer, for what was signed with it.

    Raises:
        Refused: whoever asks does not have the new key, or it is another's.
    """
    request = Request(device=device, site="", serial="", csr="", record_key=wanted.key)
    try:
        new = enrolment.record_key(request)
        proof = INTL_1.verify(wanted.proof.encode(), new, NEW_KEY_MEDIA_TYPE)
    except (enrolment.CannotEnrol, BadSignature) as err:
        raise Refused(DoorFault.BAD_REQUEST, "The new key is not proven. Make it again.") from err
    if proof != proof_of(device, old.thumbprint()):
        raise Refused(DoorFault.BAD_REQUEST, "The new key's proof is for another key. Make it again.")
    registered, before = session.get(DeviceKey, new.thumbprint()), session.get_one(DeviceKey, old.thumbprint())
    if registered is None and before.revoked_at is not None:
        alarms.sound(session, AlarmKind.ENROLMENT, device, "replaced-key", "a replaced record key brings yet another one", now)
        raise Refused(DoorFault.NOT_KNOWN, "The record key was replaced before, by another.")
    if registered is not None and (registered.device_id != device or registered.revoked_at is not None):
        alarms.sound(session, AlarmKind.ENROLMENT, device, "key-of-another", "the new record key is known already", now)
        raise Refused(DoorFault.BAD_REQUEST, "The new key was used before. Make another.")
    if registered is None:
        session.add(DeviceKey(kid=new.thumbprint(), device_id=device, public_key=trust.public(new), valid_from=now))
        session.add(AuditEvent(at=now, actor="device", action="device.new-key", subject=device))
    before.revoked_at = before.revoked_at or now + OVERLAP
    trust.key_was_replaced(session, device)
    session.flush()
    return new
