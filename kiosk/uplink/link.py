"""The connection to the broker: mutual TLS, MQTT 3.1.1, full-jitter back-off. The one door to paho in the kiosk."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from kiosk.uplink.identity import Identity
from sync_agent.contract import topics
from sync_agent.contract.status import Link as LinkWord
from sync_agent.contract.status import State

log = structlog.get_logger(__name__)

KEEPALIVE_S: Final = 60


class Trouble(StrEnum):
    """Why there is no connection. Stable codes for staff."""

    NONE = ""
    UNREACHABLE = "LINK-01"
    BROKER_NOT_TRUSTED = "LINK-02"
    REFUSED = "LINK-03"
    LOST = "LINK-04"


@dataclass(frozen=True, slots=True)
class LinkState:
    """Whether the kiosk is connected to the broker, and why not."""

    is_up: bool
    trouble: Trouble


class Link:
    """One device's connection. Make and run it inside the event loop; callbacks arrive there."""

    def __init__(
        self,
        identity: Identity,
        boot: int,
        *,
        retry_max_s: float,
        jitter: random.Random,
        on_state: Callable[[LinkState], None],
        on_receipt: Callable[[bytes], None],
    ) -> None:
        """Prepare the connection.

        Args:
            identity: keys, certificate, broker.
            boot: start counter of the kiosk; the will carries it, so that a late will is known as such.
            retry_max_s: longest wait between two tries, seconds.
            jitter: where the random waits come from.
            on_state: told of every change, in the event loop.
            on_receipt: given every receipt's bytes, in the event loop.
        """
        self._identity = identity
        self._boot = boot
        self._retry_max_s = retry_max_s
        self._jitter = jitter
        self._on_state = on_state
        self._on_receipt = on_receipt
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._receipts = topics.down(identity.tenant, identity.device, topics.Down.RECEIPT)
        self._client = self._make_client()
        self.state = LinkState(False, Trouble.UNREACHABLE)

    async def run(self) -> None:
        """Connect, and connect again after every loss, until cancelled."""
        failures = 0
        try:
            while True:
                self._ended.clear()
                trouble = await self._connect()
                if trouble is Trouble.NONE:
                    self._client.loop_start()
                    await self._ended.wait()
                    await asyncio.to_thread(self._client.loop_stop)
                    failures = 0 if self.state.trouble is Trouble.LOST else failures
                else:
                    self._set(LinkState(False, trouble))
                failures += 1
                await asyncio.sleep(self._jitter.uniform(0, min(self._retry_max_s, 2.0**failures)))
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def publish(self, what: topics.Up, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message to the broker. An acknowledgement of it means nothing: only a receipt does."""
        self._client.publish(topics.up(self._identity.tenant, self._identity.device, what), payload, qos, retain)

    def say_state(self, word: LinkWord) -> None:
        """Publish the retained state."""
        self.publish(topics.Up.STATE, State(boot=self._boot, link=word).model_dump_json().encode(), retain=True)

    async def _connect(self) -> Trouble:
        who = self._identity
        try:
            await asyncio.to_thread(self._client.connect, who.broker_host, who.broker_port, KEEPALIVE_S)
        except ssl.SSLCertVerificationError as err:
            log.error("link.broker-not-trusted", reason=err.verify_message)
            return Trouble.BROKER_NOT_TRUSTED
        except ssl.SSLError as err:
            log.error("link.refused", reason=err.reason)
            return Trouble.REFUSED
        except OSError as err:
            log.info("link.unreachable", reason=str(err))
            return Trouble.UNREACHABLE
        return Trouble.NONE

    def _make_client(self) -> mqtt.Client:
        who = self._identity
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=who.device,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.tls_set(str(who.ca), str(who.certificate), str(who.tls_key), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        will = State(boot=self._boot, link=LinkWord.OFFLINE).model_dump_json().encode()
        client.will_set(topics.up(who.tenant, who.device, topics.Up.STATE), will, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._message
        return client

    # The three below run in paho's thread.

    def _connected(self, client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, reason: ReasonCode, _p: object) -> None:
        if reason.is_failure:
            log.error("link.refused", reason=str(reason))
            return
        client.subscribe(self._receipts, qos=1)
        self._tell(lambda: self._set(LinkState(True, Trouble.NONE)))

    def _disconnected(self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _p: object) -> None:
        def ended() -> None:
            # Closed before it was ever accepted: TLS 1.3 tells a refused certificate only after the handshake.
            trouble = Trouble.LOST if self.state.is_up else Trouble.REFUSED
            log.warning("link.ended", trouble=trouble.value, reason=str(reason))
            self._set(LinkState(False, trouble))
            self._ended.set()

        self._tell(ended)

    def _message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._receipts:
            self._tell(lambda: self._on_receipt(bytes(message.payload)))

    def _tell(self, what: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _set(self, state: LinkState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)
