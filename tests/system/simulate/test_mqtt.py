"""The small MQTT client: packets taken apart however they arrive, and a broker that lets in, hangs up and refuses."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_agent.contract import topics
from sync_agent.contract.topics import Down, Tenant
from system.services.broker import Mosquitto
from system.simulate.mqtt import Connection, Door, NotLetIn, packet, split
from tests.certificates import Authority, Issued
from tests.observer import OBSERVER


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_packets_are_the_same_however_the_bytes_arrive(bodies: list[bytes], step: int) -> None:
    sent = b"".join(packet(0x30, body) for body in bodies)
    taken, data = [], bytearray()
    for start in range(0, len(sent), step):
        data += sent[start : start + step]
        taken += split(data)
    assert taken == [(0x30, body) for body in bodies]
    assert not data


def test_a_length_is_as_the_standard_has_it() -> None:
    assert [packet(0x30, bytes(size))[1:-size] for size in (127, 128, 16_383, 16_384)] == [
        b"\x7f",
        b"\x80\x01",
        b"\xff\x7f",
        b"\x80\x80\x01",
    ]
    with pytest.raises(ValueError, match="not an MQTT packet"):
        split(bytearray(b"\x30\xff\xff\xff\xff\x01"))


def door(broker: Mosquitto, authority: Authority, own: Issued) -> Door:
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.load_cert_chain(own.certificate, own.key)
    return Door(broker.host, broker.port, context)


@pytest.mark.broker
async def test_what_is_published_is_acknowledged_and_heard(broker: Mosquitto, authority: Authority) -> None:
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    way = door(broker, authority, authority.issue(OBSERVER))
    topic = topics.down(Tenant("xz"), OBSERVER, Down.RECEIPT)
    connection = await Connection.open(way, OBSERVER, lambda topic, payload: heard.put_nowait((topic, payload)))
    await connection.subscribe(topic)
    large = bytes(200_000)
    async with asyncio.timeout(10):
        await asyncio.gather(connection.publish(topic, b"one"), connection.publish(topic, large))
        assert [await heard.get(), await heard.get()] == [(topic, b"one"), (topic, large)]
    connection.close()


@pytest.mark.broker
async def test_a_killed_broker_ends_the_connection_and_what_was_under_way(broker: Mosquitto, authority: Authority) -> None:
    way = door(broker, authority, authority.issue(OBSERVER))
    connection = await Connection.open(way, OBSERVER, lambda _topic, _payload: None)
    broker.kill()
    async with asyncio.timeout(10):
        await connection.ended.wait()
        with pytest.raises(OSError):  # refused, whatever the system calls it
            await Connection.open(way, OBSERVER, lambda _topic, _payload: None)
    with pytest.raises(NotLetIn):
        await connection.subscribe(topics.down(Tenant("xz"), OBSERVER, Down.RECEIPT))


@pytest.mark.broker
async def test_a_certificate_of_another_authority_is_not_let_in(broker: Mosquitto, authority: Authority, state_dir: Path) -> None:
    strange = Authority(state_dir / "other").issue("kiosk-2")
    with pytest.raises(OSError):  # TLS 1.3 tells it only after the handshake
        await Connection.open(door(broker, authority, strange), "kiosk-2", lambda _topic, _payload: None)
    own = authority.issue("kiosk-1")
    (await Connection.open(door(broker, authority, own), "kiosk-1", lambda _topic, _payload: None)).close()
