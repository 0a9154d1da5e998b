"""Row 4 of the failure matrix: PostgreSQL is killed in the middle of a batch, and then nobody answers at its door for a while.

For longer than a lease lasts, too: then the sync agent stops reading, and what comes waits at the broker. Nothing is acknowledged
or said to be received that is not committed; when it is back, all is caught up.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import psycopg
import pytest
from sqlalchemy import text

from kiosk.uplink import identity
from kiosk.uplink.store import State
from sync_agent.fleet.agents import TTL
from sync_agent.ingest import line, sessions
from sync_agent.ingest.inbox import Inbox
from system.services.database import Postgres
from system.simulate.world import wait_until
from tests.system.centre import Centre, kiosk, opened
from tests.system.failures.hand import Hand

pytestmark = [pytest.mark.broker, pytest.mark.postgres, pytest.mark.slow]

LIVE_S: Final = 0.04
"""Between two records of a live device, seconds."""

LETTERS: Final = 20
"""The inbox is full with so many messages here."""


@pytest.fixture
def database(state_dir: Path) -> Iterator[Postgres]:
    """A database of this test's own, to be killed."""
    if not Path("/usr/lib/postgresql").exists():
        pytest.skip("needs Debian's postgresql")
    with Postgres(state_dir / "postgres") as running:
        yield running


@pytest.fixture
def on_postgres(state_dir: Path, database: Postgres) -> Iterator[Centre]:
    with opened(state_dir, database.new_database("registry")) as centre:
        yield centre


async def test_a_database_killed_in_the_middle_of_a_batch_and_away_for_a_while_loses_nothing(
    on_postgres: Centre, database: Postgres, state_dir: Path
) -> None:
    centre = on_postgres
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
            await ours.until_answered(ours.write())
            # Another transaction holds what the batch has to write, so that the batch is surely in the middle when it dies.
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(centre.office.settings.database_url.replace("+psycopg", "")) as other,
            ):
                other.execute("SELECT * FROM device_seen FOR UPDATE")
                seqs = [ours.write() for _ in range(20)]
                await ours.until(lambda: is_waiting(centre), "the batch waiting for its row")
                database.kill()
            for _ in range(10):
                seqs.append(ours.write())
                with suppress(TimeoutError):
                    await asyncio.wait_for(ours.line.news(), 0.1)
                assert {ours.outbox.progress(seq).state for seq in seqs} == {State.WAITING}, (
                    "nothing is received that is not held"
                )
            database.start()
            for seq in seqs:
                await ours.until_answered(seq, 40)
    assert centre.records() == list(range(1, 32))
    assert (centre.unjudged(), centre.quarantined(), centre.alarms()) == (0, 0, set())


async def test_the_same_records_are_received_at_once_where_the_database_stays(on_postgres: Centre, state_dir: Path) -> None:
    """The negative control: without the kill the records do not wait."""
    with on_postgres.agent():
        async with kiosk(state_dir, identity.load(on_postgres.identity_dir)) as ours:
            seqs = [ours.write() for _ in range(31)]
            await ours.until(lambda: ours.outbox.progress(seqs[-1]).state is not State.WAITING, "the receipt")
    assert on_postgres.records() == seqs


def is_waiting(centre: Centre) -> bool:
    """Whether a transaction waits for a row that another one holds."""
    with centre.office.database.read() as session:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(session.scalar(text(asked)))


class Feed:
    """A device that says each record once, one after the other, until it is told to stop; it asks for no answer."""

    def __init__(self, hand: Hand, messages: Sequence[bytes]) -> None:
        self._hand = hand
        self._messages = messages
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.said = 0

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        for message in self._messages:
            if self._stopping.wait(LIVE_S):
                return
            self._hand.say(message)
            self.said += 1


@pytest.fixture
def inboxes(monkeypatch: pytest.MonkeyPatch) -> list[Inbox]:
    """The small inboxes of the agents that the test starts, in their order."""
    made: list[Inbox] = []

    def small(when_roomy: Callable[[], None]) -> Inbox:
        made.append(Inbox(when_roomy, letters=LETTERS))
        return made[-1]

    monkeypatch.setattr(sessions, "Inbox", small)
    return made


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("is_other", [False, True], ids=["the same agent", "another agent"])
def test_a_database_away_for_longer_than_a_lease_is_caught_up_with_at_three_times_the_live_rate(
    on_postgres: Centre, database: Postgres, inboxes: list[Inbox], is_other: bool
) -> None:
    """Each record is said once: one that was acknowledged without being held would be lost when the agent goes."""
    centre = on_postgres
    url = database.url("registry").replace("+psycopg", "")

    def held() -> int:
        with psycopg.connect(url) as session:
            found = session.execute("SELECT count(*) FROM record").fetchone()
        return 0 if found is None else int(found[0])

    with Hand(centre, identity.load(centre.identity_dir)) as hand, ExitStack() as agents:
        agents.enter_context(centre.agent())
        hand.knock()
        with Feed(hand, [one.message for one in hand.chain(3000)]) as feed:
            wait_until(lambda: held() >= 50, "taking records")
            assert not inboxes[-1].is_full, "the control: with its database it reads"
            database.kill()
            begun = feed.said
            wait_until(lambda: feed.said - begun > 1.2 * TTL.total_seconds() / LIVE_S, "more than a lease's time", 60)
            assert inboxes[-1].is_full
            assert len(inboxes[-1]) <= LETTERS + line.PATIENCE < (feed.said - begun) / 2, "the rest waits at the broker"
            if is_other:
                agents.close()
            database.start()
            before = held()
            assert before <= begun
            if is_other:
                agents.enter_context(centre.agent())
            wait_until(lambda: held() > before, "taking records again", 40)
            back = feed.said
            wait_until(lambda: held() > feed.said - 5, "catching up", 60)
            assert held() - before >= 3 * (feed.said - back)
        wait_until(lambda: centre.records() == list(range(1, feed.said + 1)), "all that was said")
        wait_until(lambda: centre.unjudged() == 0, "judging all", 60)
    assert (centre.quarantined(), centre.alarms()) == (0, set())
