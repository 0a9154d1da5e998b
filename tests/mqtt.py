"""A plain MQTT client for tests: says whether the broker let it in, and hands out what it hears."""

from __future__ import annotations

import queue
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from system.services.broker import Mosquitto
from tests.certificates import Issued

WITHIN_S = 10.0
"""Deadline of every wait; nothing here takes a tenth of it."""


class Speaker:
    """One connection, MQTT 3.1.1, QoS 1, as the product uses it.

    Attributes:
        was_let_in: whether the broker accepted the connection.
    """

    def __init__(self, broker: Mosquitto, ca: Path, own: Issued | None, *, client_id: str, keeps_session: bool = False) -> None:
        """Connect, and return when the broker has answered or hung up."""
        self.was_let_in = False
        self._answered = threading.Event()
        self._ended = threading.Event()
        self._heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=not keeps_session,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda _client, _data, message: self._on_message(message)
        context = ssl.create_default_context(cafile=str(ca))
        if own is not None:
            context.load_cert_chain(own.certificate, own.key)
        self._client.tls_set_context(context)
        try:
            self._client.connect(broker.host, broker.port)
        except (ssl.SSLError, ConnectionError):
            return
        self._client.loop_start()
        assert self._answered.wait(WITHIN_S), "the broker neither answered nor hung up"

    def subscribe(self, topic: str) -> None:
        """Ask for a topic; return when the broker has answered."""
        done = threading.Event()
        self._client.on_subscribe = lambda *_: done.set()
        self._client.subscribe(topic, qos=1)
        assert done.wait(WITHIN_S), "no answer to the subscription"

    def say(self, topic: str, payload: bytes) -> None:
        """Publish; return when the broker has acknowledged."""
        info: MQTTMessageInfo = self._client.publish(topic, payload, qos=1)
        info.wait_for_publish(WITHIN_S)
        assert info.is_published(), "no acknowledgement"

    def send(self, topic: str, payload: bytes) -> None:
        """Publish without waiting for an answer."""
        self._client.publish(topic, payload, qos=1)

    def hear(self) -> tuple[str, bytes]:
        """Return topic and payload of the next message."""
        return self._heard.get(timeout=WITHIN_S)

    def wait_until_cut_off(self) -> None:
        """Return when the broker has ended the connection."""
        assert self._ended.wait(WITHIN_S), "still connected"

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
        # No cycle may keep the client: it closes its last sockets when it goes, and the collector might take them first.
        self._client.on_connect = self._client.on_disconnect = self._client.on_message = self._client.on_subscribe = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _on_connect(self, _c: Client, _d: object, _f: ConnectFlags, reason: ReasonCode, _p: Properties | None) -> None:
        self.was_let_in = not reason.is_failure
        self._answered.set()

    def _on_disconnect(self, _c: Client, _d: object, _f: DisconnectFlags, _r: ReasonCode, _p: Properties | None) -> None:
        self._ended.set()
        self._answered.set()

    def _on_message(self, message: MQTTMessage) -> None:
        self._heard.put((message.topic, bytes(message.payload)))
