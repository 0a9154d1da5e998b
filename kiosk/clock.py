"""The clock that is passed in: UTC for records, monotonic for waiting, and how old the clock's last setting is."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import structlog

log = structlog.get_logger(__name__)

_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
"""Touched by the time service each time it sets the clock from the network."""

AHEAD_AT_MOST: Final = timedelta(days=1)
"""How far a record may be ahead of a clock that was set from the network and still be followed."""


class Clock(Protocol):
    """Time as the kiosk sees it."""

    def now(self) -> datetime:
        """Return the wall time, UTC."""

    def monotonic(self) -> float:
        """Return seconds that only ever go forward; for waiting."""

    def age_s(self) -> int | None:
        """Return the seconds since the clock was last set from the network; None when that is not known."""


def stamp(clock: Clock, newest: datetime | None) -> datetime:
    """Return the time for a record: what the clock says, but never before the newest record.

    A board without a battery starts in the past. The one exception: a clock that was set from the network is believed when the
    newest record is more than a day ahead of it: that record was written by a clock that was wrong, and all after it would be.

    Args:
        clock: the kiosk's.
        newest: time of the newest record; None where there is none.
    """
    now = clock.now()
    if newest is None or now >= newest:
        return now
    is_believed = clock.age_s() is not None and newest - now > AHEAD_AT_MOST
    log.warning("clock.behind-the-newest-record", behind_s=int((newest - now).total_seconds()), is_believed=is_believed)
    return now if is_believed else newest


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic time, seconds."""
        return time.monotonic()

    def age_s(self) -> int | None:
        """Return how long ago the time service set the clock, seconds; None when it never did."""
        try:
            return max(0, int(time.time() - _SYNCHRONISED.stat().st_mtime))
        except OSError:
            return None
