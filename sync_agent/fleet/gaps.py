"""What is missing of the devices' chains, and which of it is explained: a record that was refused leaves a gap for ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, cast, select
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Fault
from sync_agent.contract.topics import DeviceId
from sync_agent.registry.tables import DeviceSeen, Quarantine


@dataclass(frozen=True, slots=True)
class Missing:
    """A gap in what is held of a device.

    Attributes:
        first, last: the sequences at its ends, both missing.
        since: since when it is known.
        refused: those within it that came, signed, and were quarantined: they are not lost.
    """

    device: DeviceId
    epoch: str
    first: int
    last: int
    since: datetime
    refused: tuple[tuple[int, Fault], ...]

    @property
    def lost(self) -> int:
        """How many of them never came."""
        return self.last - self.first + 1 - len(self.refused)

    def __str__(self) -> str:
        range_ = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        why = "".join(f", {seq} refused ({fault})" for seq, fault in self.refused)
        return f"{self.device:<24} {self.epoch} {range_:<16} since {self.since:%Y-%m-%d %H:%M:%S}Z, {self.lost} missing{why}"


def listing(session: Session, device: DeviceId | None = None) -> list[Missing]:
    """Return every gap, of one device or of all, by device."""
    asked = select(DeviceSeen).where(cast(DeviceSeen.gaps, String) != "[]").order_by(DeviceSeen.device_id, DeviceSeen.epoch)
    rows = session.scalars(asked if device is None else asked.where(DeviceSeen.device_id == device)).all()
    refused = _refused(session, {row.device_id for row in rows})
    found: list[Missing] = []
    for row in rows:
        known = refused.get((row.device_id, row.epoch), {})
        for gap in row.gaps:
            within = tuple((seq, fault) for seq, fault in sorted(known.items()) if gap["first"] <= seq <= gap["last"])
            since = datetime.fromisoformat(gap["since"])
            found.append(Missing(DeviceId(row.device_id), row.epoch, gap["first"], gap["last"], since, within))
    return found


def _refused(session: Session, devices: set[str]) -> dict[tuple[str, str], dict[int, Fault]]:
    """Return what was quarantined at a known place, by chain and sequence."""
    if not devices:
        return {}
    asked = select(Quarantine.device_id, Quarantine.epoch, Quarantine.seq, Quarantine.fault).where(
        Quarantine.device_id.in_(devices), Quarantine.seq.is_not(None)
    )
    refused: dict[tuple[str, str], dict[int, Fault]] = {}
    for device, epoch, seq, fault in session.execute(asked):
        if device is not None and epoch is not None and seq is not None:
            refused.setdefault((device, epoch), {})[seq] = fault
    return refused
