"""One open row for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event, select

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


@pytest.mark.parametrize("backwards", [False, True])
def test_gathered_alarms_are_sounded_and_cleared_in_one_order(sqlite_database: Database, backwards: bool) -> None:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(" ".join(statement.split()[:3:2]))

    event.listen(sqlite_database.engine, "before_cursor_execute", note)
    gathered = alarms.Gathered()
    steps: list[Callable[[], None]] = [
        lambda: gathered.add(AlarmKind.CLOCK, DEVICE, "ahead", ""),
        lambda: gathered.clear(AlarmKind.GAP, DEVICE, "aa"),
        lambda: gathered.add(AlarmKind.ROLLED_BACK, DEVICE, "aa", ""),
    ]
    for step in reversed(steps) if backwards else steps:
        step()
    with sqlite_database.write() as session:
        gathered.sound(session, NOW)
    assert [word for word in statements if word.startswith(("INSERT", "UPDATE"))] == [
        "INSERT alarm",
        "UPDATE SET",
        "INSERT alarm",
    ]


def test_what_is_met_after_it_was_over_is_open(database: Database) -> None:
    gathered = alarms.Gathered()
    gathered.clear(AlarmKind.GAP, DEVICE, "aa")
    gathered.add(AlarmKind.GAP, DEVICE, "aa", "one", times=2)
    gathered.add(AlarmKind.GAP, DEVICE, "bb", "")
    gathered.clear(AlarmKind.GAP, DEVICE, "bb")
    with database.write() as session:
        alarms.sound(session, AlarmKind.GAP, DEVICE, "bb", "", NOW)
        gathered.sound(session, NOW)
        assert [(alarm.subject, alarm.times) for alarm in alarms.open_alarms(session)] == [("aa", 2)]
