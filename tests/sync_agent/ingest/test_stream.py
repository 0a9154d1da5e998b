"""What is heard is acknowledged once it is held, by whoever holds its shard, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from sync_agent.contract import receipts, topics
from sync_agent.contract.topics import Down, Up
from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.court import Court
from sync_agent.ingest.leases import Fence, Leases, LostShard
from sync_agent.ingest.postman import Postman
from sync_agent.ingest.sessions import Sessions
from sync_agent.ingest.stream import Ingest
from sync_agent.ingest.verifiers import Verifiers
from sync_agent.registry.database import Database
from sync_agent.registry.protect import Vault
from sync_agent.registry.tables import RecordRow, Shard
from tests.mqtt import Speaker
from tests.sync_agent.conftest import DATA_KEY
from tests.sync_agent.ingest.centre import DEVICE, TENANT, Centre, everywhere
from tests.sync_agent.ingest.hub import Hub, heard, until

pytestmark = pytest.mark.broker

SHARD = topics.shard(DEVICE)
RECEIPTS = topics.down(TENANT, DEVICE, Down.RECEIPT)
RECORDS = topics.up(TENANT, DEVICE, Up.RECORD)


@pytest.fixture
def hub(state_dir: Path) -> Iterator[Hub]:
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    made = Hub(state_dir)
    yield made
    made.close()


class Agent:
    """A sync agent in this process: the only one, so it holds every shard."""

    def __init__(self, hub: Hub, centre: Centre, own: Database | None = None) -> None:
        database, office = own or centre.database, centre.office
        self.sessions: Sessions = hub.sessions(may_connect=lambda: self.leases.is_sure, is_started=False)
        self.leases = Leases(database, "one", self.sessions.hold)
        clerk = Clerk(database, office, Verifiers(0), self.leases.fence)
        postman = Postman(self.sessions.say)
        court = Court(centre.judge_of("one"), lambda receipts: postman.deliver(map(office.post, receipts)))
        self._stream = Ingest(self.sessions, self.leases, clerk, court, postman)

    def start(self) -> None:
        self._stream.start()
        until(lambda: SHARD in self.sessions.connected, "connecting")

    def stop(self) -> None:
        self._stream.stop()

    def __enter__(self) -> Agent:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def held(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(RecordRow)) or 0


def listener(hub: Hub) -> Speaker:
    speaker = hub.speaker(DEVICE)
    speaker.subscribe(RECEIPTS)
    return speaker


def test_a_record_is_held_acknowledged_and_answered_and_then_ruled_on(hub: Hub, centre: Centre) -> None:
    with Agent(hub, centre):
        device = listener(hub)
        device.say(RECORDS, centre.record(1).message)
        first = receipts.read(device.hear()[1], centre.receipt_key, DEVICE)
        assert (first.upto, first.rulings) == (1, ())
        second = receipts.read(device.hear()[1], centre.receipt_key, DEVICE)
        assert [ruling.seq for ruling in second.rulings] == [1]
    assert not hub.sessions(SHARD).inbox.gather(1, within_s=0.3)  # nothing is left at the broker


def test_what_is_heard_while_the_database_is_away_waits_at_the_broker(
    hub: Hub, small_centre: Centre, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program holds the registry; the agent is stopped meanwhile, as an impatient operator would."""
    registry = small_centre.database
    hasty = Database(str(registry.engine.url), Vault(DATA_KEY), busy_s=0.02)
    device = listener(hub)
    agent = Agent(hub, small_centre, hasty)
    agent.start()
    with registry.write() as session:
        session.execute(select(1))  # takes the lock
        device.say(RECORDS, small_centre.record(1).message)
        until(lambda: "database.away" in capsys.readouterr().out, "saying so")
        assert agent.sessions.connected
        agent.stop()
    assert held(registry) == 0
    with Agent(hub, small_centre):
        assert receipts.read(device.hear()[1], small_centre.receipt_key, DEVICE).upto == 1
    assert held(registry) == 1
    hasty.close()


def taken_by_another(database: Database) -> None:
    with database.write() as session:
        session.execute(update(Shard).where(Shard.number == SHARD).values(owner="two", fence=Shard.fence + 1))


def test_a_record_of_a_shard_that_another_has_taken_is_left_to_it(hub: Hub, centre: Centre) -> None:
    with Agent(hub, centre) as agent:
        taken_by_another(centre.database)
        hub.speaker(DEVICE).say(RECORDS, centre.record(1).message)
        until(lambda: SHARD not in agent.leases.held, "letting go")
        assert held(centre.database) == 0
        assert heard(hub.sessions(SHARD), 1)[0].topic == RECORDS  # it was not acknowledged


def test_the_fence_and_nothing_else_keeps_an_agent_that_slept_from_writing(centre: Centre) -> None:
    leases = Leases(centre.database, "one", lambda shards: None)
    leases.turn()
    taken_by_another(centre.database)
    letters = centre.letters([centre.record(1).message])

    def clerk(fence: Fence) -> Clerk:
        return Clerk(centre.database, centre.office, Verifiers(0), fence)

    with pytest.raises(LostShard):
        clerk(leases.fence).take(letters)
    assert held(centre.database) == 0
    clerk(everywhere).take(letters)  # the control: without it the stale agent writes
    assert held(centre.database) == 1
