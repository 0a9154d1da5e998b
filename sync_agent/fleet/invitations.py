"""Enrolment over the network: an operator makes a one-time code, a kiosk asks with it, an operator approves what was asked.

The first keys that come with a code are the only ones that may. All can be asked again, so a lost connection costs nothing. What
is not in order is refused and sounds an alarm.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from sync_agent.contract.enrolment import (
    Answer,
    Decision,
    DoorFault,
    Enrolment,
    Invited,
    Presented,
    Request,
    Standing,
    comparison,
    tls_key_digest,
)
from sync_agent.contract.invitation import Code, secret_hash
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import alarms, enrolment
from sync_agent.fleet.authority import RESERVED, Authority
from sync_agent.fleet.enrolment import CannotEnrol
from sync_agent.registry.database import Database
from sync_agent.registry.tables import AlarmKind, AuditEvent, Device, DeviceCertificate, Invitation
from sync_agent.settings import Settings

log = structlog.get_logger(__name__)

_SHORT: Final = 64
"""Longest serial number or site that the contract carries, characters."""

_NOBODY = secret_hash("00" * 10)
"""Compared with when there is no such code, so that it takes as long."""


class Refused(Exception):
    """The door refuses. What it did about it, alarms included, is to be committed all the same.

    Attributes:
        code: why, as told to the device.
        message: why and what to do, as told to the device; tells a stranger nothing.
    """

    def __init__(self, code: DoorFault, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for an operator."""

    device: DeviceId
    site: str
    serial: str
    number: str
    asked_at: datetime

    def __str__(self) -> str:
        return f"{self.device:<24} {self.site:<16} {self.serial:<20} {self.number}  asked {self.asked_at:%Y-%m-%d %H:%M:%S}Z"


def invite(
    database: Database,
    authority: Authority,
    device: DeviceId,
    serial: str,
    site: str,
    settings: Settings,
    now: datetime,
    *,
    actor: str = enrolment.COMMAND,
) -> Code:
    """Make a one-time code for one device on one board at one site; an older code for that device ends.

    Raises:
        CannotEnrol: the name is kept for the sync agent, serial or site are none, or the device is enrolled and not revoked.
    """
    for what, given in (("serial number", serial), ("site", site)):
        if not 0 < len(given.strip()) <= _SHORT or given != given.strip():
            raise CannotEnrol(
                f"a {what} has 1 to {_SHORT} characters and no space around them. A kiosk could never use this code."
            )
    if device.startswith(RESERVED):
        raise CannotEnrol(f"a device may not be called {device!r}: that name is kept for the sync agent. Choose another.")
    with database.write() as session:
        known = session.get(Device, device)
        if known is not None and known.revoked_at is None:
            raise CannotEnrol(f"{device!r} is enrolled. If it is to be set up anew, revoke it first.")
        asked = select(Invitation).where(
            Invitation.device_id == device, Invitation.ends_at > now, Invitation.standing.is_distinct_from(Standing.APPROVED)
        )
        for older in session.scalars(asked):
            older.ends_at = now
    for _ in range(10):  # ids are short: one in millions is taken
        code = Code.fresh(authority.issuer)
        try:
            with database.write() as session:
                session.add(
                    Invitation(
                        id=code.invitation,
                        device_id=device,
                        serial=serial,
                        site_id=site,
                        secret_hash=secret_hash(code.secret),
                        made_at=now,
                        ends_at=now + timedelta(days=settings.door.invitation_days),
                        made_by=actor,
                    )
                )
                session.add(AuditEvent(at=now, actor=actor, action="device.invite", subject=device))
        except IntegrityError:
            continue
        log.info("device.invited", device=device, site=site, invitation=code.invitation)
        return code
    raise CannotEnrol("no free number for a code was found. Try again.")


def look_up(session: Session, presented: Presented, now: datetime) -> Invited:
    """Say what a code was made for, to whoever has it and is on the right board.

    Raises:
        Refused: the code is not known, or was made for another board.
    """
    found = _presented(session, presented, now)
    return Invited(device=found.device_id, site=found.site_id)


def ask(session: Session, authority: Authority, asked: Enrolment, settings: Settings, now: datetime) -> Decision:
    """Take a request with its code, or say what has become of it; the same request may come again and again.

    Args:
        session: a write transaction.
        authority: says what is trusted, in the answer.
        asked: code and request.
        settings: what the device is told of broker and tenant.
        now: the time.

    Raises:
        Refused: the code does not fit the board, the device, the site, or the keys it was first used with; or a person said no.
    """
    found, request = _presented(session, asked.presented, now), asked.request
    device = DeviceId(found.device_id)
    if (request.device, request.site, request.serial) != (found.device_id, found.site_id, found.serial):
        _sound(session, device, "other-place", f"code {found.id} came with a request for {request.device} at {request.site}", now)
        raise Refused(DoorFault.OTHER_BOARD, "The code was made for another device, board or site. Ask for a code for this one.")
    try:
        keys = f"{enrolment.record_key(request).thumbprint()} {tls_key_digest(request.csr)}"
        number = comparison(request.record_key, request.csr)
    except (CannotEnrol, ValueError) as err:
        raise Refused(DoorFault.BAD_REQUEST, "The request cannot be read. Make it again on the device.") from err
    if found.keys and not hmac.compare_digest(found.keys, keys):
        _sound(session, device, "other-keys", f"code {found.id} was used with other keys before; number {number}", now)
        raise Refused(DoorFault.CODE_USED, "The code was used with other keys before. Tell the operator; ask for a new code.")
    if not found.keys:
        found.keys, found.number, found.asked_at = keys, number, now
        found.request, found.standing = request.model_dump(mode="json"), Standing.WAITING
        log.info("device.asked", device=device, invitation=found.id)
    match found.standing:
        case Standing.REJECTED:
            raise Refused(DoorFault.REJECTED, "The operator rejected this request.")
        case Standing.APPROVED:
            return Decision(standing=Standing.APPROVED, number=number, answer=_answer(session, authority, request, settings, now))
        case _:
            return Decision(standing=Standing.WAITING, number=number)


def waiting(database: Database, now: datetime) -> list[Waiting]:
    """Return every request that waits for a decision, the oldest first."""
    asked = (
        select(Invitation)
        .where(Invitation.standing == Standing.WAITING, Invitation.ends_at > now)
        .order_by(Invitation.asked_at, Invitation.id)
    )
    with database.read() as session:
        return [
            Waiting(DeviceId(row.device_id), row.site_id, row.serial, row.number, row.asked_at)
            for row in session.scalars(asked)
            if row.asked_at is not None
        ]


def approve(
    database: Database,
    authority: Authority,
    device: DeviceId,
    number: str,
    settings: Settings,
    now: datetime,
    *,
    actor: str = enrolment.COMMAND,
) -> None:
    """Let a device in that waits.

    Args:
        database: the registry.
        authority: signs the certificate.
        device: which.
        number: the number that the device itself shows; it must be that of the request.
        settings: life of the certificate.
        now: the time.
        actor: who approves.

    Raises:
        CannotEnrol: no such request waits, or the number is another.
        BadRequest: the certificate request does not fit.
    """
    with database.write() as session:
        found = _waiting(session, device, now)
        if "".join(number.split()).replace("-", "") != "".join(found.number.split()):
            raise CannotEnrol(
                f"the number is not that of the request that waits for {device!r}. Compare it with what the device shows; if "
                "they differ, somebody else has asked with this code: reject it."
            )
        request = Request.model_validate(found.request)
        enrolment.admit(session, authority, request, settings, now, actor)
        found.standing, found.decided_at, found.decided_by = Standing.APPROVED, now, actor


def reject(database: Database, device: DeviceId, now: datetime, *, actor: str = enrolment.COMMAND) -> None:
    """Refuse a request that waits; its code is spent.

    Raises:
        CannotEnrol: no request waits for that device.
    """
    with database.write() as session:
        found = _waiting(session, device, now)
        found.standing, found.decided_at, found.decided_by = Standing.REJECTED, now, actor
        session.add(AuditEvent(at=now, actor=actor, action="device.reject", subject=device))
    log.warning("device.rejected", device=device)


def _presented(session: Session, presented: Presented, now: datetime) -> Invitation:
    """Return the invitation whose code this is.

    Raises:
        Refused: there is none, it has ended, or it was made for another board.
    """
    found = session.get(Invitation, presented.invitation, with_for_update=True)
    expected = found.secret_hash if found is not None else _NOBODY
    fits = hmac.compare_digest(expected, secret_hash(presented.secret))
    if found is None or not fits:
        device = DeviceId(found.device_id) if found is not None else None
        _sound(session, device, "wrong-code", "a one-time code that was never made", now)
        raise Refused(DoorFault.UNKNOWN_CODE, "The code is not known or holds no longer. Ask for a new one.")
    if found.ends_at <= now and found.standing is not Standing.APPROVED:
        raise Refused(DoorFault.UNKNOWN_CODE, "The code is not known or holds no longer. Ask for a new one.")
    if presented.serial != found.serial:
        _sound(session, DeviceId(found.device_id), "other-board", f"code {found.id} was presented on another board", now)
        raise Refused(DoorFault.OTHER_BOARD, "The code was made for another device, board or site. Ask for a code for this one.")
    return found


def _answer(session: Session, authority: Authority, request: Request, settings: Settings, now: datetime) -> Answer:
    """Return what a device was approved for, as long as it holds.

    Raises:
        Refused: it was revoked since.
    """
    asked = (
        select(DeviceCertificate)
        .where(
            DeviceCertificate.device_id == request.device,
            DeviceCertificate.key_digest == tls_key_digest(request.csr),
            DeviceCertificate.revoked_at.is_(None),
        )
        .order_by(DeviceCertificate.issued_at.desc())
    )
    certificate = session.scalars(asked).first()
    if certificate is None:
        raise Refused(DoorFault.NOT_KNOWN, "The device was revoked since. Ask for a new code.")
    key = enrolment.record_key(request)
    return enrolment.answer(session, authority, DeviceId(request.device), request.site, key, certificate.pem, settings, now)


def _waiting(session: Session, device: DeviceId, now: datetime) -> Invitation:
    asked = (
        select(Invitation)
        .where(Invitation.device_id == device, Invitation.standing == Standing.WAITING, Invitation.ends_at > now)
        .with_for_update()
    )
    found: Sequence[Invitation] = session.scalars(asked).all()
    if not found:
        raise CannotEnrol(f"no request of {device!r} waits. `sync-agent device requests` shows those that do.")
    return found[0]


def _sound(session: Session, device: DeviceId | None, subject: str, detail: str, now: datetime) -> None:
    alarms.sound(session, AlarmKind.ENROLMENT, device, subject, detail, now)
