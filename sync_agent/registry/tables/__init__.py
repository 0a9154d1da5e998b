"""The tables, typed. Import them from here, so that the metadata is whole."""

from sync_agent.registry.tables.alarms import Alarm, AlarmKind
from sync_agent.registry.tables.base import Base
from sync_agent.registry.tables.fleet import (
    Device,
    DeviceCertificate,
    DeviceKey,
    DeviceSeen,
    DeviceStatus,
    PartLine,
    Site,
    part_lines,
)
from sync_agent.registry.tables.ledger import AuditEvent, Quarantine, RecordRow
from sync_agent.registry.tables.people import (
    AttendanceRow,
    CaseKind,
    CaseState,
    LibraryStatus,
    Person,
    Personnel,
    ReviewCase,
    VerificationRow,
)
from sync_agent.registry.tables.shards import LiveAgent, Shard

__all__ = [
    "Alarm",
    "AlarmKind",
    "AttendanceRow",
    "AuditEvent",
    "Base",
    "CaseKind",
    "CaseState",
    "Device",
    "DeviceCertificate",
    "DeviceKey",
    "DeviceSeen",
    "DeviceStatus",
    "LibraryStatus",
    "LiveAgent",
    "PartLine",
    "Person",
    "Personnel",
    "Quarantine",
    "RecordRow",
    "ReviewCase",
    "Shard",
    "Site",
    "VerificationRow",
    "part_lines",
]
