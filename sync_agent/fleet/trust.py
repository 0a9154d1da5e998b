"""The trust lists: what every device is told to believe, who believes which list, and the steps from one key to the next.

What is in a list follows from the keys there are. Each change is a row with the next number; a device says in its birth which
number it believes, and is sent the newest list when it is behind, signed by a key that it believes already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from cryptography import x509
from joserfc.jwk import OKPKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract import trust
from sync_agent.contract.enrolment import PublicKey, fingerprint
from sync_agent.contract.topics import DeviceId
from sync_agent.contract.trust import Trust
from sync_agent.fleet.authority import Authority
from sync_agent.fleet.certificates import pem
from sync_agent.fleet.keyring import Place, Ring, Which, WrongStep
from sync_agent.registry.database import Database, insert_absent
from sync_agent.registry.tables import AuditEvent, Device, DeviceCertificate, DeviceTrust, TrustList

log = structlog.get_logger(__name__)

_PUBLIC_MEMBERS: Final = ("kty", "crv", "x")

OVERLAP: Final = timedelta(days=30)
"""Records that a device made before it heard of a change may come this much later: so long the former key is kept."""

_DISOWN: Final = "keys.disown"
_KID_MIN: Final = 16


class DevicesBehind(WrongStep):
    """Devices would be cut off by a step. Code KEY-02; the text names them."""

    code = "KEY-02"


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One line of the list of keys."""

    which: Which
    place: Place
    name: str
    number: int
    behind: int

    def __str__(self) -> str:
        devices = f", {self.behind} live devices do not have list {self.number} yet" if self.behind else ""
        return f"{self.which:<9} {self.place:<9} {self.name[:16]}  since list {self.number}{devices}"


def heard(session: Session, device: DeviceId, number: int) -> None:
    """Keep which list a device says it believes; for a device that is known."""
    _row(session, device).number = number


def ask_for_new_key(session: Session, device: DeviceId, kid: str) -> None:
    """Have a device replace one of its record keys: it is told with its next trust list."""
    _row(session, device).replace_key = kid


def key_was_replaced(session: Session, device: DeviceId) -> None:
    """Ask no longer."""
    _row(session, device).replace_key = ""


def newest_list(session: Session, authority: Authority, now: datetime) -> TrustList:
    """Return the newest list; the first one is of the keys there are when it is first asked for."""
    return _newest(session) or _publish(session, authority.ring, "sync-agent", "as it began", now)


def signed(session: Session, authority: Authority, device: DeviceId, newest: TrustList, now: datetime) -> bytes:
    """Return a list for one device, signed by a key of the agent that it believes."""
    held = session.get(DeviceTrust, device)
    number, replace_key = (held.number, held.replace_key) if held else (0, "")
    key = _believed(session, authority.ring, number)
    return trust.write(Trust(device=device, number=newest.number, replace_key=replace_key, at=now, **newest.body), key)


def listing(database: Database, authority: Authority, now: datetime) -> list[KeyLine]:
    """Return every key with the list that it came with, and how many live devices do not have that list."""
    with database.write() as session:
        _publish(session, authority.ring, "sync-agent", "found changed", now)
        lists, ring = _lists(session), authority.ring
        return [
            KeyLine(which, place, name, number := _since(lists, which, name), len(_behind(session, number, now)))
            for which in Which
            for place, name in ring.names(which).items()
        ]


def stage(database: Database, authority: Authority, which: Which, actor: str, now: datetime) -> None:
    """Make the key that is to follow, and publish it.

    Raises:
        WrongStep: a change of this key is under way.
    """
    with database.write() as session:
        _publish(session, authority.ring, actor, "found changed", now)  # a step may have ended before its list was published
        authority.keyring.stage(which, now)
        _note(session, authority, which, "stage", actor, "", now)


def promote(
    database: Database,
    authority: Authority,
    which: Which,
    actor: str,
    now: datetime,
    *,
    reason: str = "",
) -> None:
    """Put the staged key in force.

    Args:
        database: the registry.
        authority: the keys.
        which: of them.
        actor: who does it.
        now: the time.
        reason: why it is done although devices are behind; "" refuses then.

    Raises:
        WrongStep: none is staged.
        DevicesBehind: live devices do not have the list in which the staged key stands.
    """
    with database.write() as session:
        _publish(session, authority.ring, actor, "found changed", now)
        names = authority.ring.names(which)
        if Place.STAGED in names and which is not Which.REGISTRY:  # devices need not believe a key they only seal to
            _refuse_behind(session, _since(_lists(session), which, names[Place.STAGED]), f"promote {which}", reason, now)
        authority.keyring.promote(which)
        _note(session, authority, which, "promote", actor, reason, now)


def retire(database: Database, authority: Authority, which: Which, actor: str, now: datetime, *, reason: str = "") -> None:
    """Take the former key away.

    Raises:
        WrongStep: there is none.
        DevicesBehind: live devices still rely on it, or what they made with it may still be on its way.
    """
    with database.write() as session:
        _publish(session, authority.ring, actor, "found changed", now)
        names = authority.ring.names(which)
        if Place.FORMER in names:
            since = _promoted(_lists(session), which, names[Place.IN_FORCE])
            _refuse_behind(session, since.number if since else 0, f"retire {which}", reason, now)
            if which is Which.REGISTRY and since is not None and now < since.at + OVERLAP and not reason:
                raise DevicesBehind(
                    f"records sealed to the former key may still be on their way until {since.at + OVERLAP:%Y-%m-%d}. "
                    "Wait, or use --force with a reason."
                )
            if which is Which.CA and not reason:
                _refuse_old_certificates(session, names[Place.FORMER], now)
        authority.keyring.retire(which)
        _note(session, authority, which, "retire", actor, reason, now)


def public(key: OKPKey) -> PublicKey:
    """Return the public part of a key as JWK, and nothing else of it."""
    jwk = key.as_dict(private=False)
    return {name: str(jwk[name]) for name in _PUBLIC_MEMBERS}


def agent_keys_ever(session: Session, authority: Authority) -> list[PublicKey]:
    """Return every public key that ever signed for the agent and is not disowned, the newest first."""
    disowned = _disowned(session)
    return [key for kid, key in _ever(session, authority).items() if kid not in disowned]


def disown(database: Database, authority: Authority, kid: str, actor: str, reason: str, now: datetime) -> str:
    """Have a key of the agent hold no more, for what it signed before neither: somebody else may have it. There is no way back.

    Args:
        database: the registry.
        authority: the keys; a staged or former one is thrown away.
        kid: the key's thumbprint, or its first 16 characters or more.
        actor: who does it.
        reason: why; kept for ever.
        now: the time.

    Returns:
        The whole thumbprint.

    Raises:
        WrongStep: no such key, or the one in force.
    """
    with database.write() as session:
        _publish(session, authority.ring, actor, "found changed", now)
        found = [each for each in _ever(session, authority) if each.startswith(kid)] if len(kid) >= _KID_MIN else []
        if len(found) != 1:
            raise WrongStep(
                f"there is no agent key {kid!r}. `sync-agent keys publish` prints their names, `keys list` those here."
            )
        (whole,) = found
        place = next((place for place, name in authority.ring.names(Which.AGENT).items() if name == whole), None)
        if place is Place.IN_FORCE:
            raise WrongStep(
                "that key is in force. Let another follow first: sync-agent keys stage agent, then sync-agent keys promote agent "
                "(--force where it cannot wait)"
            )
        if whole not in _disowned(session):
            session.add(AuditEvent(at=now, actor=actor, action=_DISOWN, subject=f"{whole} {reason}"[:200]))
        if place is not None:
            authority.keyring.drop(Which.AGENT, place)
        _publish(session, authority.ring, actor, f"disown agent: {reason}"[:300], now)
    log.warning("keys.disowned", kid=whole)
    return whole


def _ever(session: Session, authority: Authority) -> dict[str, PublicKey]:
    """Return every public key of the agent that ever stood in a list, by its thumbprint, the newest first."""
    every: dict[str, PublicKey] = {key.thumbprint(): public(key) for key in authority.agent_keys}
    for row in reversed(_lists(session)):
        for jwk in row.body["agent_keys"]:
            every.setdefault(OKPKey.import_key(jwk).thumbprint(), jwk)
    return every


def _disowned(session: Session) -> set[str]:
    """Return the thumbprints of disowned keys; the audit is what remembers them."""
    return {
        subject.split(" ", 1)[0] for subject in session.scalars(select(AuditEvent.subject).where(AuditEvent.action == _DISOWN))
    }


def _note(session: Session, authority: Authority, which: Which, step: str, actor: str, reason: str, now: datetime) -> None:
    why = f"{step} {which}" + (f", forced: {reason}" if reason else "")
    newest = _publish(session, authority.ring, actor, why[:300], now)
    session.add(AuditEvent(at=now, actor=actor, action=f"keys.{step}", subject=why[:200]))
    log.warning("keys.changed", which=which.value, step=step, list=newest.number, forced=bool(reason))


def _body(ring: Ring) -> dict[str, Any]:
    """Return what a list of these keys says."""
    return {
        "agent_keys": [public(key) for key in ring.agent.values()],
        "registry_key": public(ring.registry[Place.IN_FORCE]),
        "ca": "".join(pem(issuer.certificate) for issuer in ring.ca.values()),
        "issuer": ring.names(Which.CA)[Place.IN_FORCE],
    }


def _publish(session: Session, ring: Ring, actor: str, why: str, now: datetime) -> TrustList:
    """Add the list of these keys, where it differs from the newest; return the newest."""
    newest, body = _newest(session), _body(ring)
    if newest is not None and newest.body == body:
        return newest
    row = TrustList(number=newest.number + 1 if newest else 1, body=body, at=now, actor=actor, why=why)
    session.add(row)
    session.flush()
    return row


def _newest(session: Session) -> TrustList | None:
    return session.scalars(select(TrustList).order_by(TrustList.number.desc()).limit(1)).first()


def _lists(session: Session) -> Sequence[TrustList]:
    return session.scalars(select(TrustList).order_by(TrustList.number)).all()


def _since(lists: Sequence[TrustList], which: Which, name: str) -> int:
    """Return the number of the first list in which a key stands; of a registry's key that is staged, the newest."""
    return next((row.number for row in lists if name in _names(row.body, which)), lists[-1].number)


def _promoted(lists: Sequence[TrustList], which: Which, name: str) -> TrustList | None:
    """Return the first list of those in force in which a key is the one in force."""
    for row in lists:
        match which:
            case Which.AGENT if next(iter(_names(row.body, which))) == name:
                return row
            case Which.REGISTRY if _names(row.body, which) == [name]:
                return row
            case Which.CA if row.body["issuer"] == name:
                return row
    return None


def _names(body: Mapping[str, Any], which: Which) -> list[str]:
    """Return the keys of a kind in a list, that in force first."""
    match which:
        case Which.AGENT:
            return [OKPKey.import_key(jwk).thumbprint() for jwk in body["agent_keys"]]
        case Which.REGISTRY:
            return [OKPKey.import_key(body["registry_key"]).thumbprint()]
        case Which.CA:
            return [fingerprint(each) for each in x509.load_pem_x509_certificates(body["ca"].encode())]


def _believed(session: Session, ring: Ring, number: int) -> OKPKey:
    """Return a key of the agent that a device with list `number` believes; that in force where it believes that."""
    row = session.get_one(TrustList, max(1, number))  # before there were lists, devices believed what the first one says
    known = _names(row.body, Which.AGENT)
    for place in (Place.IN_FORCE, Place.FORMER):
        key = ring.agent.get(place)
        if key is not None and key.thumbprint() in known:
            return key
    return ring.agent[Place.IN_FORCE]


def _behind(session: Session, number: int, now: datetime) -> list[str]:
    """Return the live devices that do not have a list: not revoked, and with a certificate that has not ended."""
    asked = (
        select(Device.id)
        .join(DeviceCertificate, DeviceCertificate.device_id == Device.id)
        .outerjoin(DeviceTrust, DeviceTrust.device_id == Device.id)
        .where(
            Device.revoked_at.is_(None),
            DeviceCertificate.revoked_at.is_(None),
            DeviceCertificate.valid_until > now,
            (DeviceTrust.number.is_(None)) | (DeviceTrust.number < number),
        )
        .distinct()
        .order_by(Device.id)
    )
    return list(session.scalars(asked)) if number else []


def _refuse_behind(session: Session, number: int, step: str, reason: str, now: datetime) -> None:
    behind = _behind(session, number, now)
    if behind and not reason:
        raise DevicesBehind(
            f"cannot {step} yet: {len(behind)} live devices do not have trust list {number}: {_named(behind)}. They are sent it "
            "when they connect. Wait, revoke those that are gone, or use --force with a reason."
        )
    if behind:
        log.warning("keys.forced", step=step, behind=len(behind))


def _refuse_old_certificates(session: Session, former: str, now: datetime) -> None:
    newest: dict[str, DeviceCertificate] = {}
    asked = (
        select(DeviceCertificate)
        .join(Device, Device.id == DeviceCertificate.device_id)
        .where(Device.revoked_at.is_(None), DeviceCertificate.revoked_at.is_(None), DeviceCertificate.valid_until > now)
        .order_by(DeviceCertificate.issued_at.is_not(None), DeviceCertificate.issued_at)
    )
    for certificate in session.scalars(asked):
        newest[certificate.device_id] = certificate
    old = sorted(device for device, certificate in newest.items() if certificate.issuer in ("", former))
    if old:
        raise DevicesBehind(
            f"cannot retire ca yet: {len(old)} live devices have certificates from it: {_named(old)}. They renew within a day "
            "of being connected. Wait, revoke those that are gone, or use --force with a reason."
        )


def _named(devices: Sequence[str]) -> str:
    return ", ".join(devices[:20]) + (f" and {len(devices) - 20} more" if len(devices) > 20 else "")


def _row(session: Session, device: DeviceId) -> DeviceTrust:
    insert_absent(session, DeviceTrust, {"device_id": device, "number": 0, "replace_key": ""})
    return session.get_one(DeviceTrust, device)
