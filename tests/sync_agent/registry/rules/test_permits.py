from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from sync_agent.contract.codes import Code
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import SafetyPermitEntry
from sync_agent.registry.rules import permits_rows, projects_rows
from sync_agent.registry.rules.permits import WARN_DAYS, Permit, add, in_effect, warning
from sync_agent.registry.tables import AdminNotice, SafetyPermit
from tests.sync_agent.registry.rules.office import USCC, Office
from tests.sync_agent.world import BOOK, NOW, World

ON = NOW.date()
FIRST = SafetyPermitEntry(number="JZ-1", issuer="测试住建厅", valid_from=date(2024, 1, 1), valid_until=date(2026, 12, 31))
SECOND = FIRST.model_copy(update={"number": "JZ-2", "valid_from": date(2026, 3, 1), "valid_until": date(2029, 2, 28)})
LATER = FIRST.model_copy(update={"number": "JZ-3", "valid_from": date(2026, 6, 1), "valid_until": date(2029, 5, 31)})

DAYS = st.dates(date(2025, 1, 1), date(2027, 12, 31))
PERMITS = st.lists(st.builds(Permit, st.text("AB", min_size=1, max_size=3), DAYS, DAYS), max_size=6)


def effective(world: World, on: date = ON) -> str | None:
    with world.database.read() as session:
        permit = permits_rows.in_effect(session, USCC, on)
        return None if permit is None else permit.number


def test_s43_adding_a_newer_permit_switches_which_one_is_in_effect(world: World) -> None:
    office = Office(world)
    assert effective(world) is None
    assert office.asks_with_picture(FIRST, "permit").effective_from is not None
    assert effective(world) == "JZ-1"
    assert office.asks_with_picture(SECOND, "permit").effective_from is not None
    assert effective(world) == "JZ-2"
    later = office.asks_with_picture(LATER, "permit")
    assert (later.standing, later.effective_from) == (Standing.ACCEPTED, None)
    assert (effective(world), effective(world, date(2026, 6, 1))) == ("JZ-2", "JZ-3")
    with world.database.read() as session:
        assert len(session.scalars(select(SafetyPermit)).all()) == 3  # history stays


def test_s43_a_permit_needs_its_photo_and_is_added_once(world: World) -> None:
    office = Office(world)
    assert office.asks(FIRST).gaps == ("ATTACHMENT_MISSING:permit",)
    assert effective(world) is None
    office.asks_with_picture(FIRST, "permit")
    assert office.asks_with_picture(FIRST, "permit").code is Code.DUPLICATE


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ({"valid_until": date(2023, 1, 1)}, "WRONG_CONTENT:valid_until"),
        ({"valid_until": ON - timedelta(days=1)}, "WRONG_CONTENT:valid_until"),
        ({"number": " "}, "WRONG_CONTENT:number"),
        ({"issuer": ""}, "WRONG_CONTENT:issuer"),
        ({"valid_until": ON}, None),
    ],
)
def test_s43_what_cannot_be_is_refused(change: dict[str, Any], gap: str | None) -> None:
    answer = add([], FIRST.model_copy(update=change), [], ON, NOW)
    assert (answer.gaps[0] if answer.gaps else None) == gap
    assert bool(answer.changes) == (gap is None)


@given(PERMITS, DAYS)
def test_s43_the_one_in_effect_is_valid_and_none_that_is_valid_began_later(permits: list[Permit], on: date) -> None:
    chosen = in_effect(permits, on)
    valid = [permit for permit in permits if permit.valid_from <= on <= permit.valid_until]
    assert (chosen is None) == (valid == [])
    assert chosen is None or (chosen in valid and all(permit.valid_from <= chosen.valid_from for permit in valid))
    assert in_effect(reversed(permits), on) == chosen


@given(st.lists(st.integers(0, 60), max_size=10), st.integers(-5, 120))
def test_s43_each_warning_comes_once_and_in_order(steps: list[int], left: int) -> None:
    """Whenever one looks, and however seldom."""
    on, warned, said = ON - timedelta(days=0), None, list[int]()
    until = ON + timedelta(days=left)
    for step in steps:
        on += timedelta(days=step)
        if (days := warning(until, on, warned)) is not None:
            said.append(days)
            warned = days
            assert (until - on).days <= days
        assert warning(until, on, warned) is None
    assert said == sorted(set(said), reverse=True) and set(said) <= set(WARN_DAYS)


def warn(world: World, on: date) -> int:
    with world.database.write() as session:
        return permits_rows.warn(session, BOOK.zone, datetime(on.year, on.month, on.day, 12, tzinfo=BOOK.zone))


def test_s43_the_enterprise_is_warned_at_90_30_and_0_days_once_each(world: World) -> None:
    Office(world).asks_with_picture(FIRST, "permit")
    end = FIRST.valid_until
    for days, notices in ((91, 0), (90, 1), (89, 0), (30, 1), (30, 0), (1, 0), (0, 1), (-1, 0)):
        assert warn(world, end - timedelta(days=days)) == notices, days
    with world.database.read() as session:
        assert projects_rows.unread(session, USCC) == 3
        assert {notice.title for notice in session.scalars(select(AdminNotice))} == {"safety-permit-ends"}


def test_s43_nobody_is_warned_of_a_permit_that_another_follows(world: World) -> None:
    office = Office(world)
    office.asks_with_picture(FIRST, "permit")
    office.asks_with_picture(LATER, "permit")
    assert warn(world, FIRST.valid_until) == 0
    assert warn(world, LATER.valid_until) == 1
