"""The pen that writes records: numbered, chained, signed, sealed, and safe in the outbox before it returns."""

from __future__ import annotations

from datetime import datetime

import structlog
import uuid_utils

from kiosk.clock import Clock
from kiosk.uplink.identity import Identity
from kiosk.uplink.outbox import Filed, Outbox
from sync_agent.contract import envelope
from sync_agent.contract.kinds import Facts, Part

log = structlog.get_logger(__name__)


class Pen:
    """Writes the records of one start of the kiosk."""

    def __init__(self, outbox: Outbox, identity: Identity, clock: Clock) -> None:
        self._outbox = outbox
        self._identity = identity
        self._clock = clock
        self._boot = outbox.begin_boot()

    def write(self, facts: Facts, personal: Part | None) -> Filed:
        """Keep one record for good.

        Args:
            facts: the clear part.
            personal: the personal part; sealed to the registry here, the kiosk cannot read it back.

        Raises:
            OutboxFull: no room; nothing was written.
            OutboxBusy: locked for too long; nothing was written.
        """
        now, record_id = self._clock.now(), str(uuid_utils.uuid7())
        seq = self._outbox.add(record_id, facts.kind, now, lambda place: self._sign(facts, personal, record_id, now, place))
        log.info("record.written", kind=facts.kind, seq=seq)
        return Filed(seq, f"{self._identity.device}-{self._outbox.epoch[:4]}-{seq}")

    def _sign(self, facts: Facts, personal: Part | None, record_id: str, now: datetime, place: envelope.Place) -> envelope.Signed:
        who = self._identity
        return envelope.write(
            facts,
            personal,
            record_id=record_id,
            source=(who.tenant, who.device),
            time=now,
            place=place,
            boot=self._boot,
            clock_age_s=self._clock.age_s(),
            signing_key=who.signing_key,
            registry_key=who.registry_key,
        )
