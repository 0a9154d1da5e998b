"""Row 4 of the failure matrix: PostgreSQL is killed in the middle of a batch, and then nobody answers at its door for a while.

Nothing is acknowledged or said to be received that is not committed; when it is back, all is caught up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from kiosk.uplink import identity
from kiosk.uplink.store import State
from system.services.database import Postgres
from tests.system.centre import Centre, kiosk, opened

pytestmark = [pytest.mark.broker, pytest.mark.postgres, pytest.mark.slow]


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
