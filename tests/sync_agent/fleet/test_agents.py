"""The listing of the sync agents says who is alive, who holds what, and what nobody holds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync_agent.fleet.agents import TTL, look, ranges
from sync_agent.registry.database import Database, clock
from sync_agent.registry.tables import LiveAgent, Shard


def test_nobody_holds_anything_before_an_agent_starts(database: Database) -> None:
    with database.read() as session:
        assert str(look(session)) == "No sync agent takes records.\nHeld by nobody: 0-63"


def test_who_is_silent_holds_nothing_any_more(database: Database) -> None:
    with database.write() as session:
        now = clock(session)
        session.add(LiveAgent(id="one", started_at=now, beat_at=now))
        session.add(LiveAgent(id="two", started_at=now, beat_at=now - TTL - timedelta(seconds=1)))
        for number in range(64):
            row = session.get_one(Shard, number)
            row.owner = "one" if number < 60 else "two"
            row.since, row.expires_at = now, now + TTL if number < 60 else now - timedelta(seconds=1)
    with database.read() as session:
        found = look(session)
    assert [(line.id, line.is_live, len(line.shards)) for line in found.lines] == [("one", True, 60), ("two", False, 0)]
    assert found.unheld == (60, 61, 62, 63)
    assert "one: live" in str(found)
    assert "two: silent since" in str(found)


@pytest.mark.parametrize(("numbers", "short"), [((), ""), ((3,), "3"), ((0, 1, 2, 5, 7, 8), "0-2, 5, 7-8")])
def test_numbers_are_named_in_short(numbers: tuple[int, ...], short: str) -> None:
    assert ranges(numbers) == short
