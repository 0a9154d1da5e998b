"""No reader, and saying so: for kiosks that work without cards, and where a reader is not fitted yet."""

from __future__ import annotations

from collections.abc import AsyncIterator

from kiosk.cards.document import Document
from kiosk.cards.presence import Presence
from kiosk.cards.reader import ReaderAbsent, ReaderStatus
from kiosk.clock import Clock


class AbsentReader:
    """A card reader that is not there."""

    def __init__(self, clock: Clock) -> None:
        self._presence = Presence(clock)

    @property
    def status(self) -> ReaderStatus:
        """Absent since the start."""
        return self._presence.status

    async def start(self) -> None:
        """Do nothing: there is nothing to watch."""

    def changes(self) -> AsyncIterator[ReaderStatus]:
        """Yield the one status, then wait until the reader is stopped."""
        return self._presence.changes()

    async def read(self) -> Document:
        """Refuse.

        Raises:
            ReaderAbsent: always.
        """
        raise ReaderAbsent("The settings say that this kiosk has no card reader (reader.kind = absent)")

    async def stop(self) -> None:
        """End every `changes`."""
        self._presence.close()
