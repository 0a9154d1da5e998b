"""The uplink process: empties the outbox, brings receipts home, says how the kiosk is. The only part with a network."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import structlog

from kiosk.clock import Clock
from kiosk.settings import UplinkSettings
from kiosk.uplink.faults import OutboxFault
from kiosk.uplink.identity import Who
from kiosk.uplink.line import Message, Parts, UplinkEnd
from kiosk.uplink.link import Link, LinkState, Trouble
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.sending import Sender
from kiosk.uplink.settling import Asked
from kiosk.uplink.trust import Taken
from sync_agent.contract import receipts, topics
from sync_agent.contract.kinds import PartHealth, PartState
from sync_agent.contract.status import Birth, Telemetry
from sync_agent.contract.status import Link as LinkWord

log = structlog.get_logger(__name__)


TELEMETRY_GAP_S: Final = 1.0
"""Shortest time between two telemetry messages: a backlog that drains changes many times a second."""

ASKED_AGAIN: Final = 10
"""How many times the longest pause a birth without its receipt waits before it is said again."""

FORGED: Final = "RCPT-01"
"""Code of a receipt that the sync agent did not sign: somebody else speaks in its place."""

FORGED_LIST: Final = "TRUST-01"
"""Code of a trust list that nobody whom this device believes has signed."""


def not_taken(message: bytes) -> Taken:
    """Leave a trust list alone: who has an identity of one moment believes what that believes."""
    log.info("trust.not-taken", size=len(message))
    return Taken.KNOWN


class Courier:
    """Carries records out and receipts in. Everything runs in one event loop."""

    def __init__(
        self,
        identity: Who,
        outbox: Outbox,
        line: UplinkEnd,
        settings: UplinkSettings,
        clock: Clock,
        jitter: random.Random,
        *,
        take_trust: Callable[[bytes], Taken] = not_taken,
    ) -> None:
        self._take_list = take_trust
        self._identity = identity
        self._outbox = outbox
        self._line = line
        self._settings = settings
        self._clock = clock
        self._wake = asyncio.Event()
        self._birth_is_due = asyncio.Event()
        self._telemetry_is_due = asyncio.Event()
        self._asked: Asked | None = None
        self._epoch = ""
        self._told: LinkState | None = None
        self._parts: dict[str, PartHealth] = {}
        self._own: dict[str, PartHealth] = {}
        self._link = Link(
            identity,
            self._boot,
            settings,
            clock,
            jitter=jitter,
            on_state=self._link_changed,
            on_receipt=self._take_receipt,
            on_trust=self._take_trust,
        )
        self._sender = Sender(
            outbox, identity, lambda message: self._link.publish(topics.Up.RECORD, message), settings, clock, jitter
        )

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._say_births())
            tasks.create_task(self._send())
            tasks.create_task(self._say_telemetry())

    def heard(self, message: Message) -> None:
        """Take a message of the kiosk."""
        if isinstance(message, Parts) and message.parts != self._parts:
            self._parts = message.parts
            self._telemetry_is_due.set()
        self._wake.set()

    async def _send(self) -> None:
        """Publish what is due whenever something is."""
        while True:
            self._wake.clear()
            self._tell_link()
            due = self._send_due() if self._link.state.is_up else None
            wait = max(0.0, due - self._clock.monotonic()) if due is not None else self._settings.resend_s
            await happens(self._wake, within_s=min(wait, self._settings.resend_s))

    def _send_due(self) -> float | None:
        try:
            due = self._sender.send_due()
        except OutboxFault as err:
            log.error("outbox.not-read", code=err.code, reason=str(err))
            return None
        self._tell_link()
        return due

    def _link_changed(self, state: LinkState) -> None:
        if state.is_up:
            self._sender.connected()
            self._birth_is_due.set()
            self._telemetry_is_due.set()
            self._wake.set()
        else:
            self._sender.disconnected()
        self._tell_link()

    def _tell_link(self) -> None:
        """Tell the kiosk how the link is; one that comes up, but brings not one receipt for long, is a trouble, too."""
        state = self._link.state
        if state.trouble in (Trouble.NONE, Trouble.LOST) and self._sender.is_unanswered:
            state = LinkState(state.is_up, Trouble.UNANSWERED)
        if state != self._told:
            if self._told is None or state.trouble is not self._told.trouble:
                self._report("uplink", state.trouble.value if state.trouble is Trouble.UNANSWERED else "")
            self._told = state
            self._line.link_changed(state)

    def _report(self, part: str, code: str) -> None:
        """Put a fault of our own into the telemetry, or take it out."""
        if code:
            log.error("uplink.fault", part=part, code=code)
            self._own[part] = PartHealth(state=PartState.FAILED, code=code, since=self._clock.now())
        elif self._own.pop(part, None) is None:
            return
        self._telemetry_is_due.set()

    def _take_receipt(self, message: bytes) -> None:
        for key in self._identity.agent_keys:
            try:
                receipt = receipts.read(message, key, self._identity.device)
            except receipts.Forged as err:
                reason = str(err)
                continue
            self._settle(receipt)
            return
        log.error("receipt.forged", reason=reason)
        self._report("receipts", FORGED)

    def _settle(self, receipt: receipts.Receipt) -> None:
        try:
            changed = self._outbox.settle(receipt, self._clock.now(), self._asked)
            epoch = self._outbox.epoch
        except OutboxFault as err:
            log.error("receipt.not-kept", code=err.code, reason=str(err))
            return
        log.info("receipt.taken", upto=receipt.upto, changed=len(changed))
        if self._asked is not None and receipt.reconciles == self._asked.nonce:
            self._asked = None
            self._sender.compared()
        if epoch != self._epoch:
            self._birth_is_due.set()  # the centre showed that this outbox had gone back: say where it begins anew
        self._sender.take(receipt, changed)
        if changed:
            self._line.settled(len(changed))
            self._telemetry_is_due.set()
        self._tell_link()
        self._wake.set()

    def _take_trust(self, message: bytes) -> None:
        taken = self._take_list(message)
        if taken is Taken.NEW:
            self._birth_is_due.set()  # so that the centre knows
        self._report("trust", FORGED_LIST if taken is Taken.FORGED else "")

    async def _say_births(self) -> None:
        """Say on every connection, once a day, and after every change of epoch where the chain ends; the centre compares."""
        while True:
            self._birth_is_due.clear()
            if self._link.state.is_up:
                self._own.pop("receipts", None)
                self._say_birth()
            again_s = ASKED_AGAIN * self._settings.retry_max_s if self._asked else self._settings.reconcile_s
            await happens(self._birth_is_due, within_s=min(again_s, self._settings.reconcile_s))

    def _say_birth(self) -> None:
        try:
            tail = self._outbox.tail()
        except OutboxFault as err:
            log.error("outbox.not-read", code=err.code, reason=str(err))
            return
        self._epoch = tail.epoch
        self._asked = Asked(secrets.token_hex(8), tail.last_seq, self._clock.now())
        birth = Birth(
            boot=self._link.boot,
            version=version("renzheng"),
            site=self._identity.site,
            epoch=tail.epoch,
            last_seq=tail.last_seq,
            last_digest=tail.last_digest,
            nonce=self._asked.nonce,
            trust=self._identity.trust,
        )
        self._link.publish(topics.Up.BIRTH, birth.model_dump_json().encode(), retain=True)
        self._link.say_state(LinkWord.ONLINE)

    def _boot(self) -> int:
        """Return the number of the kiosk's latest start, as far as the outbox can be read."""
        try:
            return self._outbox.boot
        except OutboxFault as err:
            log.error("outbox.not-read", code=err.code, reason=str(err))
            return self._link.boot

    async def _say_telemetry(self) -> None:
        while True:
            await happens(self._telemetry_is_due, within_s=self._settings.telemetry_s)
            self._telemetry_is_due.clear()
            self._telemetry()
            await asyncio.sleep(min(TELEMETRY_GAP_S, self._settings.telemetry_s))

    def _telemetry(self) -> None:
        if not self._link.state.is_up:
            return
        now = self._clock.now()
        try:
            depth = self._outbox.depth(now)
        except OutboxFault as err:
            log.error("outbox.not-read", code=err.code, reason=str(err))
            return
        parts = self._parts | self._own
        telemetry = Telemetry(at=now, queue=depth.count, oldest_age_s=depth.oldest_age_s, parts=parts)
        self._link.publish(topics.Up.TELEMETRY, telemetry.model_dump_json().encode(), qos=0)


async def happens(event: asyncio.Event, *, within_s: float) -> None:
    """Wait for an event, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
