"""The cluster lets in who is listed, each node of it can go and come back, and nothing of it stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_agent.contract import topics
from sync_agent.contract.topics import DeviceId, Tenant, Up
from system.services import nats
from system.services.nats import NatsCluster
from system.services.process import HOST, is_listening
from tests.certificates import Authority, Issued
from tests.mqtt import Speaker

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ONE, TWO = DeviceId("kiosk-1"), DeviceId("kiosk-2")
TRIES = 10


@pytest.fixture
def cluster(state_dir: Path, authority: Authority) -> Iterator[NatsCluster]:
    if not nats.PROGRAM.exists():
        pytest.skip("needs Debian's nats-server")
    own = authority.issue("broker", address=HOST)
    running = NatsCluster(state_dir / "nats", ca=authority.ca, certificate=own.certificate, key=own.key, devices=[ONE, TWO])
    with running:
        yield running
    assert not any(is_listening(node.port) for node in running.nodes)


def enter(cluster: NatsCluster, authority: Authority, own: Issued, name: str, node: int = 0) -> Speaker:
    """Connect; a cluster that is choosing its leaders lets nobody in for a moment."""
    for _ in range(TRIES):
        speaker = Speaker(cluster.nodes[node], authority.ca, own, client_id=name)
        if speaker.was_let_in:
            return speaker
        speaker.close()
    raise AssertionError(f"{name} is not let in")


def test_a_device_that_is_left_out_is_cut_off_and_stays_out_and_the_others_stay(
    cluster: NatsCluster, authority: Authority
) -> None:
    own = {name: authority.issue(name) for name in (ONE, TWO)}
    one, two = (enter(cluster, authority, own[name], name, node) for node, name in enumerate((ONE, TWO)))
    cluster.admit([TWO])
    one.wait_until_cut_off()
    one.close()
    with Speaker(cluster.nodes[0], authority.ca, own[ONE], client_id=ONE) as again:
        assert not again.was_let_in
    two.say(topics.up(Tenant("xz"), TWO, Up.RECORD), b"a record")
    two.close()
    cluster.admit([ONE, TWO])
    enter(cluster, authority, own[ONE], ONE).close()


def test_the_cluster_knows_where_a_client_is(cluster: NatsCluster, authority: Authority) -> None:
    assert cluster.node_of(ONE) is None
    with enter(cluster, authority, authority.issue(ONE), ONE, node=2):
        assert cluster.node_of(ONE) is cluster.nodes[2]


def test_a_node_that_was_killed_comes_back_on_its_port_and_knows_the_others(cluster: NatsCluster) -> None:
    victim, port = cluster.nodes[1], cluster.nodes[1].port
    victim.kill()
    assert not cluster.is_healthy()
    victim.start(cluster.is_healthy)
    assert victim.port == port
