"""Who holds a shard hears it, inherits what waits for it, and lets go of it when another has taken it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_agent.contract import topics
from sync_agent.contract.topics import Down
from sync_agent.ingest import line, sessions
from sync_agent.ingest.inbox import Inbox
from sync_agent.ingest.line import Protocol
from tests.sync_agent.ingest.hub import TENANT, WITHIN_S, Hub, device_of, heard, until

pytestmark = pytest.mark.broker

either = pytest.mark.parametrize("protocol", list(Protocol))


@pytest.fixture
def hub(state_dir: Path) -> Iterator[Hub]:
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    made = Hub(state_dir)
    yield made
    made.close()


@either
def test_only_the_shards_held_are_heard(hub: Hub, protocol: Protocol) -> None:
    agent = hub.sessions(7, protocol=protocol)
    until(lambda: agent.connected == {7}, "connecting")
    hub.says(8, b"for another")
    hub.says(7, b"a record")
    (letter,) = heard(agent, 1)
    assert (letter.shard, letter.payload, letter.topic.split("/")[5]) == (7, b"a record", device_of(7))
    agent.hold(frozenset({7, 8}))
    until(lambda: agent.connected == {7, 8}, "connecting the second")
    hub.says(8, b"another record")
    assert heard(agent, 1)[0].shard == 8


@either
def test_what_was_not_acknowledged_is_given_again_and_what_was_is_not(hub: Hub, protocol: Protocol) -> None:
    first = hub.sessions(7, protocol=protocol)
    until(lambda: first.connected, "connecting")
    hub.says(7, b"one", b"two")
    one, _two = heard(first, 2)
    first.acknowledge([one])
    first.stop()
    assert [letter.payload for letter in heard(hub.sessions(7, protocol=protocol), 1)] == [b"two"]


@either
def test_whoever_takes_a_shard_inherits_what_came_while_nobody_held_it(hub: Hub, protocol: Protocol) -> None:
    first = hub.sessions(7, protocol=protocol)
    until(lambda: first.connected, "connecting")
    first.hold(frozenset())
    until(lambda: not first.connected, "letting go")
    hub.says(7, b"meanwhile")
    assert heard(hub.sessions(7, protocol=protocol), 1)[0].payload == b"meanwhile"
    assert len(first.inbox) == 0


@either
def test_a_device_is_told_by_its_shards_session_or_by_another_that_is_up(hub: Hub, protocol: Protocol) -> None:
    agent = hub.sessions(7, protocol=protocol)
    until(lambda: agent.connected, "connecting")
    device = device_of(8)
    topic = topics.down(TENANT, device, Down.RECEIPT)
    speaker = hub.speaker(device)
    speaker.subscribe(topic)
    agent.say(topic, b"a receipt", 8)
    assert speaker.hear() == (topic, b"a receipt")


def test_a_session_that_another_took_over_is_left_to_it_when_the_lease_is_gone_too(hub: Hub) -> None:
    is_held = True
    sleeper = hub.sessions(7, may_connect=lambda: is_held)
    until(lambda: sleeper.connected, "connecting")
    is_held = False
    heir = hub.sessions(7)
    until(lambda: heir.connected and not sleeper.connected, "the taking over")
    hub.says(7, b"a record", b"another")
    assert len(heard(heir, 2)) == 2
    assert not sleeper.connected
    assert len({letter.connection for letter in heir.inbox.gather(9, 0)}) <= 1
    is_held = True  # the control: one that believes it holds the shard would throw the other out
    until(lambda: sleeper.connected, "coming back")


@pytest.mark.parametrize("count", [1, 40])
def test_after_the_broker_lost_everything_the_sessions_are_made_anew(hub: Hub, count: int) -> None:
    agent = hub.sessions(*range(count))
    until(lambda: len(agent.connected) == count, "connecting")
    hub.broker.kill()
    hub.broker.start()
    until(lambda: not agent.connected or len(agent.connected) < count, "noticing")
    until(lambda: len(agent.connected) == count, "connecting again", 20.0)
    hub.says(0, b"a record")
    assert heard(agent, 1)[0].payload == b"a record"


def test_a_broker_that_cannot_be_reached_is_tried_again(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.broker.kill()
    agent = hub.sessions(7)
    until(lambda: "broker.unreachable" in capsys.readouterr().out, "saying so")
    hub.broker.start()
    until(lambda: agent.connected, "connecting")


def test_what_comes_in_one_burst_is_heard_to_the_last(hub: Hub) -> None:
    """TLS decrypts more at a time than one message, and the socket shows nothing of what is decrypted already."""
    first = hub.sessions(7)
    until(lambda: first.connected, "connecting")
    first.stop()
    hub.says(7, *(b"%d" % number for number in range(300)))
    assert [letter.payload for letter in heard(hub.sessions(7), 300)] == [b"%d" % number for number in range(300)]


def test_nothing_is_read_while_the_inbox_is_full_and_the_connection_lives_on(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(line, "KEEPALIVE_S", 1)
    monkeypatch.setattr(sessions, "KEEPALIVE_S", 1)
    monkeypatch.setattr(sessions, "Inbox", lambda when_roomy: Inbox(when_roomy, letters=10))
    agent = hub.sessions(7)
    until(lambda: agent.connected, "connecting")
    hub.says(7, b"first")
    before = {letter.connection for letter in heard(agent, 1)}
    hub.says(7, *(bytes(5000) for _ in range(200)))
    until(lambda: agent.inbox.is_full, "filling")
    with mute(hub) as silent:
        assert silent.recv(1) == b""  # the broker has cut off who says nothing, by the same keepalive: the control
    assert agent.connected
    assert len(agent.inbox) < 200
    after = heard(agent, 200)
    assert {letter.connection for letter in after} == before
    agent.acknowledge(after)
    assert "broker.session-lost" not in capsys.readouterr().out


def mute(hub: Hub) -> ssl.SSLSocket:
    """Connect to the broker with a keepalive of one second, and say nothing."""
    context = ssl.create_default_context(cafile=str(hub.files.ca))
    context.load_cert_chain(hub.files.session_certificate(63), hub.files.agent_tls_key)
    found = context.wrap_socket(socket.create_connection((hub.broker.host, hub.broker.port)), server_hostname=hub.broker.host)
    found.settimeout(WITHIN_S)
    found.sendall(bytes([0x10, 14, 0, 4]) + b"MQTT" + bytes([4, 2, 0, 1, 0, 2]) + b"me")
    assert found.recv(4) == bytes([0x20, 2, 0, 0])
    return found
