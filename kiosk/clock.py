"""The clock that is passed in: UTC for records, monotonic for waiting, and how old the clock's last setting is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
"""Touched by the time service each time it sets the clock from the network."""


class Clock(Protocol):
    """Time as the kiosk sees it."""

    def now(self) -> datetime:
        """Return the wall time, UTC."""

    def monotonic(self) -> float:
        """Return seconds that only ever go forward; for waiting."""

    def age_s(self) -> int | None:
        """Return the seconds since the clock was last set from the network; None when that is not known."""


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
