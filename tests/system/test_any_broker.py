"""One contract for every broker, Mosquitto with MQTT 3.1.1 and 5 and a NATS cluster of three: what it promises is all we need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from sync_agent.contract import topics
from sync_agent.contract.topics import DeviceId, Down, Tenant, Up
from sync_agent.fleet.authority import session_name
from system.services import nats
from system.services.broker import Mosquitto
from system.services.nats import NatsCluster
from system.services.process import HOST
from tests.certificates import Authority, Issued
from tests.mqtt import Address, Speaker

pytestmark = [pytest.mark.broker, pytest.mark.slow]

TENANT = Tenant("xz")
DEVICES = [DeviceId(f"kiosk-{number}") for number in range(200)]
QUIET_S = 1.0
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
