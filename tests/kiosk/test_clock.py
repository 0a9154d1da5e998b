"""The time of a record: never before the one before it, unless that one was written by a clock that was wrong."""

from __future__ import annotations

from datetime import timedelta

from kiosk.clock import AHEAD_AT_MOST, stamp
from tests.kiosk.uplink.filled import NOW, StillClock

SECOND = timedelta(seconds=1)


def test_the_first_record_has_the_time_of_the_clock() -> None:
    assert stamp(StillClock(NOW, age=None), None) == NOW


def test_a_clock_that_goes_on_is_followed() -> None:
    assert stamp(StillClock(NOW, age=None), NOW - SECOND) == NOW


def test_a_clock_that_began_in_the_past_is_held_at_the_newest_record() -> None:
    assert stamp(StillClock(NOW - timedelta(days=9000), age=None), NOW) == NOW


def test_a_small_step_back_by_the_network_is_held_too() -> None:
    assert stamp(StillClock(NOW, age=3), NOW + SECOND) == NOW + SECOND


def test_a_record_from_a_wrong_future_does_not_rule_for_ever() -> None:
    future = NOW + AHEAD_AT_MOST + SECOND
    assert stamp(StillClock(NOW, age=3), future) == NOW
    assert stamp(StillClock(NOW, age=None), future) == future
