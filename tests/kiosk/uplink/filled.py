"""An outbox with records in it for tests: a clock that is set by hand, records that show their place, and receipts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import uuid_utils

from kiosk.uplink.outbox import Outbox
from sync_agent.contract.envelope import Place, Signed
from sync_agent.contract.receipts import Receipt, Ruling, Standing

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class StillClock:
    """A clock that stands where it was set."""

    at: datetime = NOW
    seconds: float = 1000.0
    age: int | None = 7

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def age_s(self) -> int | None:
        return self.age


def sign(place: Place, _at: datetime = NOW) -> Signed:
    """Bytes that show their place; signatures themselves are tested with the envelope."""
    message = f"{place.epoch}/{place.seq}/{place.prev}".encode()
    return Signed(message, sha256(message).hexdigest())


def add(box: Outbox, at: datetime = NOW, *, age: int | None = None) -> int:
    """Write one record at that time; the clock was never set from the network, or so long ago."""
    return box.add(str(uuid_utils.uuid7()), "case", StillClock(at, age=age), sign).place.seq


def receipt(box: Outbox, upto: int, **rest: object) -> Receipt:
    """What the centre holds of the epoch in force."""
    return Receipt.model_validate({"device": "kiosk-01", "epoch": box.epoch, "upto": upto, "at": NOW, **rest})


def digest(box: Outbox, seq: int) -> str:
    """The digest of a record of the epoch in force, as `sign` made it."""
    (row,) = [message for message in box.messages() if message.startswith(f"{box.epoch}/{seq}/".encode())]
    return sha256(row).hexdigest()


def ruling(box: Outbox, seq: int, standing: Standing = Standing.ACCEPTED) -> Ruling:
    """What the rules say of a record."""
    return Ruling(seq=seq, digest=digest(box, seq), standing=standing)
