"""Each shard is held by at most one sync agent, each agent has its fair share, and who slept through its lease writes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from sync_agent.contract.topics import SHARDS
from sync_agent.fleet.agents import TTL
from sync_agent.ingest import leases
from sync_agent.ingest.leases import Leases, LostShard, fair_share, new_agent_id
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import Vault
from sync_agent.registry.tables import LiveAgent, Shard
from tests.sync_agent.conftest import DATA_KEY

ALL = frozenset(range(SHARDS))
WITHIN_S = 10.0


@pytest.fixture(autouse=True)
def _every_turn_renews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.0)


@pytest.fixture
def agent(database: Database) -> Callable[[str], Leases]:
    return lambda name: Leases(database, name, lambda shards: None)


def silent_for_too_long(database: Database, name: str) -> None:
    """Let so much time pass, by the database's clock, that an agent's leases have run out."""
    with database.write() as session:
        past = timedelta(hours=1)
        for live in session.scalars(select(LiveAgent).where(LiveAgent.id == name)):
            live.beat_at -= past
        for shard in session.scalars(select(Shard).where(Shard.owner == name)):
            assert shard.expires_at is not None
            shard.expires_at -= past


def writes(database: Database, holder: Leases, *shards: int) -> None:
    with database.write() as session:
        holder.fence(session, shards)


def test_an_agent_alone_holds_every_shard(database: Database, agent: Callable[[str], Leases]) -> None:
    one = agent("one")
    one.turn()
    assert one.held == ALL
    writes(database, one, *ALL)


def test_agents_that_join_get_their_share_of_what_the_others_give(agent: Callable[[str], Leases]) -> None:
    one, two, three = agent("one"), agent("two"), agent("three")
    for joining in ([one], [one, two], [one, two, three]):
        for _round in range(3):
            for each in joining:
                each.turn()
        assert sorted(number for each in joining for number in each.held) == sorted(ALL)
        assert max(len(each.held) for each in joining) - min(len(each.held) for each in joining) <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 100])
def test_the_fair_shares_of_any_number_of_agents_are_all_shards(count: int) -> None:
    names = [f"agent-{number}" for number in range(count)]
    shares = [fair_share(names, name) for name in names]
    assert sum(shares) == SHARDS
    assert max(shares) - min(shares) <= 1


def test_what_an_agent_held_that_gave_no_sign_is_taken(database: Database, agent: Callable[[str], Leases]) -> None:
    one, two = agent("one"), agent("two")
    one.turn()
    silent_for_too_long(database, "one")
    two.turn()
    assert two.held == ALL


def test_what_an_agent_holds_that_gave_a_sign_is_not_taken(agent: Callable[[str], Leases]) -> None:
    one, two = agent("one"), agent("two")
    one.turn()
    two.turn()
    assert two.held == frozenset()


def test_an_agent_that_slept_through_its_lease_writes_nothing_and_learns_that_it_lost(
    database: Database, agent: Callable[[str], Leases]
) -> None:
    one, two = agent("one"), agent("two")
    one.turn()
    silent_for_too_long(database, "one")
    writes(database, one, 7)  # nobody took it, so it is still its own: the control
    two.turn()
    with pytest.raises(LostShard) as lost:
        writes(database, one, 7, 8)
    assert lost.value.shards == {7, 8}
    one.turn()
    assert one.held == frozenset()


def test_a_shard_that_came_back_is_held_under_a_new_number(database: Database, agent: Callable[[str], Leases]) -> None:
    one, two = agent("one"), agent("two")
    one.turn()
    with database.read() as session:
        before = session.get_one(Shard, 7).fence
    silent_for_too_long(database, "one")
    two.turn()
    two.leave()
    one.turn()
    with database.read() as session:
        assert session.get_one(Shard, 7).fence == before + 2
    writes(database, one, 7)


def test_an_agent_that_stops_gives_everything_away_at_once(database: Database, agent: Callable[[str], Leases]) -> None:
    one, two = agent("one"), agent("two")
    one.turn()
    one.leave()
    two.turn()
    assert (one.held, two.held) == (frozenset(), ALL)
    with database.read() as session:
        assert session.scalars(select(LiveAgent.id)).all() == ["two"]


def test_whoever_listens_is_told_before_a_shard_is_given_away(database: Database) -> None:
    told: list[frozenset[int]] = []
    owned_when_told: list[int] = []

    def hold(shards: frozenset[int]) -> None:
        told.append(shards)
        with database.read() as session:
            owned_when_told.append(len(session.scalars(select(Shard.number).where(Shard.owner == "one")).all()))

    one, two = Leases(database, "one", hold), Leases(database, "two", lambda shards: None)
    one.turn()
    two.turn()
    one.turn()
    assert [len(shards) for shards in told] == [64, 32]
    assert owned_when_told == [64, 64]


def test_a_lease_is_sure_until_it_may_have_run_out(agent: Callable[[str], Leases], monkeypatch: pytest.MonkeyPatch) -> None:
    one = agent("one")
    assert not one.is_sure
    one.turn()
    assert one.is_sure
    later = leases.time.monotonic() + TTL.total_seconds()
    monkeypatch.setattr(leases.time, "monotonic", lambda: later)
    assert not one.is_sure


def test_a_commit_in_flight_is_not_overtaken_by_a_taking(database: Database, agent: Callable[[str], Leases]) -> None:
    """A taker leaves what is being written for until the writer has ended; renewals go on meanwhile (PostgreSQL)."""
    if database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    one, two = agent("one"), agent("two")
    one.turn()
    with database.write() as session:
        one.fence(session, [7])
        one.turn()  # its own renewal does not wait for its own writing
        silent_for_too_long(database, "one")
        two.turn()
        assert two.held == ALL - {7}
    two.turn()
    assert two.held == ALL


def test_who_compares_while_a_taking_is_in_flight_waits_for_it_and_has_lost(
    database: Database, agent: Callable[[str], Leases]
) -> None:
    one = agent("one")
    one.turn()
    outcome: list[object] = []

    def late() -> None:
        try:
            writes(database, one, 7)
        except LostShard as lost:
            outcome.append(lost.shards)

    with database.write() as session:
        session.execute(select(Shard).where(Shard.number == 7).with_for_update())
        thread = threading.Thread(target=late)
        thread.start()
        session.execute(update(Shard).where(Shard.number == 7).values(owner="two", fence=Shard.fence + 1))
    thread.join(WITHIN_S)
    assert outcome == [{7}]


@contextmanager
def named(url: str, name: str) -> Iterator[Database]:
    """The registry as another process has it."""
    database = Database(url, Vault(DATA_KEY), name=name)
    migrate(database.engine)
    yield database
    database.close()


def writes_in_a_copy(database: Database, holder: Leases, number: int, meanwhile: Callable[[], None]) -> None:
    """Write for a shard, and be out of action for a while in the middle of a COPY."""
    with database.write() as session:
        holder.fence(session, [number])
        session.execute(text("CREATE TEMPORARY TABLE piece (number int4) ON COMMIT DROP"))
        driver: Any = session.connection().connection.driver_connection
        with driver.cursor() as cursor, cursor.copy("COPY piece FROM STDIN") as copy:
            copy.write_row((1,))
            meanwhile()
            copy.write_row((2,))


@pytest.mark.postgres
def test_an_agent_that_froze_in_a_copy_is_ended_by_whoever_takes_over_and_recovers(postgres_url: str) -> None:
    with named(postgres_url, "one") as frozen, named(postgres_url, "two") as awake:
        one, two = Leases(frozen, "one", lambda shards: None), Leases(awake, "two", lambda shards: None)
        one.turn()

        def takes_over() -> None:
            silent_for_too_long(awake, "one")
            two.turn()
            assert two.held == ALL

        with pytest.raises((psycopg.OperationalError, OperationalError)):
            writes_in_a_copy(frozen, one, 7, takes_over)
        with pytest.raises(LostShard):
            writes(frozen, one, 7)
        one.turn()
        two.turn()
        one.turn()
        assert (len(one.held), len(two.held)) == (32, 32)


@pytest.mark.postgres
def test_without_being_ended_it_would_keep_its_shard(postgres_url: str) -> None:
    """The control: the same, but nobody knows its connections."""
    with named(postgres_url, "") as frozen, named(postgres_url, "two") as awake:
        one, two = Leases(frozen, "one", lambda shards: None), Leases(awake, "two", lambda shards: None)
        one.turn()

        def takes_over() -> None:
            silent_for_too_long(awake, "one")
            two.turn()
            assert two.held == ALL - {7}

        writes_in_a_copy(frozen, one, 7, takes_over)


@pytest.mark.postgres
@pytest.mark.parametrize("has_run_out", [False, True])
def test_an_agent_that_is_only_slow_is_not_ended(postgres_url: str, has_run_out: bool) -> None:
    with named(postgres_url, "one") as slow, named(postgres_url, "two") as other, named(postgres_url, "three") as third:
        one, two = Leases(slow, "one", lambda shards: None), Leases(other, "two", lambda shards: None)
        three = Leases(third, "three", lambda shards: None)
        one.turn()
        three.turn()
        one.turn()
        three.turn()
        assert three.held == ALL - one.held

        def another_comes() -> None:
            if has_run_out:  # but a sign comes before anybody looks: its leases are its own again
                silent_for_too_long(other, "one")
                one.turn()
            silent_for_too_long(other, "three")
            two.turn()
            assert two.held == three.held, "the silent one's are taken"

        (number, *_) = one.held
        writes_in_a_copy(slow, one, number, another_comes)
        writes(slow, one, number)


def test_every_process_has_a_name_of_its_own() -> None:
    assert new_agent_id() != new_agent_id()
    assert len(new_agent_id()) <= 63
