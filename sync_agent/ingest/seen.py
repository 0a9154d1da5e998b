"""What the centre holds of a chain: the highest sequence and the gaps below it, for the cumulative receipt.

And what the next record must go on from: above the highest sequence every place is free, so that records which come there are
compared with it and with each other, and the ledger need not be asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, Self

from sync_agent.contract.envelope import GENESIS
from sync_agent.ingest.check import Entry
from sync_agent.registry.tables import GapLine

Chain = tuple[str, str]
"""Device and epoch."""

Key = tuple[str, str, int]
"""Device, epoch and sequence."""

SET_BACK: Final = timedelta(minutes=1)
"""A clock that the network sets may go back by so much without a doubt."""


class Mark(Protocol):
    """What of a record the next one is compared with."""

    @property
    def digest(self) -> str:
        """SHA-256 of its signed bytes."""

    @property
    def boot(self) -> int:
        """The start of the kiosk in which it was made."""

    @property
    def time(self) -> datetime | None:
        """When; None before the first record."""


@dataclass(frozen=True, slots=True)
class Tip:
    """A mark as it is kept; by itself, that of an epoch's beginning."""

    digest: str = GENESIS
    boot: int = 0
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Break:
    """A record does not go on from the one before it.

    Attributes:
        is_chain: its `prev` is not the digest of the one before.
        is_clock: it was made before the one before, in the same start of the kiosk.
    """

    key: Key
    is_chain: bool
    is_clock: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing records, both ends included, and since when they are known to be missing."""

    first: int
    last: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What is held of one epoch of a device: everything up to `upto` but for the gaps, which ascend and do not touch.

    Attributes:
        tip: of the record at `upto`.
    """

    upto: int = 0
    gaps: tuple[Gap, ...] = ()
    tip: Mark = Tip()

    @classmethod
    def of(cls, upto: int, gaps: Sequence[GapLine], digest: str, boot: int, time: datetime | None) -> Self:
        """Read it as it is kept."""
        read = tuple(Gap(gap["first"], gap["last"], datetime.fromisoformat(gap["since"])) for gap in gaps)
        return cls(upto, read, Tip(digest, boot, time))

    @property
    def lines(self) -> list[GapLine]:
        """The gaps as they are kept."""
        return [{"first": gap.first, "last": gap.last, "since": gap.since.isoformat()} for gap in self.gaps]

    def with_more(self, came: Mapping[int, Mark], now: datetime) -> Seen:
        """Return what is held after more has come, by sequence; what is held already changes nothing."""
        upto, gaps = self.upto, list(self.gaps)
        for seq in sorted(came):
            if seq > upto:
                if seq > upto + 1:
                    gaps.append(Gap(upto + 1, seq - 1, now))
                upto = seq
            elif any(gap.first <= seq <= gap.last for gap in gaps):
                gaps = [part for gap in gaps for part in _without(gap, seq)]
        return Seen(upto, tuple(gaps), came[upto] if upto > self.upto else self.tip)

    def missing_up_to(self, last: int) -> tuple[tuple[int, int], ...]:
        """Return every range that is missing of what a device says it has signed, its last sequence being `last`."""
        known = tuple((gap.first, gap.last) for gap in self.gaps)
        return (*known, (self.upto + 1, last)) if last > self.upto else known


def breaks(before: Mapping[Chain, Seen], above: Mapping[Key, Entry]) -> list[Break]:
    """Return where records do not go on from the one before them, if that one is held or among them.

    Args:
        before: what was held of their chains.
        above: the records, all of them above what was held.
    """
    marks: dict[Key, Mark] = {(*chain, seen.upto): seen.tip for chain, seen in before.items()}
    marks.update(above)
    found = []
    for key, entry in above.items():
        earlier = marks.get((key[0], key[1], key[2] - 1))
        if earlier is None:
            continue
        is_chain = entry.prev != earlier.digest
        is_clock = entry.boot == earlier.boot and earlier.time is not None and earlier.time - entry.time > SET_BACK
        if is_chain or is_clock:
            found.append(Break(key, is_chain, is_clock))
    return found


def _without(gap: Gap, seq: int) -> tuple[Gap, ...]:
    if not gap.first <= seq <= gap.last:
        return (gap,)
    parts = (Gap(gap.first, seq - 1, gap.since), Gap(seq + 1, gap.last, gap.since))
    return tuple(part for part in parts if part.first <= part.last)
