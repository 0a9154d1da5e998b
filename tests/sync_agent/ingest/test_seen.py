"""Highest sequence and gaps, whatever order records come in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_agent.ingest.seen import Gap, with_one_more


@pytest.mark.parametrize(
    ("upto", "gaps", "seq", "after"),
    [
        (0, [], 1, (1, [])),
        (3, [], 4, (4, [])),
        (0, [], 3, (3, [(1, 2)])),
        (5, [(2, 4)], 3, (5, [(2, 2), (4, 4)])),
        (5, [(2, 4)], 2, (5, [(3, 4)])),
        (5, [(2, 2)], 2, (5, [])),
        (5, [(2, 2)], 5, (5, [(2, 2)])),
        (5, [(2, 2)], 9, (9, [(2, 2), (6, 8)])),
    ],
)
def test_one_more(upto: int, gaps: list[Gap], seq: int, after: tuple[int, list[Gap]]) -> None:
    assert with_one_more(upto, gaps, seq) == after


@given(st.lists(st.integers(1, 40), min_size=1))
def test_what_is_held_is_upto_without_the_gaps(arrivals: list[int]) -> None:
    upto, gaps = 0, list[Gap]()
    for seq in arrivals:
        upto, gaps = with_one_more(upto, gaps, seq)
    missing = {seq for first, last in gaps for seq in range(first, last + 1)}
    assert set(range(1, upto + 1)) - missing == set(arrivals)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(gaps)), "gaps that touch are one"
