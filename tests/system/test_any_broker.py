"""One contract for every broker, Mosquitto with MQTT 3.1.1 and 5 and a NATS cluster of three: what it promises is all we need."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion
from sqlalchemy import select

from kiosk.settings import UplinkSettings
from kiosk.uplink import identity
from kiosk.uplink.identity import Identity
from kiosk.uplink.store import State
from sync_agent import service
from sync_agent.contract import topics
from sync_agent.contract.topics import DeviceId, Down, Tenant, Up
from sync_agent.fleet.authority import session_name
from sync_agent.registry.tables import RecordRow
from system.services import nats
from system.services.broker import Mosquitto
from system.services.nats import NatsCluster
from system.services.process import HOST
from system.simulate.network import Proxy
from tests.certificates import Authority, Issued
from tests.mqtt import Address, Speaker
from tests.system.centre import DEVICE, HASTY, enrolled, kiosk, opened

pytestmark = [pytest.mark.broker, pytest.mark.slow]

TENANT = Tenant("xz")
DEVICES = [DeviceId(f"kiosk-{number}") for number in range(200)]
QUIET_S = 1.0
SETTLED_S = 60.0
"""A new cluster makes its streams and the sessions of all shards at the first connections."""
BACK_S = 30.0
"""So soon after the death of a node there must be service again (reference, section 11, row 7)."""
LET_IN_TRIES = 10


@dataclass
class Broker:
    """One of the three, and the certificates it lets in."""

    at: Address
    version: MQTTProtocolVersion
    authority: Authority
    issued: dict[str, Issued]

    def enter(
        self,
        name: str,
        *,
        client_id: str = "",
        keeps_session: bool = False,
        acknowledges: bool = True,
        will: tuple[str, bytes] | None = None,
    ) -> Speaker:
        """Connect as somebody. A cluster that is choosing its leaders lets nobody in for a moment."""
        own = self.issued.setdefault(name, self.authority.issue(name))
        for _ in range(LET_IN_TRIES):
            speaker = Speaker(
                self.at,
                self.authority.ca,
                own,
                client_id=client_id or name,
                keeps_session=keeps_session,
                version=self.version,
                acknowledges=acknowledges,
                will=will,
            )
            if speaker.was_let_in:
                return speaker
            speaker.close()
        raise AssertionError(f"{name} is not let in")


@pytest.fixture(scope="module")
def mosquitto(session_dir: Path, authority: Authority) -> Iterator[Mosquitto]:
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    own = authority.issue("broker", address=HOST)
    folder = session_dir / "any-broker"
    with Mosquitto(folder, ca=authority.ca, certificate=own.certificate, key=own.key, revoked=authority.revoked) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(session_dir: Path, authority: Authority) -> Iterator[NatsCluster]:
    if not nats.PROGRAM.exists():
        pytest.skip("needs Debian's nats-server")
    own = authority.issue("broker", address=HOST)
    with NatsCluster(session_dir / "nats", ca=authority.ca, certificate=own.certificate, key=own.key, devices=DEVICES) as running:
        yield running


@pytest.fixture(params=["mosquitto-3.1.1", "mosquitto-5", "nats-3.1.1"])
def broker(request: pytest.FixtureRequest, authority: Authority) -> Broker:
    kind, version = request.param.split("-")
    running = request.getfixturevalue("mosquitto" if kind == "mosquitto" else "cluster")
    at = running if kind == "mosquitto" else running.nodes[0]
    return Broker(at, MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311, authority, {})


@dataclass(frozen=True, slots=True)
class Pair:
    """A device nobody has used, and the session of the sync agent that hears it."""

    device: DeviceId
    session: str
    filter: str

    def up(self, what: Up = Up.RECORD) -> str:
        return topics.up(TENANT, self.device, what)

    @property
    def receipts(self) -> str:
        return topics.down(TENANT, self.device, Down.RECEIPT)


def _pairs() -> Iterator[Pair]:
    """Devices, each in a shard of its own, so that no test hears what another left behind."""
    used: set[int] = set()
    for device in DEVICES:
        shard = topics.shard(device)
        if shard not in used:
            used.add(shard)
            yield Pair(device, session_name(shard), topics.of_shard(TENANT, shard))


_unused = _pairs()


@pytest.fixture
def pair() -> Pair:
    return next(_unused)


def test_a_durable_session_inherits_what_came_while_it_was_away(broker: Broker, pair: Pair) -> None:
    with broker.enter(pair.session, keeps_session=True) as agent:
        agent.subscribe(pair.filter)
    with broker.enter(pair.device) as device:
        for number in range(5):
            device.say(pair.up(), b"%d" % number)
    with broker.enter(pair.session, keeps_session=True) as agent:
        assert [agent.hear()[1] for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
        assert agent.hears_nothing(QUIET_S)


def test_a_session_that_is_not_kept_inherits_nothing(broker: Broker, pair: Pair) -> None:
    """The control of the test above."""
    with broker.enter(pair.session) as agent:
        agent.subscribe(pair.filter)
    with broker.enter(pair.device) as device:
        device.say(pair.up(), b"lost")
    with broker.enter(pair.session) as agent:
        agent.subscribe(pair.filter)
        assert agent.hears_nothing(QUIET_S)


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(broker: Broker, pair: Pair) -> None:
    with broker.enter(pair.session, keeps_session=True, acknowledges=False) as agent:
        agent.subscribe(pair.filter)
        with broker.enter(pair.device) as device:
            device.say(pair.up(), b"safe")
            device.say(pair.up(), b"not yet")
        assert agent.hear_and_acknowledge() == b"safe"
        assert agent.hear()[1] == b"not yet"
    with broker.enter(pair.session, keeps_session=True, acknowledges=False) as agent:
        assert agent.hear_and_acknowledge() == b"not yet"
    with broker.enter(pair.session, keeps_session=True) as agent:
        assert agent.hears_nothing(QUIET_S)


def test_retained_state_is_there_for_who_comes_later_and_a_record_is_not(broker: Broker, pair: Pair) -> None:
    with broker.enter(pair.device) as device:
        device.say(pair.up(Up.BIRTH), b"birth", is_retained=True)
        device.say(pair.up(Up.RECORD), b"record")
    with broker.enter(pair.session) as agent:
        agent.subscribe(pair.filter)
        assert agent.hear() == (pair.up(Up.BIRTH), b"birth")
        assert agent.hears_nothing(QUIET_S)


def test_the_will_is_said_when_the_line_breaks_and_not_after_a_farewell(broker: Broker, pair: Pair) -> None:
    will = (pair.up(Up.STATE), b"offline")
    with broker.enter(pair.session) as agent:
        agent.subscribe(pair.filter)
        broker.enter(pair.device, will=will).close()
        assert agent.hears_nothing(QUIET_S)
        broker.enter(pair.device, will=will).break_off()
        assert agent.hear() == will


def test_a_device_can_neither_speak_nor_hear_as_another(broker: Broker, pair: Pair) -> None:
    other = next(_unused)
    with broker.enter(pair.session) as agent:
        agent.subscribe(pair.filter)
        with broker.enter(other.device) as stranger:
            stranger.subscribe(pair.receipts)
            stranger.subscribe("rz/1/#")
            stranger.send(pair.up(), b"forged")
            with broker.enter(pair.device) as device:
                device.subscribe(pair.receipts)
                device.say(pair.up(), b"its own")
                agent.say(pair.receipts, b"for it alone")
                assert device.hear() == (pair.receipts, b"for it alone")
            assert stranger.hears_nothing(QUIET_S)
        assert agent.hear()[1] == b"its own"
        assert agent.hears_nothing(QUIET_S)


def test_a_session_of_the_sync_agent_hears_its_own_shard_only(broker: Broker, pair: Pair) -> None:
    other = next(_unused)
    with broker.enter(other.session) as agent:
        agent.subscribe(pair.filter)
        agent.subscribe(other.filter)
        for who in (pair, other):
            with broker.enter(who.device) as device:
                device.say(who.up(), who.device.encode())
        assert agent.hear() == (other.up(), other.device.encode())
        assert agent.hears_nothing(QUIET_S)


def test_who_calls_itself_by_anothers_client_id_hears_nothing_of_it(broker: Broker, pair: Pair) -> None:
    """Mosquitto binds the client id to the certificate. NATS does not: a thief may end the other's connection, no more."""
    thief_of = next(_unused)
    with broker.enter(thief_of.device, keeps_session=True) as victim:
        victim.subscribe(thief_of.receipts)
    with broker.enter(thief_of.session) as agent:
        with broker.enter(pair.device, client_id=thief_of.device, keeps_session=True) as thief:
            agent.say(thief_of.receipts, b"a receipt")
            assert thief.hears_nothing(QUIET_S)
        with broker.enter(thief_of.device, keeps_session=True) as victim:
            assert victim.hear() == (thief_of.receipts, b"a receipt")


def test_nobody_is_let_in_without_a_certificate_of_ours(broker: Broker, pair: Pair, state_dir: Path) -> None:
    foreign = Authority(state_dir / "foreign")
    for own in (None, foreign.issue(pair.device), broker.authority.issue("unknown")):
        with Speaker(broker.at, broker.authority.ca, own, client_id=pair.device, version=broker.version) as stranger:
            if own is None or own.certificate.parent == state_dir / "foreign":
                assert not stranger.was_let_in
            elif stranger.was_let_in:  # Mosquitto knows no list of devices, but the stranger has no topic of anybody's
                stranger.send(pair.up(), b"forged")
    broker.enter(pair.device).close()


def test_what_speaks_no_mqtt_5_refuses_it_and_takes_3_1_1_from_the_same_device(
    cluster: NatsCluster, authority: Authority
) -> None:
    in_5 = Broker(cluster.nodes[0], MQTTProtocolVersion.MQTTv5, authority, {})
    in_311 = replace(in_5, version=MQTTProtocolVersion.MQTTv311)
    in_311.enter(DEVICES[0]).close()
    with pytest.raises(AssertionError, match="not let in"):
        in_5.enter(DEVICES[0])


@dataclass
class Hall:
    """A whole chain over one kind of broker: centre, and what the kiosk connects to."""

    office: service.Office
    who: Identity
    settings: UplinkSettings
    cluster: NatsCluster | None

    def records(self) -> list[int]:
        """The sequences the ledger holds."""
        with self.office.database.read() as session:
            return list(session.scalars(select(RecordRow.seq).order_by(RecordRow.seq)))


@contextmanager
def hall(state_dir: Path, kind: str) -> Iterator[Hall]:
    """Open a centre with one enrolled device. Before a cluster stands what finds a living node, as a name of three addresses."""
    if kind.startswith("mosquitto"):
        with opened(state_dir) as centre:
            yield Hall(
                centre.office, identity.load(centre.identity_dir), HASTY.model_copy(update={"mqtt": kind.split("-")[1]}), None
            )
        return
    if not nats.PROGRAM.exists():
        pytest.skip("needs Debian's nats-server")
    with enrolled(state_dir) as office:
        files = office.authority.files
        cluster = NatsCluster(
            state_dir / "nats", ca=files.ca, certificate=files.broker_certificate, key=files.broker_key, devices=[DEVICE]
        )
        front = socket.create_server((HOST, office.settings.broker.port))
        addresses = [(node.host, node.port) for node in cluster.nodes]
        with cluster, Proxy(addresses, front), Proxy(addresses[1:] + addresses[:1]) as other:
            yield Hall(office, replace(identity.load(state_dir / "identity"), broker_port=other.port), HASTY, cluster)


@pytest.mark.parametrize("kind", ["mosquitto-3.1.1", "mosquitto-5", "nats-3.1.1"])
async def test_a_record_goes_out_and_its_answer_comes_back(kind: str, state_dir: Path) -> None:
    with hall(state_dir, kind) as here, service.ingest(here.office):
        async with kiosk(state_dir, here.who, here.settings) as ours:
            seqs = [ours.write() for _ in range(5)]
            for seq in seqs:
                await ours.until_answered(seq, SETTLED_S)
    assert here.records() == seqs


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("whose", ["the kiosk's", "the sync agent's", "the third"])
async def test_a_cluster_that_loses_any_one_node_loses_no_record_and_serves_again_in_time(whose: str, state_dir: Path) -> None:
    with hall(state_dir, "nats-3.1.1") as here, service.ingest(here.office):
        cluster = here.cluster
        assert cluster is not None
        async with kiosk(state_dir, here.who, here.settings) as ours:
            await ours.until_answered(ours.write(), SETTLED_S)
            victim = {"the sync agent's": cluster.nodes[0], "the kiosk's": cluster.nodes[1], "the third": cluster.nodes[2]}[whose]
            assert (victim is cluster.node_of(DEVICE)) is (whose == "the kiosk's"), "the control: who is where"
            under_way = [ours.write() for _ in range(20)]
            victim.kill()
            killed = time.monotonic()
            after = ours.write()
            await ours.until_answered(after, BACK_S)
            assert time.monotonic() - killed < BACK_S
            for seq in under_way:
                await ours.until_answered(seq, BACK_S)
            victim.start()
            await ours.until_answered(ours.write(), BACK_S)
    assert here.records() == list(range(1, after + 2))


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_cluster_without_its_majority_takes_nothing_and_loses_nothing(state_dir: Path) -> None:
    """The control of the tests above: what stops the service is noticed by them."""
    with hall(state_dir, "nats-3.1.1") as here, service.ingest(here.office):
        cluster = here.cluster
        assert cluster is not None
        async with kiosk(state_dir, here.who, here.settings) as ours:
            await ours.until_answered(ours.write(), SETTLED_S)
            for node in cluster.nodes[:2]:
                node.kill()
            seqs = [ours.write() for _ in range(5)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    while ours.outbox.progress(seqs[0]).state is State.WAITING:
                        await ours.line.news()
            assert here.records() == [1]
            for node in cluster.nodes[:2]:
                node.start()
            for seq in seqs:
                await ours.until_answered(seq, SETTLED_S)
    assert here.records() == list(range(1, 7))
