"""Which devices are there and well: what they say of themselves, and what the centre makes of it.

Devices say birth, state and telemetry (`contract.status`); these are kept as one row a device. What a person is shown is computed
from the row and the time, so that a device that fell silent shows without anything having arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

import structlog
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.envelope import NUL, places
from sync_agent.contract.kinds import PartState
from sync_agent.contract.status import Birth, Link, State, Telemetry
from sync_agent.contract.topics import DeviceId, Up
from sync_agent.fleet import alarms, trust
from sync_agent.registry.database import insert_absent
from sync_agent.registry.tables import AlarmKind, Device, DeviceStatus, part_lines
from sync_agent.settings import FleetSettings

log = structlog.get_logger(__name__)

FORGED: Final = {"RCPT-01": "receipt", "TRUST-01": "trust list"}
"""What a device can find forged, by the code of its self-test."""

Said = Birth | State | Telemetry


class Presence(StrEnum):
    """What a person is told of a device."""

    CONNECTED = "connected"
    NOT_WELL = "not-well"
    """Connected, but something keeps it from its work."""
    SILENT = "silent"
    NEVER_SEEN = "never-seen"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Seen:
    """How a device is, with the reason and since when.

    Attributes:
        since: since when it is so; None where that cannot be known.
        parts: the parts that are not well.
        is_late: its oldest record waits too long.
        is_cut: the broker lost it; otherwise a silent device is connected and says nothing.
    """

    presence: Presence
    since: datetime | None
    parts: tuple[str, ...] = ()
    is_late: bool = False
    is_cut: bool = False


class Unfit(ValueError):
    """What a device says of itself does not have the agreed form; the text says where, and holds nothing personal."""


def take(session: Session, device: DeviceId, what: Up, payload: bytes, at: datetime, gathered: alarms.Gathered) -> Said | None:
    """Take what a device says of itself.

    Args:
        session: a write transaction.
        device: whose topic it came on.
        what: the last level of that topic; birth, state or telemetry.
        payload: the message. An empty one is a retained message being removed and says nothing.
        at: when it came.
        gathered: the alarms of the transaction, sounded at its end.

    Returns:
        What it said; None for a message without content, and for an unknown device, whose words are dropped.

    Raises:
        Unfit: it does not have the agreed form.
    """
    models: dict[Up, type[Said]] = {Up.BIRTH: Birth, Up.STATE: State, Up.TELEMETRY: Telemetry}
    model = models.get(what)
    if model is None:
        raise Unfit(f"{what} is not about presence")
    if not payload:
        return None
    if NUL in payload:
        raise Unfit(f"{what}: holds a NUL character")
    try:
        said = model.model_validate_json(payload)
    except ValidationError as err:
        raise Unfit(f"{what}: {places(err)}") from None
    if session.get(Device, device) is None:
        log.warning("presence.unknown-device", device=device)
        return None
    insert_absent(session, DeviceStatus, {"device_id": device, "link": Link.OFFLINE, "link_since": at, "heard_at": at})
    status = session.scalars(select(DeviceStatus).where(DeviceStatus.device_id == device).with_for_update()).one()
    if isinstance(said, Telemetry):
        _gather_forged(gathered, device, status, said)
    hear(status, said, at)
    if isinstance(said, Birth):
        trust.heard(session, device, said.trust)
    return said


def hear(status: DeviceStatus, said: Said, at: datetime) -> None:
    """Change a device's row by what it said; pure but for the row.

    A will of an earlier start may arrive after the birth of the next one (failure matrix, row 20): it is ignored.
    """
    match said:
        case Birth():
            # Says nothing of the link: the broker keeps births, and gives them again when the device has long gone.
            if said.boot < status.boot:
                return
            if said.boot > status.boot:
                status.boot, status.link_since = said.boot, at
            status.version, status.epoch = said.version, said.epoch
            status.last_seq, status.last_digest = said.last_seq, said.last_digest
        case State(link=Link.ONLINE):
            if said.boot < status.boot:
                return
            _connect(status, said.boot, at)
        case State():
            if said.boot < status.boot:
                return
            if status.link is not Link.OFFLINE:
                status.link, status.link_since = Link.OFFLINE, at
            status.boot = said.boot
            return  # the broker's word, not the device's
        case Telemetry():
            if status.telemetry_at is not None and said.at < status.telemetry_at:
                return
            status.queue = said.queue
            status.oldest_at = at - timedelta(seconds=said.oldest_age_s) if said.queue else None
            status.telemetry_at = said.at
            _tell_parts(status, said)
        case _:
            assert_never(said)
    status.heard_at = at


def look(status: DeviceStatus | None, revoked_at: datetime | None, settings: FleetSettings, now: datetime) -> Seen:
    """Say how a device is.

    Args:
        status: what it said last; None where it never said anything.
        revoked_at: when it was revoked.
        settings: after how long it counts as silent or late.
        now: the time.
    """
    if revoked_at is not None:
        return Seen(Presence.REVOKED, revoked_at)
    if status is None or not status.boot:
        return Seen(Presence.NEVER_SEEN, None)
    if status.link is Link.OFFLINE:
        return Seen(Presence.SILENT, status.link_since, is_cut=True)
    if now - status.heard_at > timedelta(seconds=settings.silent_after_s):
        return Seen(Presence.SILENT, status.heard_at)
    ill = {name: line["since"] for name, line in status.parts.items() if line["state"] != PartState.WELL}
    is_late = status.oldest_at is not None and now - status.oldest_at > timedelta(seconds=settings.queue_late_s)
    if ill or is_late:
        begun = [datetime.fromisoformat(since) for since in ill.values()]
        if is_late and status.oldest_at is not None:
            begun.append(status.oldest_at + timedelta(seconds=settings.queue_late_s))
        return Seen(Presence.NOT_WELL, min(begun), tuple(sorted(ill)), is_late)
    return Seen(Presence.CONNECTED, status.link_since)


def _gather_forged(gathered: alarms.Gathered, device: DeviceId, status: DeviceStatus, said: Telemetry) -> None:
    """Gather an alarm for each word in our name that the device found forged, once for each time it did."""
    for name, part in sorted(said.parts.items()):
        if part.state is PartState.FAILED and part.code in FORGED:
            known = status.parts.get(name)
            if known is None or datetime.fromisoformat(known["since"]) != part.since:
                detail = f"the device met a forged {FORGED[part.code]}; look who else may speak at the broker"
                gathered.add(AlarmKind.FORGED, device, part.code, detail)


def _connect(status: DeviceStatus, boot: int, at: datetime) -> None:
    if status.link is not Link.ONLINE or boot > status.boot:
        status.link, status.link_since = Link.ONLINE, at
    status.boot = boot


def _tell_parts(status: DeviceStatus, said: Telemetry) -> None:
    """Take the self-test that came along; one that is older than what is known says nothing."""
    if said.parts and (status.parts_at is None or said.at >= status.parts_at):
        status.parts, status.parts_at = part_lines(said.parts), said.at
