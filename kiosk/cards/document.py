"""What a card says, whatever the card: the one result type of every reader."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sync_agent.contract.kinds import CardFacts, CardHolder


@dataclass(frozen=True, slots=True)
class Portrait:
    """The likeness stored in the chip.

    Attributes:
        image: (height, width, 3) uint8, BGR; about 102 x 126 on resident cards.
        decoder: what made the image of the stored bytes, for the record.
    """

    image: NDArray[np.uint8]
    decoder: str


@dataclass(frozen=True, slots=True)
class Document:
    """One reading of one card. Held in memory for the visit only.

    Attributes:
        holder: what stands on the card; personal.
        facts: how it was read and what did not agree.
        portrait: None where no decoder for the stored format is at hand; matching is impossible then.
    """

    holder: CardHolder
    facts: CardFacts
    portrait: Portrait | None

    def __repr__(self) -> str:
        return f"Document({self.facts.kind}, {self.facts.provenance})"
