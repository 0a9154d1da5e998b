"""What the centre holds of a chain: the highest sequence and the gaps below it, for the cumulative receipt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sync_agent.registry.tables import GapLine


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing records, both ends included, and since when they are known to be missing."""

    first: int
    last: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What is held of one epoch of a device: everything up to `upto` but for the gaps, which ascend and do not touch."""

    upto: int = 0
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def of(cls, upto: int, gaps: Sequence[GapLine]) -> Self:
        """Read it as it is kept."""
        return cls(upto, tuple(Gap(gap["first"], gap["last"], datetime.fromisoformat(gap["since"])) for gap in gaps))

    @property
    def lines(self) -> list[GapLine]:
        """The gaps as they are kept."""
        return [{"first": gap.first, "last": gap.last, "since": gap.since.isoformat()} for gap in self.gaps]

    def with_more(self, seqs: Iterable[int], now: datetime) -> Seen:
        """Return what is held after more has come, in whatever order; what is held already changes nothing."""
        upto, gaps = self.upto, list(self.gaps)
        for seq in sorted(seqs):
            if seq > upto:
                if seq > upto + 1:
                    gaps.append(Gap(upto + 1, seq - 1, now))
                upto = seq
            elif any(gap.first <= seq <= gap.last for gap in gaps):
                gaps = [part for gap in gaps for part in _without(gap, seq)]
        return Seen(upto, tuple(gaps))

    def missing_up_to(self, last: int) -> tuple[tuple[int, int], ...]:
        """Return every range that is missing of what a device says it has signed, its last sequence being `last`."""
        known = tuple((gap.first, gap.last) for gap in self.gaps)
        return (*known, (self.upto + 1, last)) if last > self.upto else known


def _without(gap: Gap, seq: int) -> tuple[Gap, ...]:
    if not gap.first <= seq <= gap.last:
        return (gap,)
    parts = (Gap(gap.first, seq - 1, gap.since), Gap(seq + 1, gap.last, gap.since))
    return tuple(part for part in parts if part.first <= part.last)
