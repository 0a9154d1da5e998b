"""The agent's ear at the broker: takes messages without acknowledging them and says receipts. The one door to paho here.

A message is acknowledged only after its transaction is committed; until then the broker keeps it and gives it again. The inbox is
bounded by the broker's window, so a database that is away stops the flow instead of filling memory.
"""

from __future__ import annotations

import queue
import random
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from sync_agent.contract import topics
from sync_agent.contract.topics import Tenant

log = structlog.get_logger(__name__)

KEEPALIVE_S: Final = 60
RETRY_MAX_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """Where the broker is and what proves the agent to it."""

    host: str
    port: int
    client_id: str
    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that is not acknowledged yet.

    Attributes:
        connection: counts connections; packet numbers mean something only within one.
        packet: the broker's packet number.
    """

    connection: int
    packet: int
    qos: int
    topic: str
    payload: bytes
    received_at: datetime


class Receiver:
    """One durable session at the broker. Runs in paho's thread and one of its own; `inbox` is read elsewhere."""

    def __init__(self, access: BrokerAccess, tenant: Tenant, now: Callable[[], datetime]) -> None:
        self._access = access
        self._tenant = tenant
        self._now = now
        self._connection = 0
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._client = self._make_client()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._connected = threading.Event()
        self.inbox: queue.SimpleQueue[Letter] = queue.SimpleQueue()

    def start(self) -> None:
        """Connect, and connect again after every loss, until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect. What is not acknowledged stays with the broker."""
        self._stopping.set()
        self._ended.set()
        self._client.disconnect()
        self._thread.join(timeout=5)

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the agent."""
        return self._connected.is_set()

    def acknowledge(self, letter: Letter) -> None:
        """Tell the broker that a message is safe. One of an earlier connection is left alone: it comes again."""
        if letter.connection == self._connection and letter.qos:
            self._client.ack(letter.packet, letter.qos)

    def say(self, topic: str, payload: bytes) -> None:
        """Publish to a device. Lost without harm: the device asks again by sending again."""
        self._client.publish(topic, payload, qos=1)

    def _run(self) -> None:
        jitter, failures = random.Random(), 0
        while not self._stopping.is_set():
            self._ended.clear()
            try:
                self._client.connect(self._access.host, self._access.port, KEEPALIVE_S)
            except OSError as err:
                log.warning("broker.unreachable", reason=str(err))
                failures += 1
            else:
                failures = 0
                self._client.loop_start()
                self._ended.wait()
                self._client.loop_stop()
            if failures:
                self._stopping.wait(jitter.uniform(0, min(RETRY_MAX_S, 2.0**failures)))

    def _make_client(self) -> mqtt.Client:
        access = self._access
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=access.client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.tls_set(str(access.ca), str(access.certificate), str(access.key), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_socket_open = _without_delay
        return client

    # Paho's thread.

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            log.error("broker.refused", reason=str(reason))
            return
        self._connection += 1
        client.subscribe(topics.every_up(self._tenant), qos=1)
        self._connected.set()
        log.info("broker.connected", connection=self._connection)

    def _on_disconnect(self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _p: object) -> None:
        self._connected.clear()
        self._ended.set()
        log.warning("broker.lost", reason=str(reason))

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.inbox.put(Letter(self._connection, message.mid, message.qos, message.topic, bytes(message.payload), self._now()))


def _without_delay(_client: mqtt.Client, _data: object, connection: mqtt.SocketLike) -> None:
    """Send at once: a receipt right behind an acknowledgement otherwise waits some 40 ms for the broker's (measured)."""
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
