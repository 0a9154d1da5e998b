"""What happens at simulated kiosks: the people are invented and whole, and arrivals have the shape that was asked for."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from sync_agent.contract.kinds import Attendance, CardHolder, PersonReference, Verification
from sync_agent.registry.roster import number_fault
from system.simulate.fleet_work import shift_start, steady, visit, worker


def test_invented_workers_have_numbers_of_their_own_with_valid_check_characters() -> None:
    numbers = [worker(number).number for number in range(0, 1_000_000, 997)]
    assert len(set(numbers)) == len(numbers)
    assert not [number for number in numbers if number_fault(number)]
    assert worker(7) == worker(7)


def test_each_worker_is_verified_and_then_passes_the_gate() -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    happened = [visit("site", range(5, 7), count, at) for count in range(4)]
    assert [type(facts) for facts, _ in happened] == [Verification, Attendance] * 2
    people = [personal.number for _, personal in happened if isinstance(personal, CardHolder | PersonReference)]
    assert people == [worker(5).number] * 2 + [worker(6).number] * 2


def test_steady_arrivals_come_at_the_rate_asked_for() -> None:
    moments = list(steady(50.0, 100.0, random.Random(3)))
    assert 4500 < len(moments) < 5500
    assert moments == sorted(moments)


def test_a_shift_starts_with_a_peak() -> None:
    moments = list(shift_start(50.0, 600.0, random.Random(3)))
    middle = sum(270 <= moment < 330 for moment in moments) / 60
    edge = sum(moment < 60 for moment in moments) / 60
    assert middle > 40
    assert edge < 10
