"""The connection to the broker: mutual TLS, MQTT 3.1.1 or 5, full-jitter back-off. The one door to paho in the kiosk.

Each connection is made from nothing: certificate files are read again, and what the last one had not sent is forgotten, since
only the outbox knows what is unanswered.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from kiosk.clock import Clock
from kiosk.settings import UplinkSettings
from kiosk.uplink import tls
from kiosk.uplink.identity import Identity, Who
from kiosk.uplink.tls import Credentials, TellingSocket, Trouble, Unusable
from sync_agent.contract import topics
from sync_agent.contract.status import Link as LinkWord
from sync_agent.contract.status import State

__all__ = ["Link", "LinkState", "Trouble", "pause_s"]

log = structlog.get_logger(__name__)

SESSION_S: Final = 86_400
"""How long an MQTT 5 broker keeps our session while we are away; without a word it would keep none (reference, section 4)."""

QUEUE: Final = 200
"""Most QoS 1 messages that wait in paho; what does not fit is sent again from the outbox."""

STEADY_S: Final = 10.0
"""A connection that lasted this long ends a row of failures. A shorter one does not: in a storm the broker accepts and falls."""

HANG_UP_S: Final = 1.0
"""How long a farewell may take before the socket is simply shut."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """Whether the kiosk is connected to the broker, and why not."""

    is_up: bool
    trouble: Trouble


def pause_s(failures: int, longest_s: float, jitter: random.Random) -> float:
    """Return how long to wait before the next try: full jitter below a ceiling that doubles from 2 s.

    Args:
        failures: connections in a row that failed or did not last, from 1.
        longest_s: the ceiling's own ceiling.
        jitter: where the random waits come from.
    """
    return jitter.uniform(0, min(longest_s, 2.0 ** min(failures, 30)))


class Link:
    """One device's connection. Make and run it inside the event loop; callbacks arrive there.

    Attributes:
        boot: start counter of the kiosk as this connection says it: will, states and births of one connection agree.
        state: whether we are connected, and why not.
    """

    def __init__(
        self,
        identity: Who,
        boot: Callable[[], int],
        settings: UplinkSettings,
        clock: Clock,
        *,
        jitter: random.Random,
        on_state: Callable[[LinkState], None],
        on_receipt: Callable[[bytes], None],
        on_trust: Callable[[bytes], None],
    ) -> None:
        """Prepare the connection.

        Args:
            identity: keys, certificate, broker; each connection is made with what they are by then.
            boot: returns the start counter of the kiosk, which may start again while we run; asked before each connection,
                for the will carries it, so that a late will is known as such. 0 before the kiosk's first start.
            settings: MQTT version, keepalive, deadlines.
            clock: how long a connection lasted, and whether our certificate has ended.
            jitter: where the random waits come from.
            on_state: told of every change, in the event loop.
            on_receipt: given every receipt's bytes, in the event loop.
            on_trust: given every trust list's bytes, in the event loop.
        """
        self._identity = identity
        self._next_boot = boot
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._on_state = on_state
        self._heard = {
            topics.down(identity.tenant, identity.device, topics.Down.RECEIPT): on_receipt,
            topics.down(identity.tenant, identity.device, topics.Down.TRUST): on_trust,
        }
        self._connection: _Connection | None = None
        self.boot = 1
        self.state = LinkState(False, Trouble.UNREACHABLE)

    async def run(self) -> None:
        """Connect, and connect again after every loss, until cancelled."""
        failures = 0
        while True:
            begun = self._clock.monotonic()
            trouble = await self._connect_and_stay()
            lasted = self._clock.monotonic() - begun if trouble is Trouble.LOST else 0.0
            self._set(LinkState(False, trouble))
            failures = 1 if lasted >= STEADY_S else failures + 1
            await asyncio.sleep(pause_s(failures, self._settings.retry_max_s, self._jitter))

    def publish(self, what: topics.Up, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message to the broker. An acknowledgement of it means nothing: only a receipt does.

        Without a connection, or when too much waits already, the message is dropped.
        """
        if self._connection is not None:
            topic = topics.up(self._identity.tenant, self._identity.device, what)
            kind = "application/vnd.renzheng.record" if what is topics.Up.RECORD else "application/json"
            self._connection.publish(topic, payload, kind, qos=qos, retain=retain)

    def say_state(self, word: LinkWord) -> None:
        """Publish the retained state."""
        self.publish(topics.Up.STATE, State(boot=self.boot, link=word).model_dump_json().encode(), retain=True)

    async def _connect_and_stay(self) -> Trouble:
        """Make one connection and return when it is over, saying why."""
        who, settings = await asyncio.to_thread(self._identity.to_connect), self._settings
        self.boot = max(1, await asyncio.to_thread(self._next_boot))
        try:
            credentials = await asyncio.to_thread(tls.read, who)
        except Unusable as err:
            log.error("link.certificate-unusable", reason=str(err))
            return Trouble.UNUSABLE
        connection = _Connection(who, settings, credentials, self._will(), self._heard)
        try:
            try:
                await asyncio.to_thread(connection.open)
            except ssl.SSLError as err:
                trouble = tls.of_handshake(err)
                log.error("link.handshake-failed", trouble=trouble.value, reason=getattr(err, "verify_message", err.reason))
                return trouble
            except OSError as err:
                log.info("link.unreachable", reason=str(err))
                return Trouble.UNREACHABLE
            return await self._stay(connection, credentials, who)
        finally:
            self._connection = None
            connection.close()

    async def _stay(self, connection: _Connection, credentials: Credentials, who: Identity) -> Trouble:
        try:
            async with asyncio.timeout(self._settings.connect_s):
                await connection.answered.wait()
        except TimeoutError:
            log.warning("link.no-answer", waited_s=self._settings.connect_s)
            return Trouble.UNREACHABLE
        if not connection.was_accepted:
            trouble = tls.of_refusal(connection.refusal, credentials.valid_until, self._clock.now())
            log.error("link.refused", trouble=trouble.value, alert=connection.refusal, reason=connection.reason)
            return trouble
        self._connection = connection
        self._identity.connected(who)
        self._set(LinkState(True, Trouble.NONE))
        await connection.ended.wait()
        log.warning("link.lost", reason=connection.reason)
        return Trouble.LOST

    def _will(self) -> bytes:
        return State(boot=self.boot, link=LinkWord.OFFLINE).model_dump_json().encode()

    def _set(self, state: LinkState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)


class _Connection:
    """One TCP connection with the MQTT session on it, from the first packet to the last.

    Attributes:
        answered: the broker accepted us, refused us or hung up.
        ended: it is over.
        was_accepted: which of them `answered` means.
        reason: what paho or the broker said last.
    """

    def __init__(
        self,
        who: Identity,
        settings: UplinkSettings,
        credentials: Credentials,
        will: bytes,
        heard: dict[str, Callable[[bytes], None]],
    ) -> None:
        self._who = who
        self._keepalive_s = settings.keepalive_s
        self._heard = heard
        self._is_v5 = settings.mqtt == "5"
        self._loop = asyncio.get_running_loop()
        self._socket: TellingSocket | None = None
        self._is_closed = threading.Event()
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()
        self.was_accepted = False
        self.reason = ""
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=who.device,
            clean_session=None if self._is_v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = settings.connect_s
        client.max_queued_messages_set(QUEUE)
        client.tls_set_context(credentials.context)
        client.will_set(topics.up(who.tenant, who.device, topics.Up.STATE), will, qos=1, retain=True)
        client.on_socket_open = self._opened
        client.on_connect = self._connected
        client.on_subscribe = _subscribed
        client.on_publish = _published
        client.on_message = self._message
        client.on_disconnect = self._disconnected
        self._client = client

    @property
    def refusal(self) -> str:
        """OpenSSL's name of the alert that the broker sent, "" for none."""
        return self._socket.refusal if self._socket else ""

    def open(self) -> None:
        """Connect and begin to work in a thread of paho's; blocks for at most the deadline of the settings.

        Raises:
            OSError: there is no way to the broker; as `ssl.SSLError`, the handshake failed.
        """
        who, session = self._who, None
        if self._is_v5:
            session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho left it so
            session.SessionExpiryInterval = SESSION_S
        keep = False if self._is_v5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY  # on 3.1.1 the client itself says so
        self._client.connect(who.broker_host, who.broker_port, self._keepalive_s, clean_start=keep, properties=session)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, kind: str, *, qos: int, retain: bool) -> None:
        """Hand over a message; `kind` is its media type, which MQTT 3.1.1 has no place for."""
        properties = None
        if self._is_v5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho left it so
            properties.ContentType = kind
        done = self._client.publish(topic, payload, qos, retain, properties)
        if done.rc is MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            log.warning("link.queue-full", most=QUEUE)

    def close(self) -> None:
        """Say farewell and wait for the end; a line that takes no farewell is cut."""
        self._client.disconnect()
        if self._socket is not None and not self._is_closed.wait(HANG_UP_S):
            with suppress(OSError):  # the plain socket's: the TLS one's would take from paho's thread what it reads with
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        client = self._client
        client.loop_stop()
        # No cycle may keep the client: it closes its wake-up sockets when it goes, and the collector might take them first.
        client.on_socket_open = client.on_connect = client.on_message = client.on_disconnect = None

    # Paho's thread.

    def _opened(self, _client: mqtt.Client, _data: object, connection: mqtt.SocketLike) -> None:
        if isinstance(connection, TellingSocket):
            self._socket = connection
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _connected(self, client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, reason: ReasonCode, _p: object) -> None:
        self.reason = str(reason)
        if not reason.is_failure:
            self.was_accepted = True
            client.subscribe([(topic, 1) for topic in self._heard])
        self._tell(self.answered.set)

    def _disconnected(self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _p: object) -> None:
        self.reason = self.reason if self.answered.is_set() and not self.was_accepted else str(reason)
        self._is_closed.set()
        self._tell(self.answered.set)
        self._tell(self.ended.set)

    def _message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        taker = self._heard.get(message.topic)
        if taker is not None:
            payload = bytes(message.payload)
            self._tell(lambda: taker(payload))

    def _tell(self, what: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)


def _subscribed(_client: mqtt.Client, _data: object, _mid: int, reasons: list[ReasonCode], _p: object) -> None:
    if any(reason.is_failure for reason in reasons):
        log.error("link.may-not-hear", reason=str(reasons[0]))


def _published(_client: mqtt.Client, _data: object, _mid: int, reason: ReasonCode, _p: object) -> None:
    if reason.is_failure:  # MQTT 5 only; 3.1.1 acknowledges what it drops
        log.error("link.may-not-speak", reason=str(reason))
