"""The tables, typed. Import them from here, so that the metadata is whole."""

from sync_agent.registry.tables.alarms import Alarm, AlarmKind
from sync_agent.registry.tables.base import Base
from sync_agent.registry.tables.fleet import (
    Device,
    DeviceCertificate,
    DeviceKey,
    DeviceSeen,
    DeviceStatus,
    GapLine,
    PartLine,
    Site,
    part_lines,
)
from sync_agent.registry.tables.ledger import AuditEvent, ClockDoubt, Quarantine, RecordRow
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
from sync_agent.registry.tables.trust import DeviceTrust, Invitation, RenewalSeen, TrustList

__all__ = [
    "Alarm",
    "AlarmKind",
    "AttendanceRow",
    "AuditEvent",
    "Base",
    "CaseKind",
    "CaseState",
    "ClockDoubt",
    "Device",
    "DeviceCertificate",
    "DeviceKey",
    "DeviceSeen",
    "DeviceStatus",
    "DeviceTrust",
    "GapLine",
    "Invitation",
    "LibraryStatus",
    "LiveAgent",
    "PartLine",
    "Person",
    "Personnel",
    "Quarantine",
    "RecordRow",
    "RenewalSeen",
    "ReviewCase",
    "Shard",
    "Site",
    "TrustList",
    "VerificationRow",
    "part_lines",
]
