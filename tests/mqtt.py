"""A plain MQTT client for tests: says whether the broker let it in, and hands out what it hears."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.certificates import Issued

WITHIN_S = 10.0
"""Deadline of every wait; nothing here takes a tenth of it."""


class Address(Protocol):
    """Where a broker is."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...


class Speaker:
    """One connection, QoS 1, as the product uses it.

    Attributes:
        was_let_in: whether the broker accepted the connection.
    """

    def __init__(
        self,
        broker: Address,
        ca: Path,
        own: Issued | None,
        *,
        client_id: str,
        keeps_session: bool = False,
        version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
        acknowledges: bool = True,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        """Connect, and return when the broker has answered or hung up.

        Args:
            broker: where.
            ca: whom to trust.
            own: our certificate.
            client_id: what we call ourselves.
            keeps_session: whether the broker keeps our session while we are away, for a day.
            version: of MQTT.
            acknowledges: whether what is heard is acknowledged.
            will: topic and retained payload that the broker is to say when the line breaks.
        """
        self.was_let_in = False
        self._answered = threading.Event()
        self._ended = threading.Event()
        self._heard: queue.Queue[MQTTMessage] = queue.Queue()
        is_v5 = version is MQTTProtocolVersion.MQTTv5
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if is_v5 else not keeps_session,
            protocol=version,
            reconnect_on_failure=False,
            manual_ack=not acknowledges,
        )
        if will is not None:
            self._client.will_set(*will, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda _client, _data, message: self._on_message(message)
        context = ssl.create_default_context(cafile=str(ca))
        if own is not None:
            context.load_cert_chain(own.certificate, own.key)
        self._client.tls_set_context(context)
        try:
            if is_v5:
                session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left it so
                session.SessionExpiryInterval = 86_400 if keeps_session else 0
                self._client.connect(broker.host, broker.port, clean_start=not keeps_session, properties=session)
            else:
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

    def say(self, topic: str, payload: bytes, *, is_retained: bool = False, within_s: float = WITHIN_S) -> None:
        """Publish; return when the broker has acknowledged, it and all that was sent before."""
        info: MQTTMessageInfo = self._client.publish(topic, payload, qos=1, retain=is_retained)
        info.wait_for_publish(within_s)
        assert info.is_published(), "no acknowledgement"

    def send(self, topic: str, payload: bytes) -> None:
        """Publish without waiting for an answer."""
        self._client.publish(topic, payload, qos=1)

    def hear(self) -> tuple[str, bytes]:
        """Return topic and payload of the next message."""
        message = self._heard.get(timeout=WITHIN_S)
        return message.topic, bytes(message.payload)

    def hear_and_acknowledge(self) -> bytes:
        """Return the payload of the next message, and tell the broker that it is safe. NATS gives it again only after a while."""
        message = self._heard.get(timeout=2 * WITHIN_S)
        self._client.ack(message.mid, message.qos)
        return bytes(message.payload)

    def hears_nothing(self, within_s: float) -> bool:
        """Return whether so long no message comes."""
        try:
            self._heard.get(timeout=within_s)
        except queue.Empty:
            return True
        return False

    def break_off(self) -> None:
        """End the line without a farewell."""
        line = self._client.socket()
        assert isinstance(line, socket.socket)
        socket.socket.shutdown(line, socket.SHUT_RDWR)
        assert self._ended.wait(WITHIN_S), "still connected"
        self.close()

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
        self._heard.put(message)
