"""A line: one connection to the broker of the durable session that hears one shard. The one door to paho here.

It has no thread: whoever holds it calls `read`, `write` and `tend` when the socket is ready. Nothing here may be called from two
threads at once.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sync_agent.ingest.bulk import BulkSocket
from sync_agent.ingest.inbox import Letter

KEEPALIVE_S: Final = 30
"""The broker drops a silent agent after one and a half of it, the agent a silent broker after two."""

CONNECT_S: Final = 5.0
"""How long a broker may take to open a connection, seconds; meanwhile no other line is served."""

EXPIRY_S: Final = 7 * 86_400
"""MQTT 5: the broker keeps the queue of a shard that nobody hears for so long."""

WINDOW: Final = 500
"""MQTT 5: so many messages the broker sends before the first is acknowledged. With 3.1.1 its own setting decides."""

SAID: Final = 1000
"""Receipts that wait for the broker's acknowledgement; more are dropped, and the devices ask again."""

PATIENCE: Final = 64
"""Packets read in one go before another line has its turn."""

_PUBACK: Final = struct.Struct(">BBH")
"""MQTT 3.1.1, section 3.4; in version 5 the reason code may be left out, too (3.4.2.1)."""


class Protocol(StrEnum):
    """Versions of MQTT."""

    V311 = "3.1.1"
    V5 = "5"


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """Where the broker is and what proves the agent to it.

    Attributes:
        ca: PEM of the authorities that the broker's certificate may come from.
        key: PEM of the private key of every session's certificate.
    """

    host: str
    port: int
    protocol: Protocol
    ca: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Session:
    """A durable session at the broker.

    Attributes:
        name: client id, and the common name in `certificate`.
        topics: the filter it subscribes to.
    """

    shard: int
    name: str
    certificate: Path
    topics: str


class Line:
    """One connection; a new one is made for the next.

    Attributes:
        session: whose connection.
        number: counts connections.
        up_since: when the broker began to send what the session hears (monotonic clock), None before.
        over: why it ended, None until it has.
        trouble: why it cannot be used, None where it can.
        has_queue: whether the broker still had the session from before.
    """

    def __init__(
        self,
        access: BrokerAccess,
        session: Session,
        number: int,
        take: Callable[[list[Letter]], None],
        now: Callable[[], datetime],
    ) -> None:
        """Connect: TCP and TLS are open when this returns, the broker's word comes with a `read`.

        Args:
            access: the broker.
            session: whose connection.
            number: counts connections.
            take: is given the messages that one `read` found.
            now: the clock, UTC.

        Raises:
            OSError: no connection, or no trust.
        """
        self.session = session
        self.number = number
        self.up_since: float | None = None
        self.over: str | None = None
        self.has_queue = False
        self.trouble: str | None = None
        self._access = access
        self._take = take
        self._now = now
        self._heard: list[Letter] = []
        self._read_at = now()
        self._client = self._make_client()
        self._connect()
        self.write()

    @property
    def socket(self) -> BulkSocket | None:
        """What to wait on; None when the line is over."""
        found = self._client.socket()
        return found if isinstance(found, BulkSocket) else None

    @property
    def wants_write(self) -> bool:
        """Whether something waits for a `write`, or for the socket to take it."""
        line = self.socket
        return line is not None and (line.has_unsent or self._client.want_write())

    def read(self) -> bool:
        """Read what has come; return whether more is there already, which the socket will not show."""
        self._read_at = self._now()
        has_more = True
        for _ in range(PATIENCE):
            self._client.loop_read()
            line = self.socket
            if line is None or not line.pending():
                has_more = False
                break
        if self._heard:
            heard, self._heard = self._heard, []
            self._take(heard)
        return has_more

    def write(self) -> None:
        """Send what waits, in one go. Nothing else here sends."""
        if self._client.want_write():
            self._client.loop_write()  # what was said from within a `read`
        line = self.socket
        if line is not None:
            try:
                line.flush()
            except OSError as err:
                self.over = self.over or str(err)

    def tend(self) -> None:
        """Keep it alive and notice when it is dead; call about once a second, never with something left unread."""
        self._client.loop_misc()

    def stay(self, topic: str) -> None:
        """Keep it alive while nothing is read: says something that nobody hears and nobody answers."""
        self._client.publish(topic, b"", qos=0)

    def acknowledge(self, letters: Iterable[Letter]) -> None:
        """Tell the broker that messages of this connection are safe."""
        line = self.socket
        if line is not None:
            # Past paho, which keeps no state of them and takes several times as long.
            line.send(b"".join(_PUBACK.pack(0x40, 2, letter.packet) for letter in letters if letter.qos))

    def say(self, topic: str, payload: bytes) -> None:
        """Publish, QoS 1."""
        self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        """Hang up. The broker keeps the session, and what is not acknowledged."""
        self._client.disconnect()
        self.over = self.over or "closed"
        # No cycle may keep the client alive: its socket goes with it.
        self._client.on_connect = self._client.on_disconnect = self._client.on_message = self._client.on_subscribe = None

    def _make_client(self) -> mqtt.Client:
        access, is_v5 = self._access, self._access.protocol is Protocol.V5
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.session.name,
            clean_session=None if is_v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        context = ssl.create_default_context(cafile=str(access.ca))
        context.load_cert_chain(self.session.certificate, access.key)
        context.sslsocket_class = BulkSocket
        client.tls_set_context(context)
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(SAID)
        client.max_queued_messages_set(SAID)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message, client.on_subscribe = self._on_message, self._on_subscribe
        client.on_socket_open = _without_delay
        return client

    def _connect(self) -> None:
        access = self._access
        if access.protocol is Protocol.V311:
            self._client.connect(access.host, access.port, KEEPALIVE_S)
            return
        wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # published without types
        wishes.SessionExpiryInterval = EXPIRY_S
        wishes.ReceiveMaximum = WINDOW
        self._client.connect(access.host, access.port, KEEPALIVE_S, clean_start=False, properties=wishes)

    def _on_connect(self, client: mqtt.Client, _data: object, flags: mqtt.ConnectFlags, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            self.trouble = f"the broker refused it: {reason}"
            return
        self.has_queue = flags.session_present
        # Always: a session whose maker died before it subscribed would stay deaf. 3.1.1 then repeats what is retained.
        if self._access.protocol is Protocol.V311:
            client.subscribe(self.session.topics, qos=1)
        else:
            client.subscribe(
                self.session.topics, options=SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            )

    def _on_subscribe(self, _c: mqtt.Client, _data: object, _mid: int, reasons: list[ReasonCode], _p: object) -> None:
        if any(reason.is_failure for reason in reasons):
            self.trouble = f"the broker does not let it hear {self.session.topics!r}"
        else:
            self.up_since = time.monotonic()

    def _on_disconnect(self, _c: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _p: object) -> None:
        self.over = self.trouble or str(reason)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # a broker that checks nothing; what comes on no topic of ours is quarantined
            topic = "not UTF-8"
        payload = bytes(message.payload)
        self._heard.append(Letter(self.number, message.mid, message.qos, topic, payload, self._read_at, self.session.shard))


def _without_delay(_client: mqtt.Client, _data: object, connection: mqtt.SocketLike) -> None:
    """Send at once: a receipt right behind an acknowledgement otherwise waits some 40 ms for the broker's (measured)."""
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
