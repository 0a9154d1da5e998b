"""Quarantine: of a flood a part is kept and the rest counted, in one order, and none of it for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, text

from sync_agent.contract.codes import Fault
from sync_agent.contract.topics import Up
from sync_agent.fleet import alarms, gaps
from sync_agent.ingest import quarantine
from sync_agent.ingest.check import Bad
from sync_agent.ingest.quarantine import BYTES_A_DAY, KEPT_A_DAY, KEPT_BYTES, Quarantined
from sync_agent.registry.tables import AlarmKind, Quarantine
from tests.sync_agent.ingest.centre import DEVICE, EPOCH, Centre

WITHIN_S = 10.0
DAYS = 90


def garbage(count: int, first: int = 0, size: int = 0) -> list[bytes]:
    return [b"garbage %d " % number + b"x" * size for number in range(first, first + count)]


def rows(centre: Centre) -> list[Quarantine]:
    with centre.database.read() as session:
        return list(session.scalars(select(Quarantine).order_by(Quarantine.id)))


def test_of_a_flood_of_garbage_a_part_is_kept_and_all_of_it_is_answered_and_counted(centre: Centre) -> None:
    many = KEPT_A_DAY + 50
    receipts = centre.take(*garbage(many))
    assert sum(len(receipt.rejections) for receipt in receipts) == many
    assert len(rows(centre)) == KEPT_A_DAY
    centre.take(*garbage(50, first=many))
    assert (len(rows(centre)), centre.alarms()) == (KEPT_A_DAY, {AlarmKind.FLOOD: 100})


def test_as_much_as_is_kept_is_no_flood_and_the_next_day_there_is_room_again(centre: Centre) -> None:
    centre.take(*garbage(KEPT_A_DAY))
    centre.clock.passes(days=1)
    centre.take(*garbage(KEPT_A_DAY, first=KEPT_A_DAY))
    assert (len(rows(centre)), centre.alarms()) == (2 * KEPT_A_DAY, {})


def test_what_a_device_says_of_itself_counts_like_its_records(small_centre: Centre) -> None:
    small_centre.take(*garbage(KEPT_A_DAY))
    small_centre.take(*garbage(5), what=Up.TELEMETRY)
    assert (len(rows(small_centre)), small_centre.alarms()) == (KEPT_A_DAY, {AlarmKind.FLOOD: 5})


def test_large_garbage_fills_the_room_sooner(centre: Centre) -> None:
    fit = BYTES_A_DAY // KEPT_BYTES
    centre.take(*garbage(fit + 3, size=KEPT_BYTES))
    kept = rows(centre)
    assert (len(kept), sum(len(row.raw) for row in kept)) == (fit, BYTES_A_DAY)
    assert centre.alarms() == {AlarmKind.FLOOD: 3}


def test_garbage_that_is_known_is_counted_up_in_its_row_during_a_flood(centre: Centre) -> None:
    known, *others = garbage(KEPT_A_DAY + 1)
    centre.take(known)
    centre.take(*others)
    centre.take(known, known)
    assert rows(centre)[0].times == 3
    assert centre.alarms() == {AlarmKind.FLOOD: 1}


def test_a_flood_of_garbage_leaves_room_for_what_the_device_signed(centre: Centre) -> None:
    centre.take(*garbage(KEPT_A_DAY + 1))
    centre.take(centre.record(1).message)
    centre.take(centre.record(1).message)
    assert [row.seq for row in rows(centre) if row.fault is Fault.EQUIVOCATION] == [1]


@contextmanager
def written(engine: Engine, table: str) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Gather what is written to a table meanwhile: the statement's first word, and its parameters."""
    met: list[tuple[str, dict[str, Any]]] = []

    def note(_connection: object, _cursor: object, statement: str, _parameters: object, context: Any, _many: bool) -> None:
        if statement.startswith((f"INSERT INTO {table} ", f"UPDATE {table} ")):
            met.extend((statement.split()[0], given) for given in context.compiled_parameters)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield met
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_rows_are_written_in_the_same_order_whatever_order_the_messages_came_in(small_centre: Centre) -> None:
    orders = []
    for messages in (garbage(20), garbage(20)[::-1]):
        with written(small_centre.database.engine, "quarantine") as met:
            small_centre.take(*messages)
        orders.append([given["sha256"] for _, given in met])
    assert orders[0] == orders[1] == sorted(orders[0])
    assert len(orders[0]) == 20


def wait_for_a_lock(centre: Centre) -> None:
    """Return when somebody waits for a lock in the database."""
    deadline = threading.Event()
    timer = threading.Timer(WITHIN_S, deadline.set)
    timer.start()
    try:
        while not deadline.is_set():
            with centre.database.read() as session:
                waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                if session.scalar(text(waits)):
                    return
        pytest.fail("nobody waited")
    finally:
        timer.cancel()


@pytest.mark.parametrize("commits", [True, False])
def test_two_clerks_that_keep_the_same_at_the_same_time_keep_it_once_for_what_it_is(centre: Centre, commits: bool) -> None:
    if centre.database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    (letter,) = centre.letters([b"noise"])
    other = threading.Thread(target=centre.clerk.take, args=([letter],))
    with centre.database.write() as session:
        mine = Quarantined()
        mine.add(letter, Bad(DEVICE, Fault.NOT_A_RECORD, "noise"))
        mine.write(session, alarms.Gathered())
        other.start()
        wait_for_a_lock(centre)
        if not commits:
            session.rollback()
    other.join(WITHIN_S)
    assert [(row.fault, row.times) for row in rows(centre)] == [(Fault.NOT_A_RECORD, 2 if commits else 1)]


def test_after_some_months_garbage_is_deleted_and_what_explains_a_gap_only_loses_its_bytes(centre: Centre) -> None:
    again, once = garbage(2)
    one, two, three = centre.chain(3)
    centre.take(one.message, three.message)
    with centre.database.write() as session:
        kept = Quarantined()
        (letter,) = centre.letters([two.message])
        kept.add(letter, Bad(DEVICE, Fault.BAD_CONTENT, "facts", digest="ab" * 32, place=(EPOCH, 2), content=two.message))
        kept.write(session, alarms.Gathered())
    centre.take(again, once)
    centre.clock.passes(days=DAYS - 1)
    centre.take(again)
    centre.clock.passes(days=1, seconds=1)
    for _ in range(2):
        quarantine.clear_out(centre.database, DAYS, centre.clock())
        assert [(row.fault, row.times, row.raw) for row in rows(centre)] == [
            (Fault.BAD_CONTENT, 1, b""),
            (Fault.NOT_A_RECORD, 2, again),
        ]
    with centre.database.read() as session:
        assert [gap.lost for gap in gaps.listing(session)] == [0]


def test_what_is_in_use_is_left_to_another_day(centre: Centre) -> None:
    if centre.database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    centre.take(b"noise")
    centre.clock.passes(days=DAYS, seconds=1)
    with centre.database.write() as session:
        session.scalars(select(Quarantine).with_for_update()).one()
        quarantine.clear_out(centre.database, DAYS, centre.clock())
    assert len(rows(centre)) == 1
    quarantine.clear_out(centre.database, DAYS, centre.clock())
    assert rows(centre) == []


def test_many_months_of_garbage_are_deleted_at_once(small_centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "CHUNK", 7)
    small_centre.take(*garbage(50))
    quarantine.clear_out(small_centre.database, DAYS, small_centre.clock() + timedelta(days=DAYS, seconds=1))
    with small_centre.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Quarantine)) == 0
