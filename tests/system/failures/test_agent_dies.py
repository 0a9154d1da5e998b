"""Row 2 of the failure matrix: the sync agent is killed between receiving, laying ready, committing, acknowledging and answering.

Each process is the real command; a function of it is made deadly from outside. The leases of who is dead are taken away by hand,
so that a test need not wait for them; that they run out by themselves is in tests/sync_agent/ingest/test_leases.py.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import select

from kiosk.uplink import identity
from kiosk.uplink.store import State
from sync_agent.registry.tables import RecordRow, ReviewCase
from tests.system.centre import Centre, Kiosk, kiosk
from tests.system.failures.hand import EPOCH, Hand
from tests.system.failures.put_off import PUT_OFF

pytestmark = [pytest.mark.broker, pytest.mark.slow]

DEATHS: Final = {
    "received": ("before", "sync_agent.ingest.clerk:Clerk.check"),
    "verified": ("behind", "sync_agent.ingest.clerk:Clerk.check"),
    "laid ready": ("behind", "sync_agent.ingest.sink:enter"),
    "committed": ("behind", "sync_agent.ingest.clerk:Clerk.hold"),
    "acknowledged": ("behind", "sync_agent.ingest.sessions:Sessions.acknowledge"),
    "receipt given": ("behind", "sync_agent.ingest.postman:Postman.deliver"),
    "about to judge": ("before", "sync_agent.ingest.judge:Judge._judge"),
    "judged, not committed": ("behind", "sync_agent.ingest.judge:_Sitting.judge"),
    "judged": ("behind", "sync_agent.ingest.judge:Judge._judge"),
}
"""Where an agent dies."""

FEW: Final = ("received", "laid ready", "committed", "acknowledged", "receipt given", "judged, not committed")


@pytest.mark.parametrize("centre", ["sqlite"], indirect=True)
async def test_an_agent_killed_at_each_of_its_steps_loses_and_doubles_nothing(centre: Centre, state_dir: Path) -> None:
    await outlive(FEW, centre, state_dir)


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.timeout(300)
@pytest.mark.parametrize("centre", ["sqlite", "postgresql"], indirect=True)
async def test_an_agent_killed_at_every_step_loses_and_doubles_nothing(centre: Centre, state_dir: Path) -> None:
    await outlive(tuple(DEATHS), centre, state_dir)


async def outlive(deaths: tuple[str, ...], centre: Centre, state_dir: Path) -> None:
    async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
        for death in deaths:
            await one_death(death, centre, ours)
        last = ours.write()
        with centre.agent():
            await ours.until(lambda: all(row[3].state is State.ANSWERED for row in ours.outbox.listing()), "all answers", 40)
    assert centre.records() == list(range(1, last + 1))
    assert cases(centre) == [1] * last, "each record took effect once"
    assert (centre.unjudged(), centre.quarantined(), centre.alarms()) == (0, 0, set())


async def one_death(death: str, centre: Centre, ours: Kiosk) -> None:
    """Write a record and let the agent that takes it die at one of its steps."""
    moment, place = DEATHS[death]
    doomed = centre.agent_process(program=("-m", "tests.system.failures.kill_at", moment, place, "1"))
    doomed.start(lambda: True)
    try:
        ours.write()
        await ours.until(lambda: not doomed.is_running, f"the death when {death}", 30)
        assert doomed.wait(1) == -signal.SIGKILL
    finally:
        doomed.kill()
    centre.bury()


def cases(centre: Centre) -> list[int]:
    """How many review cases each record opened."""
    with centre.office.database.read() as session:
        opened = list(session.scalars(select(ReviewCase.record_id)))
        return [opened.count(record) for record in session.scalars(select(RecordRow.id).order_by(RecordRow.seq))]


@pytest.mark.parametrize(("how", "held"), [("properly", [1, 2, 3]), ("rashly", [2, 3])])
def test_a_record_said_once_outlives_the_agent_unless_it_was_acknowledged_before_its_commit(
    centre: Centre, how: str, held: list[int]
) -> None:
    """The second is the negative control: nobody sends again, so an agent that acknowledges too early loses a record."""
    who = identity.load(centre.identity_dir)
    with Hand(centre, who) as hand:
        with centre.agent():
            hand.knock()  # the agent's session is there from now on
        one, two, three = hand.chain(3)
        doomed = centre.agent_process(program=("-m", "tests.system.failures.put_off", how))
        hand.say(one.message)
        log = centre.office.settings.state_dir / "agent.log"
        try:
            doomed.start(lambda: PUT_OFF in log.read_text())
            hand.say(two.message)
            assert doomed.wait(20) == -signal.SIGKILL
        finally:
            doomed.kill()
        centre.bury()
        if how == "rashly":
            hand.say(two.message)
        with centre.agent():
            hand.say(three.message)
            hand.until(lambda receipt: receipt.epoch == EPOCH and receipt.upto == 3)
    assert centre.records() == held
