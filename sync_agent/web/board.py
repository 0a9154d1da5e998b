"""What the staff page shows, read from the registry in one look. Nobody leaves this module but masked (P22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Case, Direction, Liveness, PartState, Scoring
from sync_agent.contract.masking import masked_name, masked_number
from sync_agent.contract.receipts import Standing
from sync_agent.fleet import gaps, presence
from sync_agent.fleet.gaps import Missing
from sync_agent.fleet.presence import Presence, Seen
from sync_agent.registry.tables import (
    AttendanceRow,
    Device,
    DeviceSeen,
    DeviceStatus,
    Person,
    RecordRow,
    ReviewCase,
    VerificationRow,
)
from sync_agent.settings import FleetSettings

DEVICES: Final = 60
RECORDS: Final = 50
"""So many are shown at most."""

_URGENCY: Final = {
    Presence.NOT_WELL: 0,
    Presence.SILENT: 1,
    Presence.NEVER_SEEN: 2,
    Presence.CONNECTED: 3,
    Presence.REVOKED: 4,
}


class Answer(StrEnum):
    """Whether every check-in is here."""

    ALL_HERE = "all-here"
    NOTHING_YET = "nothing-yet"
    ON_THE_WAY = "on-the-way"
    """Devices hold records that the centre has not received yet."""
    UNCERTAIN = "uncertain"
    """All that is known of is here, but some devices cannot be asked."""
    MISSING = "missing"
    """Later records of a device arrived and earlier ones did not."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The first number on the page.

    Attributes:
        received: records in the ledger.
        missing: sequence numbers below the highest one received that never arrived; one that was refused did.
        waiting: records that devices say they hold without receipt.
        oldest_at: when the oldest of those was made.
        unreachable: devices that spoke before and are silent now.
    """

    received: int
    missing: int
    waiting: int
    oldest_at: datetime | None
    unreachable: int

    @property
    def answer(self) -> Answer:
        """The worst that is true."""
        if self.missing:
            return Answer.MISSING
        if self.waiting:
            return Answer.ON_THE_WAY
        if self.unreachable:
            return Answer.UNCERTAIN
        return Answer.ALL_HERE if self.received else Answer.NOTHING_YET


@dataclass(frozen=True, slots=True)
class PartView:
    """One line of a device's last self-test."""

    name: str
    state: PartState
    code: str
    since: datetime


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device.

    Attributes:
        waiting: records it says it holds without receipt; None where it never said.
        oldest_at: when the oldest of them was made.
        missing: records of it below the highest one received that never arrived.
        tested_at: when its last self-test was made.
    """

    id: str
    site: str
    seen: Seen
    version: str
    waiting: int | None
    oldest_at: datetime | None
    missing: int
    parts: tuple[PartView, ...]
    tested_at: datetime | None


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """How a face was compared: which tests that somebody was there ran, and how likeness became a number.

    Words of a later release are shown as they came, so these are none of the contract's.

    Attributes:
        outcome: what it ended in.
        failed_by: why the liveness test failed; empty where it did not.
        is_calibrated: whether people who consented for it stood behind the scoring.
    """

    outcome: str
    failed_by: str
    liveness: str
    checks: tuple[str, ...]
    scoring: str
    is_calibrated: bool


@dataclass(frozen=True, slots=True)
class RecordView:
    """One record.

    Attributes:
        result: namespace and word of what the device found, for instance ("outcome", "match"); None where there is none to tell.
        comparisons: those of a verification, in the order they were made: what failed before counts as well.
        name, number: masked.
        standing: None until the rules have judged it.
    """

    id: str
    seq: int
    device: str
    site: str
    kind: str
    result: tuple[str, str] | None
    comparisons: tuple[ComparisonView, ...]
    name: str
    number: str
    at: datetime
    received_at: datetime
    standing: Standing | None
    code: Code | None
    effective_from: datetime | None
    case_number: str | None


@dataclass(frozen=True, slots=True)
class Board:
    """Everything on the page."""

    tally: Tally
    devices: tuple[DeviceView, ...]
    devices_in_all: int
    records: tuple[RecordView, ...]


def look(session: Session, settings: FleetSettings, now: datetime) -> Board:
    """Read what the page shows.

    Args:
        session: a read transaction.
        settings: when a device counts as silent or late.
        now: the time.
    """
    holes = gaps.listing(session)
    missing = _missing(holes)
    devices = _devices(session, missing, settings, now)
    waiting = [device for device in devices if device.waiting]
    tally = Tally(
        received=_received(session) - sum(gap.last - gap.first + 1 for gap in holes),
        missing=sum(missing.values()),
        waiting=sum(device.waiting or 0 for device in waiting),
        oldest_at=min((device.oldest_at for device in waiting if device.oldest_at is not None), default=None),
        unreachable=sum(device.seen.presence is Presence.SILENT for device in devices),
    )
    return Board(tally, tuple(devices[:DEVICES]), len(devices), _records(session))


def _received(session: Session) -> int:
    return int(session.scalar(select(func.coalesce(func.sum(DeviceSeen.upto), 0))) or 0)


def _missing(holes: Sequence[Missing]) -> dict[str, int]:
    """Return how many records of each device never came, devices without a gap left out. What came and was refused did come."""
    missing: dict[str, int] = {}
    for gap in holes:
        missing[gap.device] = missing.get(gap.device, 0) + gap.lost
    return missing


def _devices(session: Session, missing: dict[str, int], settings: FleetSettings, now: datetime) -> list[DeviceView]:
    """Return every device, those that need somebody first."""
    asked = select(Device, DeviceStatus).outerjoin(DeviceStatus, DeviceStatus.device_id == Device.id)
    views = [
        _device(device, status, missing.get(device.id, 0), presence.look(status, device.revoked_at, settings, now))
        for device, status in session.execute(asked)
    ]
    return sorted(views, key=lambda view: (_URGENCY[view.seen.presence], not view.missing, view.id))


def _device(device: Device, status: DeviceStatus | None, missing: int, seen: Seen) -> DeviceView:
    return DeviceView(
        id=device.id,
        site=device.site_id,
        seen=seen,
        version="" if status is None else status.version,
        waiting=None if status is None or status.telemetry_at is None else status.queue,
        oldest_at=None if status is None else status.oldest_at,
        missing=missing,
        parts=_parts(status),
        tested_at=None if status is None else status.parts_at,
    )


def _parts(status: DeviceStatus | None) -> tuple[PartView, ...]:
    if status is None:
        return ()
    return tuple(
        PartView(name, PartState(line["state"]), line["code"], datetime.fromisoformat(line["since"]))
        for name, line in sorted(status.parts.items())
    )


def _records(session: Session) -> tuple[RecordView, ...]:
    asked = (
        select(RecordRow, Person, VerificationRow, AttendanceRow.direction, ReviewCase.cause)
        .outerjoin(Person, Person.id == RecordRow.person_id)
        .outerjoin(VerificationRow, VerificationRow.record_id == RecordRow.id)
        .outerjoin(AttendanceRow, AttendanceRow.record_id == RecordRow.id)
        .outerjoin(ReviewCase, ReviewCase.record_id == RecordRow.id)
        .order_by(RecordRow.received_at.desc(), RecordRow.id.desc())
        .limit(RECORDS)
    )
    return tuple(
        _record(record, person, _result(record.kind, verification, direction, cause), _comparisons(verification))
        for record, person, verification, direction, cause in session.execute(asked)
    )


def _result(
    kind: str, verification: VerificationRow | None, direction: Direction | None, cause: str | None
) -> tuple[str, str] | None:
    if verification is not None:
        return "outcome", verification.outcome
    if direction is not None:
        return "direction", direction
    return ("cause", cause) if kind == Case.kind and cause else None


def _comparisons(verification: VerificationRow | None) -> tuple[ComparisonView, ...]:
    return () if verification is None else tuple(map(_comparison, verification.facts["comparisons"]))


def _comparison(made: Mapping[str, Any]) -> ComparisonView:
    # A record of an earlier release says nothing of the last three.
    return ComparisonView(
        outcome=made["outcome"],
        failed_by=made.get("quality", "") if made["liveness"] == Liveness.FAILED else "",
        liveness=made["liveness"],
        checks=tuple(made.get("checks", ())),
        scoring=made.get("scoring", Scoring.EUCLIDEAN),
        is_calibrated=bool(made.get("calibration")),
    )


def _record(
    record: RecordRow, person: Person | None, result: tuple[str, str] | None, comparisons: tuple[ComparisonView, ...]
) -> RecordView:
    return RecordView(
        id=record.id,
        seq=record.seq,
        device=record.device_id,
        site=record.site_id or "",
        kind=record.kind,
        result=result,
        comparisons=comparisons,
        name="" if person is None else masked_name(person.name),
        number="" if person is None else masked_number(person.number),
        at=record.time,
        received_at=record.received_at,
        standing=record.standing,
        code=record.code,
        effective_from=record.effective_from,
        case_number=record.case_number,
    )
