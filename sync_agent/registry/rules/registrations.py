"""Changes of the business registration that an upstream system reports, and what they undo when staff accepts them (S62)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sync_agent.registry.rules.decision import Change
from sync_agent.registry.rules.firm import Firm
from sync_agent.registry.rules.regions import region
from sync_agent.registry.tables import Region


class Item(StrEnum):
    """What can change."""

    NAME = "name"
    LEGAL_REPRESENTATIVE = "legal-representative"
    DIVISION = "division"
    OTHER = "other"
    """Something that the registry keeps in the profile, or not at all: shown, and nothing follows."""


@dataclass(frozen=True, slots=True)
class Rename(Change):
    """The enterprise has another name."""

    name: str


@dataclass(frozen=True, slots=True)
class Move(Change):
    """The enterprise is registered elsewhere; with another region it goes through the other flow (domain.md section 6)."""

    division: str
    region: Region


@dataclass(frozen=True, slots=True)
class ReplaceLegalRep(Change):
    """Somebody else is legal representative; nobody has been captured."""

    number: str
    name: str

    def __repr__(self) -> str:
        """Name nobody."""
        return "ReplaceLegalRep(...)"


@dataclass(frozen=True, slots=True)
class SuspendAgent(Change):
    """Who was authorised by somebody else must be authorised again."""


def accept(firm: Firm, item: Item, new: str, number: str = "", *, is_overridden: bool = False) -> tuple[Change, ...]:
    """S62: return what follows of a change that staff accepts.

    Args:
        firm: whose registration changed.
        item: what changed.
        new: the new value; of a legal representative, the name.
        number: the new legal representative's identity number; empty: unknown, then whoever's card is read is it.
        is_overridden: staff set the region by hand, and it stays (S17).
    """
    match item:
        case Item.NAME:
            return (Rename(new),)
        case Item.LEGAL_REPRESENTATIVE:
            return (SuspendAgent(), ReplaceLegalRep(number, new))
        case Item.DIVISION:
            return (Move(new, firm.region if is_overridden else region(new, firm.uscc)),)
        case Item.OTHER:
            return ()
