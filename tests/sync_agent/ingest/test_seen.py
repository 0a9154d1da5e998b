"""Highest sequence and gaps, whatever order records come in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_agent.ingest.seen import Gap, Seen, Tip

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)

TIP = Tip("d" * 64, 1, NOW)

Ranges = list[tuple[int, int]]


def seen(upto: int, *gaps: tuple[int, int]) -> Seen:
    return Seen(upto, tuple(Gap(first, last, NOW) for first, last in gaps))


@pytest.mark.parametrize(
    ("before", "seq", "upto", "gaps"),
    [
        (seen(0), 1, 1, []),
        (seen(3), 4, 4, []),
        (seen(0), 3, 3, [(1, 2)]),
        (seen(5, (2, 4)), 3, 5, [(2, 2), (4, 4)]),
        (seen(5, (2, 4)), 2, 5, [(3, 4)]),
        (seen(5, (2, 2)), 2, 5, []),
        (seen(5, (2, 2)), 5, 5, [(2, 2)]),
        (seen(5, (2, 2)), 9, 9, [(2, 2), (6, 8)]),
    ],
)
def test_one_more(before: Seen, seq: int, upto: int, gaps: Ranges) -> None:
    after = before.with_more({seq: TIP}, LATER)
    assert (after.upto, [(gap.first, gap.last) for gap in after.gaps]) == (upto, gaps)


def test_a_gap_remembers_since_when_also_in_parts() -> None:
    after = seen(9, (2, 6)).with_more({4: TIP, 20: TIP}, LATER)
    assert after.gaps == (Gap(2, 3, NOW), Gap(5, 6, NOW), Gap(10, 19, LATER))


def test_what_is_written_is_read_back() -> None:
    held = seen(9, (2, 6))
    assert Seen.of(held.upto, held.lines, held.tip.digest, held.tip.boot, held.tip.time) == held


@pytest.mark.parametrize(("seq", "is_tip"), [(3, False), (5, False), (6, True), (9, True)])
def test_the_next_record_goes_on_from_the_highest(seq: int, is_tip: bool) -> None:
    held = seen(5, (2, 4))
    assert held.with_more({seq: TIP}, LATER).tip == (TIP if is_tip else held.tip)


def test_what_a_device_signed_beyond_what_is_held_is_missing_too() -> None:
    assert seen(9, (2, 6)).missing_up_to(12) == ((2, 6), (10, 12))
    assert seen(9, (2, 6)).missing_up_to(5) == ((2, 6),)


@given(st.lists(st.lists(st.integers(1, 40), min_size=1), min_size=1))
def test_what_is_held_is_upto_without_the_gaps(batches: list[list[int]]) -> None:
    held = Seen()
    for batch in batches:
        held = held.with_more(dict.fromkeys(batch, TIP), NOW)
    missing = {seq for gap in held.gaps for seq in range(gap.first, gap.last + 1)}
    assert set(range(1, held.upto + 1)) - missing == {seq for batch in batches for seq in batch}
    assert all(one.last + 1 < other.first for one, other in pairwise(held.gaps)), "gaps that touch are one"
