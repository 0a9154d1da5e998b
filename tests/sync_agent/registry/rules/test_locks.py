"""Bid locks: from the tender's opening until it fails, its publicity is over or staff says so (S53, S54, 4.6)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import permutations

import pytest
from sqlalchemy import select

from sync_agent.contract.codes import Code
from sync_agent.registry.rules import library, locks, locks_rows
from sync_agent.registry.rules.locks import CannotRelease, Happened, Lock, TenderEvent
from sync_agent.registry.tables import AuditEvent, Release
from tests.sync_agent.registry.rules.crew import TODAY, ZONE, Crew, days, reported
from tests.sync_agent.world import NOW, World

LAST = date(2026, 3, 10)
STILL = datetime(2026, 3, 10, 15, 59, 59, tzinfo=UTC)
"""A second before midnight in Shanghai."""
OVER = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)


@pytest.fixture
def crew(world: World) -> Crew:
    """An enterprise with one person in its library."""
    crew = Crew(world)
    crew.syncs(reported("wang"))
    crew.enters("wang")
    return crew


def test_s54_publicity_is_over_at_the_end_of_its_last_day_in_shanghai() -> None:
    lock = Lock(NOW, LAST)
    assert locks.over(LAST, ZONE) == OVER
    assert locks.is_open(lock, STILL, ZONE)
    assert not locks.is_open(lock, OVER, ZONE)
    assert locks.expire(lock, STILL, ZONE) is lock
    assert locks.expire(lock, OVER + days(9), ZONE) == Lock(NOW, LAST, OVER, Release.AWARD)


def test_s54_the_order_of_events_does_not_matter_where_one_end_is_reported() -> None:
    begun = TenderEvent(Happened.PUBLICITY_BEGUN, NOW + days(1), LAST - days(2))
    ended = TenderEvent(Happened.PUBLICITY_ENDED, OVER, LAST)
    for events in permutations([TenderEvent(Happened.OPENED, NOW), begun, ended, ended]):
        lock = None
        for event in events:
            lock = locks.follow(lock, event, NOW + days(1), ZONE)
            assert locks.is_open(lock, NOW + days(1), ZONE)
        assert lock is not None
        assert locks.is_open(lock, STILL, ZONE)
        assert locks.expire(lock, OVER, ZONE) == Lock(NOW, LAST, OVER, Release.AWARD)


def test_s54_who_was_released_stays_released_when_a_later_end_is_heard_of_too_late() -> None:
    released = locks.expire(Lock(NOW, LAST), OVER, ZONE)
    prolonged = TenderEvent(Happened.PUBLICITY_BEGUN, NOW, LAST + days(5))
    assert locks.follow(Lock(NOW, LAST), prolonged, OVER, ZONE) == released
    assert locks.is_open(locks.follow(Lock(NOW, LAST), prolonged, STILL, ZONE), OVER, ZONE)  # in time it does prolong


def test_s54_an_end_without_a_day_is_of_the_day_it_was_reported() -> None:
    late = datetime(2026, 3, 10, 15, 30, tzinfo=UTC)  # 23:30 in Shanghai
    lock = locks.follow(None, TenderEvent(Happened.PUBLICITY_ENDED, late), late, ZONE)
    assert lock.publicity_ends == LAST
    begun = TenderEvent(Happened.PUBLICITY_BEGUN, late)
    assert locks.follow(Lock(NOW), begun, late, ZONE) == Lock(NOW)  # its end is not known yet


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201])
def test_4_6_a_release_by_hand_needs_a_reason(reason: str) -> None:
    with pytest.raises(CannotRelease):
        locks.release(Lock(NOW), reason, NOW, ZONE)
    assert locks.release(Lock(NOW), "投标人退出", NOW, ZONE).release is Release.MANUAL


# --- through the registry -------------------------------------------------------------------------------------------


def test_s53_s54_a_lock_ends_when_the_tender_fails_and_events_may_repeat(crew: Crew) -> None:
    assert crew.hears(Happened.OPENED, "wang") == 1
    assert crew.hears(Happened.OPENED, "wang") == 0
    assert library.choice_fault(crew.one(), TODAY) is Code.PERSON_BID_LOCKED
    assert crew.hears(Happened.FAILED, at=NOW + days(1)) == 1  # nobody named: everybody of the tender
    assert crew.hears(Happened.FAILED, "wang", at=NOW + days(2)) == 0
    assert crew.hears(Happened.OPENED, "wang") == 0  # late: it locks nobody again
    (lock,) = crew.locks()
    assert (lock.release, lock.released_at) == (Release.FAILED, NOW + days(1))
    assert library.choice_fault(crew.one(), TODAY) is None


def test_s54_an_end_before_its_beginning_locks_nobody(crew: Crew) -> None:
    crew.hears(Happened.FAILED, "wang")
    crew.hears(Happened.OPENED, "wang", at=NOW - days(3))
    (lock,) = crew.locks()
    assert (lock.locked_at, lock.release) == (NOW - days(3), Release.FAILED)
    assert not crew.one().is_locked


def test_s54_with_two_locks_one_released_is_still_locked(crew: Crew) -> None:
    crew.hears(Happened.OPENED, "wang", tender="t-1")
    crew.hears(Happened.OPENED, "wang", tender="t-2")
    crew.hears(Happened.FAILED, tender="t-1")
    assert library.choice_fault(crew.one(), TODAY) is Code.PERSON_BID_LOCKED
    crew.hears(Happened.FAILED, tender="t-2")
    assert library.choice_fault(crew.one(), TODAY) is None


def test_s54_the_duty_writes_the_release_and_nobody_waits_for_it(crew: Crew) -> None:
    crew.hears(Happened.OPENED, "wang")
    crew.hears(Happened.PUBLICITY_BEGUN, last=LAST)
    assert crew.one(STILL).is_locked
    assert not crew.one(OVER).is_locked  # whether or not the duty has run
    assert crew.locks()[0].released_at is None
    assert [due(crew, at) for at in (STILL, OVER + days(2), OVER + days(2))] == [0, 1, 0]
    (lock,) = crew.locks()
    assert (lock.released_at, lock.release) == (OVER, Release.AWARD)  # as of the end, not of when it was seen


def test_4_6_staff_releases_with_a_reason_once_and_it_is_audited(crew: Crew) -> None:
    crew.hears(Happened.OPENED, "wang")
    (lock,) = crew.locks()
    for wrong, reason in ((lock.id + 1, "x"), (lock.id, "")):
        with pytest.raises(CannotRelease), crew.world.database.write() as session:
            locks_rows.release(session, wrong, reason, "staff:a", NOW, ZONE)
    assert crew.one().is_locked
    with crew.world.database.write() as session:
        locks_rows.release(session, lock.id, "投标人退出", "staff:a", NOW, ZONE)
    with pytest.raises(CannotRelease), crew.world.database.write() as session:
        locks_rows.release(session, lock.id, "投标人退出", "staff:a", NOW, ZONE)
    assert not crew.one().is_locked
    with crew.world.database.read() as session:
        assert session.scalars(select(AuditEvent.actor).where(AuditEvent.action == "bid-lock.release")).all() == ["staff:a"]


def due(crew: Crew, at: datetime) -> int:
    with crew.world.database.write() as session:
        return locks_rows.release_due(session, at, ZONE)
