"""The broker lets in who the authority vouches for, and lets each speak and hear as itself only."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync_agent.contract import topics
from sync_agent.contract.topics import DeviceId, Down, Tenant, Up
from sync_agent.fleet.authority import session_name
from system.mosquitto import MAX_PACKET_BYTES
from system.services.broker import Mosquitto
from system.services.process import ServiceFailed
from tests.certificates import Authority
from tests.mqtt import Speaker
from tests.observer import OBSERVER

pytestmark = pytest.mark.broker

TENANT = Tenant("hall-1")
ONE, TWO = DeviceId("kiosk-1"), DeviceId("kiosk-2")
RECORD_OF_ONE = topics.up(TENANT, ONE, Up.RECORD)
RECORD_OF_TWO = topics.up(TENANT, TWO, Up.RECORD)


@pytest.fixture
def observer(broker: Mosquitto, authority: Authority) -> Iterator[Speaker]:
    """In the sync agent's place, listening to all devices of the tenant."""
    with Speaker(broker, authority.ca, authority.issue(OBSERVER), client_id=OBSERVER) as speaker:
        speaker.subscribe(topics.every_up(TENANT))
        yield speaker


def test_a_device_is_let_in_and_is_heard(broker: Mosquitto, authority: Authority, observer: Speaker) -> None:
    with Speaker(broker, authority.ca, authority.issue(ONE), client_id=ONE) as device:
        assert device.was_let_in
        device.say(RECORD_OF_ONE, b"a record")
        assert observer.hear() == (RECORD_OF_ONE, b"a record")


def test_a_device_hears_what_it_is_told(broker: Mosquitto, authority: Authority, observer: Speaker) -> None:
    with Speaker(broker, authority.ca, authority.issue(ONE), client_id=ONE) as device:
        device.subscribe(topics.down(TENANT, ONE, Down.RECEIPT))
        observer.say(topics.down(TENANT, ONE, Down.RECEIPT), b"a receipt")
        assert device.hear() == (topics.down(TENANT, ONE, Down.RECEIPT), b"a receipt")


def test_nobody_is_let_in_without_a_certificate(broker: Mosquitto, authority: Authority) -> None:
    with Speaker(broker, authority.ca, None, client_id=ONE) as stranger:
        assert not stranger.was_let_in


def test_nobody_is_let_in_with_a_certificate_of_another_authority(
    broker: Mosquitto, authority: Authority, state_dir: Path
) -> None:
    other = Authority(state_dir / "other")
    with Speaker(broker, authority.ca, other.issue(ONE), client_id=ONE) as stranger:
        assert not stranger.was_let_in


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho drops its socket when the handshake fails
def test_a_device_does_not_trust_a_broker_of_another_authority(broker: Mosquitto, authority: Authority, state_dir: Path) -> None:
    other = Authority(state_dir / "other")
    with Speaker(broker, other.ca, authority.issue(ONE), client_id=ONE) as device:
        assert not device.was_let_in


def test_a_revoked_device_is_refused_once_the_list_is_read_again(broker: Mosquitto, authority: Authority) -> None:
    revoked, other = authority.issue(ONE), authority.issue(TWO)
    with Speaker(broker, authority.ca, revoked, client_id=ONE) as device:
        assert device.was_let_in
    authority.revoke(revoked)
    broker.reload()
    broker_has_reloaded(broker, authority)
    with Speaker(broker, authority.ca, revoked, client_id=ONE) as device:
        assert not device.was_let_in
    with Speaker(broker, authority.ca, other, client_id=TWO) as device:
        assert device.was_let_in


def broker_has_reloaded(broker: Mosquitto, authority: Authority) -> None:
    """Return when the broker has served a connection, which it does after the signals that came before it."""
    with Speaker(broker, authority.ca, authority.issue("probe"), client_id="probe") as probe:
        assert probe.was_let_in


def test_a_device_cannot_take_the_place_of_another_by_its_client_id(broker: Mosquitto, authority: Authority) -> None:
    with Speaker(broker, authority.ca, authority.issue(TWO), client_id=TWO) as victim:
        victim.subscribe(topics.down(TENANT, TWO, Down.RECEIPT))
        with (
            Speaker(broker, authority.ca, authority.issue(ONE), client_id=TWO) as thief,
            Speaker(broker, authority.ca, authority.issue(OBSERVER), client_id=OBSERVER) as observer,
        ):
            assert thief.was_let_in  # under its own name, whatever it calls itself
            observer.say(topics.down(TENANT, TWO, Down.RECEIPT), b"a receipt")
            assert victim.hear()[1] == b"a receipt"
        with Speaker(broker, authority.ca, authority.issue(TWO), client_id="any") as again:
            assert again.was_let_in
            victim.wait_until_cut_off()  # its own certificate does take its place: the control


def test_what_a_device_says_on_another_devices_topic_is_dropped_though_acknowledged(
    broker: Mosquitto, authority: Authority, observer: Speaker
) -> None:
    own = authority.issue(ONE)
    with Speaker(broker, authority.ca, own, client_id=ONE) as device:
        device.say(RECORD_OF_TWO, b"forged")  # MQTT 3.1.1 has no word for no; newer Mosquittos then hang up
        device.wait_until_cut_off()
    with Speaker(broker, authority.ca, own, client_id=ONE) as device:
        device.say(RECORD_OF_ONE, b"its own")
        assert observer.hear() == (RECORD_OF_ONE, b"its own")


def test_a_device_cannot_listen_to_another(broker: Mosquitto, authority: Authority, observer: Speaker) -> None:
    with Speaker(broker, authority.ca, authority.issue(ONE), client_id=ONE) as device:
        device.subscribe("rz/1/#")
        observer.say(topics.down(TENANT, TWO, Down.RECEIPT), b"for another")
        observer.say(topics.down(TENANT, ONE, Down.RECEIPT), b"for it")
        assert device.hear()[1] == b"for it"


def test_the_session_of_a_shard_hears_that_shard_alone_and_may_answer_every_device(
    broker: Mosquitto, authority: Authority
) -> None:
    own, shards = session_name(topics.shard(ONE)), {topics.shard(ONE), topics.shard(TWO)}
    assert len(shards) == 2
    with (
        Speaker(broker, authority.ca, authority.issue(own), client_id=own) as session,
        Speaker(broker, authority.ca, authority.issue(ONE), client_id=ONE) as one,
        Speaker(broker, authority.ca, authority.issue(TWO), client_id=TWO) as two,
    ):
        session.subscribe(topics.every_up(TENANT))
        two.subscribe(topics.down(TENANT, TWO, Down.RECEIPT))
        two.say(RECORD_OF_TWO, b"of another shard")
        one.say(RECORD_OF_ONE, b"of its shard")
        assert session.hear() == (RECORD_OF_ONE, b"of its shard")
        session.say(topics.down(TENANT, TWO, Down.RECEIPT), b"a receipt")
        assert two.hear()[1] == b"a receipt"


def test_a_packet_above_the_limit_ends_the_connection_and_disturbs_nobody(
    broker: Mosquitto, authority: Authority, observer: Speaker
) -> None:
    with (
        Speaker(broker, authority.ca, authority.issue(ONE), client_id=ONE) as noisy,
        Speaker(broker, authority.ca, authority.issue(TWO), client_id=TWO) as quiet,
    ):
        noisy.say(RECORD_OF_ONE, bytes(MAX_PACKET_BYTES // 2))
        noisy.send(RECORD_OF_ONE, bytes(1_000_000))
        noisy.wait_until_cut_off()
        quiet.say(RECORD_OF_TWO, b"a record")
        assert [len(observer.hear()[1]), observer.hear()[1]] == [MAX_PACKET_BYTES // 2, b"a record"]


def test_what_waits_in_a_session_outlives_a_clean_restart(broker: Mosquitto, authority: Authority) -> None:
    name = session_name(topics.shard(ONE))
    own = authority.issue(name)
    with Speaker(broker, authority.ca, own, client_id=name, keeps_session=True) as agent:
        agent.subscribe(topics.of_shard(TENANT, topics.shard(ONE)))
    with Speaker(broker, authority.ca, authority.issue(ONE), client_id=ONE) as device:
        device.say(RECORD_OF_ONE, b"a record")
    broker.stop()
    broker.start()
    with Speaker(broker, authority.ca, own, client_id=name, keeps_session=True) as agent:
        assert agent.hear() == (RECORD_OF_ONE, b"a record")


def test_a_killed_broker_starts_again_on_the_same_port(broker: Mosquitto, authority: Authority) -> None:
    port = broker.port
    broker.kill()
    broker.start()
    assert broker.port == port
    with Speaker(broker, authority.ca, authority.issue(ONE), client_id=ONE) as device:
        assert device.was_let_in


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(
    ("newest", "is_spoken"),
    [(ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)],
)
def test_only_tls_1_2_and_newer_is_spoken(
    broker: Mosquitto, authority: Authority, newest: ssl.TLSVersion, is_spoken: bool
) -> None:
    own = authority.issue(ONE)
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(own.certificate, own.key)
    context.set_ciphers("ALL:@SECLEVEL=0")  # else our own side would refuse the old version
    context.minimum_version = context.maximum_version = newest
    with socket.create_connection((broker.host, broker.port), timeout=10) as line:
        if is_spoken:
            context.wrap_socket(line, server_hostname=broker.host).close()
        else:
            with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
                context.wrap_socket(line, server_hostname=broker.host)


def test_a_broker_whose_certificate_is_missing_does_not_start_and_says_why(state_dir: Path, authority: Authority) -> None:
    missing = state_dir / "missing.crt"
    broker = Mosquitto(state_dir / "m", ca=authority.ca, certificate=missing, key=missing, revoked=authority.revoked)
    with pytest.raises(ServiceFailed, match=r"ended with code 1 before it was ready(.|\n)*missing\.crt"):
        broker.start()
