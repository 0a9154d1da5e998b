"""One open row for each thing that is wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import alarms
from sync_agent.registry.database import Database
from sync_agent.registry.tables import AlarmKind, AuditEvent
from tests.sync_agent.world import DEVICE, NOW

LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize("device", [DEVICE, None])
def test_the_same_thing_again_counts_up_the_alarm_that_is_open(database: Database, device: DeviceId | None) -> None:
    with database.write() as session:
        alarms.sound(session, AlarmKind.CLOCK, device, "far", "one", NOW)
        alarms.sound(session, AlarmKind.CLOCK, device, "far", "two", LATER, times=3)
        (alarm,) = alarms.open_alarms(session)
        assert (alarm.times, alarm.detail, alarm.first_at, alarm.last_at) == (4, "two", NOW, LATER)


def test_another_subject_device_or_kind_is_another_alarm(database: Database) -> None:
    with database.write() as session:
        alarms.sound(session, AlarmKind.CLOCK, DEVICE, "far", "", NOW)
        alarms.sound(session, AlarmKind.CLOCK, DEVICE, "back", "", NOW)
        alarms.sound(session, AlarmKind.CLOCK, None, "far", "", NOW)
        alarms.sound(session, AlarmKind.GAP, DEVICE, "far", "", NOW)
        assert len(alarms.open_alarms(session)) == 4
        assert len(alarms.open_alarms(session, DEVICE)) == 3


def test_a_cleared_alarm_stays_on_record_and_the_same_thing_opens_a_new_one(database: Database) -> None:
    with database.write() as session:
        alarms.sound(session, AlarmKind.GAP, DEVICE, "aa", "", NOW)
        assert alarms.clear(session, AlarmKind.GAP, DEVICE, "aa", LATER)
        assert not alarms.clear(session, AlarmKind.GAP, DEVICE, "aa", LATER)
        assert alarms.open_alarms(session) == []
        alarms.sound(session, AlarmKind.GAP, DEVICE, "aa", "", LATER)
        (alarm,) = alarms.open_alarms(session)
        assert (alarm.times, alarm.first_at) == (1, LATER)


def test_a_person_clears_an_alarm_by_its_number_once_and_is_remembered(database: Database) -> None:
    with database.write() as session:
        alarms.sound(session, AlarmKind.CLOCK, DEVICE, "ahead", "record 7", NOW, times=2)
        (alarm,) = alarms.open_alarms(session)
        assert alarms.line(alarm).split()[1:4] == ["clock", DEVICE, "ahead:"]
        assert alarms.clear_number(session, alarm.id, LATER, "somebody")
        assert not alarms.clear_number(session, alarm.id, LATER, "somebody")
        event = session.scalars(select(AuditEvent)).one()
        assert (event.actor, event.action) == ("somebody", "alarm.clear")
