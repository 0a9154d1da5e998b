"""The uplink process: empties the outbox, brings receipts home, says how the kiosk is. The only part with a network."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from importlib.metadata import version

import structlog

from kiosk.clock import Clock
from kiosk.settings import UplinkSettings
from kiosk.uplink.identity import Identity
from kiosk.uplink.line import Message, Parts, UplinkEnd
from kiosk.uplink.link import Link, LinkState
from kiosk.uplink.outbox import Outbox, OutboxBusy, OutboxFull
from sync_agent.contract import receipts, topics
from sync_agent.contract.kinds import PartHealth
from sync_agent.contract.status import Birth, Telemetry
from sync_agent.contract.status import Link as LinkWord

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Try:
    """When a record was last sent and when it is sent again."""

    count: int
    due: float


class Courier:
    """Carries records out and receipts in. Everything runs in one event loop."""

    def __init__(
        self, identity: Identity, outbox: Outbox, line: UplinkEnd, settings: UplinkSettings, clock: Clock, jitter: random.Random
    ) -> None:
        self._identity = identity
        self._outbox = outbox
        self._line = line
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._wake = asyncio.Event()
        self._tries: dict[int, Try] = {}
        self._parts: dict[str, PartHealth] = {}
        self._link = Link(
            identity,
            outbox.boot,
            settings,
            clock,
            jitter=jitter,
            on_state=self._link_changed,
            on_receipt=self._take_receipt,
            on_trust=self._take_trust,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._send())
            tasks.create_task(self._say_telemetry())

    def heard(self, message: Message) -> None:
        """Take a message of the kiosk."""
        if isinstance(message, Parts) and message.parts != self._parts:
            self._parts = message.parts
            self._telemetry()
        self._wake.set()

    async def _send(self) -> None:
        """Publish what is unanswered, oldest first, and again when no answer comes: exponential, full jitter."""
        while True:
            self._wake.clear()
            due = self._send_due() if self._link.state.is_up else None
            wait = max(0.0, due - self._clock.monotonic()) if due is not None else self._settings.resend_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _send_due(self) -> float | None:
        """Send every record whose time has come; return when the next one is due."""
        now = self._clock.monotonic()
        unanswered = self._outbox.unanswered(self._settings.window)
        self._tries = {row.seq: self._tries[row.seq] for row in unanswered if row.seq in self._tries}
        for row in unanswered:
            last = self._tries.get(row.seq, Try(0, now))
            if last.due <= now:
                self._link.publish(topics.Up.RECORD, row.message)
                self._tries[row.seq] = Try(last.count + 1, now + self._pause(last.count))
                log.info("record.sent", seq=row.seq, tries=last.count + 1)
        return min((t.due for t in self._tries.values()), default=None)

    def _pause(self, tries: int) -> float:
        """Return how long to wait for an answer after so many earlier tries, seconds."""
        if tries == 0:
            return self._settings.resend_s
        ceiling = min(self._settings.retry_max_s, self._settings.resend_s * 2.0**tries)
        return self._jitter.uniform(min(1.0, ceiling), ceiling)

    def _link_changed(self, state: LinkState) -> None:
        self._line.link_changed(state)
        if state.is_up:
            self._tries.clear()
            self._say_birth()
            self._telemetry()
            self._wake.set()

    def _take_receipt(self, message: bytes) -> None:
        for key in self._identity.agent_keys:
            try:
                receipt = receipts.read(message, key, self._identity.device)
            except receipts.Forged as err:
                reason = str(err)
                continue
            try:
                changed = self._outbox.settle(receipt, self._clock.now())
            except (OutboxBusy, OutboxFull) as err:
                log.error("receipt.not-kept", code=err.code, reason=str(err))
                return
            log.info("receipt.taken", upto=receipt.upto, changed=len(changed))
            self._line.settled(changed)
            if changed:
                self._telemetry()
            self._wake.set()
            return
        log.error("receipt.forged", reason=reason)

    def _take_trust(self, message: bytes) -> None:
        log.warning("trust.not-taken", size=len(message))  # kept as enrolled, until kiosk/uplink/trust.py reads it

    def _say_birth(self) -> None:
        tail = self._outbox.tail()
        birth = Birth(
            boot=self._outbox.boot,
            version=version("renzheng"),
            site=self._identity.site,
            epoch=tail.epoch,
            last_seq=tail.last_seq,
            last_digest=tail.last_digest,
        )
        self._link.publish(topics.Up.BIRTH, birth.model_dump_json().encode(), retain=True)
        self._link.say_state(LinkWord.ONLINE)

    async def _say_telemetry(self) -> None:
        while True:
            await asyncio.sleep(self._settings.telemetry_s)
            self._telemetry()

    def _telemetry(self) -> None:
        if not self._link.state.is_up:
            return
        now = self._clock.now()
        depth = self._outbox.depth(now)
        telemetry = Telemetry(at=now, queue=depth.count, oldest_age_s=depth.oldest_age_s, parts=self._parts)
        self._link.publish(topics.Up.TELEMETRY, telemetry.model_dump_json().encode(), qos=0)
