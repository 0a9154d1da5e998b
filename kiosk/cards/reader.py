"""The seam between journeys and card readers: presence as a stream, a reading as a call, faults by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from kiosk.cards.document import Document
from sync_agent.contract.kinds import PartHealth


class CardFault(Exception):
    """A card could not be read. The text is for the log and holds nothing personal.

    Attributes:
        code: stable short code for staff.
        message: key of what the visitor reads.
        retry: whether presenting the card again may help.
    """

    code: ClassVar[str] = "CARD-00"
    message: ClassVar[str] = "card.unreadable"
    retry: ClassVar[bool] = True


class ReaderAbsent(CardFault):
    """No reader is attached, or the smart-card service does not answer."""

    code = "CARD-01"
    message = "card.reader-absent"
    retry = False


class CardLifted(CardFault):
    """The card left the reader before it was read."""

    code = "CARD-02"
    message = "card.lifted"


class UnknownCard(CardFault):
    """A card of another kind than the kiosk reads."""

    code = "CARD-03"
    message = "card.unknown"


class DamagedCard(CardFault):
    """What the card answered is cut short or contradicts itself."""

    code = "CARD-04"
    message = "card.damaged"


class ReaderStuck(CardFault):
    """The reader did not answer within the deadline."""

    code = "CARD-05"
    message = "card.reader-stuck"
    retry = False


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """How the reader is and whether a card lies on it."""

    health: PartHealth
    has_card: bool


class CardReader(Protocol):
    """One place where cards are put down."""

    @property
    def status(self) -> ReaderStatus:
        """How the reader is now."""

    async def start(self) -> None:
        """Begin to watch. An absent reader is a status, not an error."""

    def changes(self) -> AsyncIterator[ReaderStatus]:
        """Yield the status now, then every change of it, until the reader is stopped. Several may listen."""

    async def read(self) -> Document:
        """Read the card that lies there.

        Raises:
            CardFault: the kind says why.
        """

    async def stop(self) -> None:
        """Stop watching and let go of the reader."""
