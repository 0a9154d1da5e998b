"""Several sync agents side by side share the shards; whatever happens to one, nothing is lost or doubled.

Real processes, a real broker, devices that go on speaking meanwhile (reference page on MQTT, section 11, rows 2, 12 and 21).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Final

import pytest
import uuid_utils
from joserfc.jwk import OKPKey
from pydantic import SecretStr
from sqlalchemy import func, select, text

from sync_agent import service
from sync_agent.contract import envelope, topics
from sync_agent.contract.envelope import GENESIS, Place
from sync_agent.contract.kinds import Case, Cause
from sync_agent.contract.topics import DeviceId, Up
from sync_agent.fleet import agents
from sync_agent.fleet.agents import TTL
from sync_agent.registry.tables import Device, DeviceKey, RecordRow, ReviewCase, Site
from sync_agent.settings import BrokerSettings, DatabaseSettings, Settings
from system.services.process import Process
from tests.sync_agent.ingest.hub import TENANT, Hub, device_of, now, until

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(90)]

MOVED_S: Final = 15.0
"""Within so long the shards of an agent that was stopped or killed are another's, and their records are taken."""

SHARDS: Final = range(0, 64, 8)
"""Shards that a device speaks in: some of every agent's share."""

_postgresql = pytest.param("postgresql", marks=pytest.mark.postgres)
_sqlite = pytest.param("sqlite", marks=pytest.mark.long)
on_postgresql = pytest.mark.parametrize("database_url", [_postgresql, _sqlite], indirect=True)
_postgresql_long = pytest.param("postgresql", marks=[pytest.mark.postgres, pytest.mark.long])
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite", _postgresql_long], indirect=True)
"""Each runs on one of the two always, and on the other with all the long ones."""

IN_A_COPY: Final = text(
    "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE :name AND state = 'active' AND wait_event = 'ClientRead' "
    "AND query LIKE 'COPY record %'"
)

CASE: Final = Case(site="site-1", step="face", cause=Cause.HELP)


class Feed:
    """A device in each of some shards, each signing one record after the other until told to stop."""

    def __init__(self, hub: Hub, office: service.Office) -> None:
        self._hub = hub
        self._office = office
        self._stopping = threading.Event()
        self._key = {DeviceId(device_of(number)): OKPKey.generate_key("Ed25519") for number in SHARDS}
        self._thread = threading.Thread(target=self._run)
        self.sent = 0
        with office.database.write() as session:
            session.add(Site(id="site-1", name="site", created_at=now()))
            session.flush()
            for device, key in self._key.items():
                session.add(Device(id=device, site_id="site-1", serial="", enrolled_at=now()))
                session.flush()
                public = {name: str(value) for name, value in key.as_dict(private=False).items()}
                session.add(DeviceKey(kid=key.thumbprint(), device_id=device, public_key=public, valid_from=now()))

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        registry = self._office.authority.registry_key
        speakers = {device: self._hub.speaker(device) for device in self._key}
        prev, seq = dict.fromkeys(self._key, GENESIS), 0
        while not self._stopping.wait(0.05):
            seq += 1
            for device, key in self._key.items():
                signed = envelope.write(
                    CASE,
                    None,
                    record_id=str(uuid_utils.uuid7()),
                    source=(TENANT, device),
                    time=now(),
                    place=Place("0123456789abcdef", seq, prev[device]),
                    boot=1,
                    clock_age_s=1,
                    signing_key=key,
                    registry_key=registry,
                )
                prev[device] = signed.digest
                speakers[device].say(topics.up(TENANT, device, Up.RECORD), signed.message)
                self.sent += 1


class Hall:
    """The central side: broker, registry, and as many sync agents as are started."""

    def __init__(self, folder: Path, hub: Hub, office: service.Office, stack: ExitStack) -> None:
        self.hub = hub
        self.office = office
        self._folder = folder
        self._stack = stack
        self._count = 0

    def agent(self) -> Process:
        """Start one more sync agent, and return it when it takes records."""
        self._count += 1
        command: list[str | Path] = [sys.executable, "-m", "sync_agent", "ingest", "--settings", self._folder / "agent.toml"]
        made = Process(f"agent {self._count}", command, self._folder / f"agent-{self._count}.log")
        self._stack.callback(made.stop)
        made.start(lambda: "broker.connected" in made.log_file.read_text(), within_s=20)
        return made

    def held_by(self, agent: Process) -> int:
        """How many shards an agent holds."""
        with self.office.database.read() as session:
            lines = agents.look(session).lines
        return next((len(line.shards) for line in lines if f"-{agent.pid}-" in line.id), 0)

    def is_stopped_in_a_copy(self, agent: Process) -> bool:
        """Stop an agent; unless it is filling the ledger at this moment, let it go on."""
        agent.signal(SIGSTOP)
        for _ in range(2):  # the server may have all of it, and be at the end of it
            with self.office.database.read() as session:
                if not session.scalar(IN_A_COPY, {"name": f"%-{agent.pid}-%"}):
                    agent.signal(SIGCONT)
                    return False
                session.execute(text("SELECT pg_sleep(0.1)"))
        return True

    def taken(self) -> int:
        """How many records the ledger holds."""
        with self.office.database.read() as session:
            return session.scalar(select(func.count()).select_from(RecordRow)) or 0

    def taken_in(self, shards: range) -> int:
        """How many records of some shards the ledger holds."""
        with self.office.database.read() as session:
            numbers = session.scalars(select(RecordRow.shard)).all()
        return sum(number in shards for number in numbers)

    def _unjudged(self) -> int:
        with self.office.database.read() as session:
            return session.scalar(select(func.count()).select_from(RecordRow).where(RecordRow.standing.is_(None))) or 0

    def all_is_there_once(self, feed: Feed) -> None:
        """Wait until every record that was sent is held and judged; each has had its effect once."""
        until(lambda: self.taken() == feed.sent, "taking every record", 20.0)
        until(lambda: self._unjudged() == 0, "judging every record", 20.0)
        with self.office.database.read() as session:
            assert session.scalar(select(func.count()).select_from(ReviewCase)) == feed.sent
            per_device = session.execute(select(func.max(RecordRow.seq), func.count()).group_by(RecordRow.device_id)).all()
        assert all(last == count for last, count in per_device)


@pytest.fixture
def hall(state_dir: Path, database_url: str) -> Iterator[Hall]:
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    hub = Hub(state_dir)
    settings = Settings(
        state_dir=state_dir,
        tenant=TENANT,
        broker=BrokerSettings(port=hub.broker.port),
        database=DatabaseSettings(url=SecretStr(database_url)),
    )
    lines = [f'state_dir = "{state_dir}"', f'tenant = "{TENANT}"', "[broker]", f"port = {hub.broker.port}"]
    file = state_dir / "agent.toml"
    file.write_text("\n".join([*lines, "[database]", f'url = "{database_url}"']) + "\n")
    file.chmod(0o600)
    with service.office(settings) as office, ExitStack() as stack:
        stack.callback(hub.close)
        yield Hall(state_dir, hub, office, stack)


@contextmanager
def moved_within(limit_s: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < limit_s


@on_postgresql
def test_the_shards_of_a_killed_agent_are_taken_over_with_what_waits_in_them(hall: Hall) -> None:
    one = hall.agent()
    two = hall.agent()
    until(lambda: (hall.held_by(one), hall.held_by(two)) == (32, 32), "sharing")
    feed = Feed(hall.hub, hall.office)
    with feed:
        until(lambda: hall.taken() > 50, "taking records")
        one.kill()
        with moved_within(MOVED_S):
            before = hall.taken_in(range(32))
            until(lambda: hall.held_by(two) == 64, "the taking over", MOVED_S)
            until(lambda: hall.taken_in(range(32)) > before + 20, "taking records of the dead one's shards", MOVED_S)
    hall.all_is_there_once(feed)


@on_postgresql
def test_an_agent_that_wakes_up_after_its_lease_writes_nothing_and_gets_its_share_back(hall: Hall) -> None:
    one = hall.agent()
    two = hall.agent()
    until(lambda: (hall.held_by(one), hall.held_by(two)) == (32, 32), "sharing")
    feed = Feed(hall.hub, hall.office)
    with feed:
        until(lambda: hall.taken() > 50, "taking records")
        one.signal(SIGSTOP)  # what comes from now on waits in its sockets until it wakes up
        until(lambda: hall.held_by(two) == 64, "the taking over", MOVED_S)
        before = len(one.log_file.read_text())
        one.signal(SIGCONT)
        until(lambda: (hall.held_by(one), hall.held_by(two)) == (32, 32), "sharing again")
    hall.all_is_there_once(feed)
    after = one.log_file.read_text()[before:]
    awake, again = after.index("lost"), after.index("leases.taken")  # leases.lost or ingest.shards-lost
    assert "fresh=" not in after[:awake]  # nothing of what had waited was written
    assert awake < again


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_shards_of_an_agent_that_froze_in_a_copy_are_taken_over(hall: Hall) -> None:
    one = hall.agent()
    two = hall.agent()
    until(lambda: (hall.held_by(one), hall.held_by(two)) == (32, 32), "sharing")
    feed = Feed(hall.hub, hall.office)
    with feed:
        until(lambda: hall.taken() > 50, "taking records")
        until(lambda: hall.is_stopped_in_a_copy(one), "stopping in a COPY", 30.0)
        until(lambda: hall.held_by(two) == 64, "the taking over", MOVED_S)
        one.signal(SIGCONT)
        until(lambda: (hall.held_by(one), hall.held_by(two)) == (32, 32), "sharing again")
    hall.all_is_there_once(feed)


@on_sqlite
def test_the_shards_of_an_agent_that_stops_move_at_once(hall: Hall) -> None:
    one = hall.agent()
    two = hall.agent()
    until(lambda: (hall.held_by(one), hall.held_by(two)) == (32, 32), "sharing")
    feed = Feed(hall.hub, hall.office)
    with feed:
        until(lambda: hall.taken() > 50, "taking records")
        one.stop()
        with moved_within(TTL.total_seconds() / 2):
            until(lambda: hall.held_by(two) == 64, "the taking over")
    hall.all_is_there_once(feed)


@on_postgresql
def test_agents_that_join_while_records_come_get_their_share(hall: Hall) -> None:
    one = hall.agent()
    feed = Feed(hall.hub, hall.office)
    with feed:
        until(lambda: hall.taken() > 20, "taking records")
        two, three = hall.agent(), hall.agent()
        until(lambda: sorted(map(hall.held_by, (one, two, three))) == [21, 21, 22], "sharing", 20.0)
        before = hall.taken()
        until(lambda: hall.taken() > before + 50, "going on")
    hall.all_is_there_once(feed)
