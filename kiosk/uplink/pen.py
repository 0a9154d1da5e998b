"""The pen that writes records: numbered, chained, signed, sealed, and safe in the outbox before it returns; and their slips."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from uuid import UUID

import structlog
import uuid_utils

from kiosk.clock import Clock
from kiosk.uplink.identity import Who
from kiosk.uplink.outbox import Filed, Outbox
from sync_agent.contract import envelope, slip
from sync_agent.contract.kinds import Outcome
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.slip import Entry, Standing

log = structlog.get_logger(__name__)


class Pen:
    """Writes the records of one start of the kiosk."""

    def __init__(self, outbox: Outbox, identity: Who, clock: Clock) -> None:
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
            OutboxFault: it cannot be kept; nothing was written.
        """
        record_id = uuid_utils.uuid7()
        place, at = self._outbox.add(
            str(record_id), facts.kind, self._clock, lambda place, at: self._sign(facts, personal, str(record_id), at, place)
        )
        log.info("record.written", kind=facts.kind, seq=place.seq)
        number = f"{self._identity.device}-{place.epoch[:4]}-{place.seq}"
        return Filed(place.seq, number, UUID(bytes=record_id.bytes), facts.kind, at, place.epoch)

    def slip(self, filed: Filed, outcome: Outcome | None, standing: Standing, address: str) -> str | None:
        """Return the visitor's proof of a record as it stands in the QR code, or None where this device cannot give one.

        Args:
            filed: the record.
            outcome: how the comparison ended; None where there was none.
            standing: what is known of the record by now.
            address: of the page that checks slips; "" for none.
        """
        given, key = self._identity.attestation, self._identity.signing_key
        if not given:
            return None
        try:
            attestation = base64.b64decode(given)
        except binascii.Error:
            attestation = b""
        if not slip.covers(attestation, key, filed.at):  # nobody is given what would prove nothing
            log.warning("slip.not-made", kind=filed.kind, reason="the attestation is for another key or time")
            return None
        entry = Entry(filed.record, filed.at, filed.kind, outcome, standing)
        return slip.text(slip.write(entry, attestation, key), address)

    def _sign(self, facts: Facts, personal: Part | None, record_id: str, at: datetime, place: envelope.Place) -> envelope.Signed:
        who = self._identity
        return envelope.write(
            facts,
            personal,
            record_id=record_id,
            source=(who.tenant, who.device),
            time=at,
            place=place,
            boot=self._boot,
            clock_age_s=self._clock.age_s(),
            signing_key=who.signing_key,
            registry_key=who.registry_key,
        )
