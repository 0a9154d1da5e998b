"""Verify tickets: the minute in which one person may prove who they are, for one purpose, at one device (S08, S10, S14)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sync_agent.contract.kinds import Purpose
from sync_agent.registry.tables import TicketState

HOLDS: Final = timedelta(seconds=60)
"""From when it is shown; the 60th second is too late."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a ticket is for.

    Attributes:
        person: the registry's reference; None: whoever comes.
    """

    device: str
    purpose: Purpose
    uscc: str | None
    person: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """A ticket that the registry has."""

    state: TicketState
    bound: Bound
    issued_at: datetime


def present(held: Held | None, bound: Bound, issued_at: datetime, at: datetime, *, is_match: bool) -> TicketState | None:
    """Return what becomes of a ticket that a verification names, or None: it is not this one's, or was used before.

    Only USED and FAILED let the verification count for what it says; all else is answered alike, with `RECORD_NOT_FOUND`.

    Args:
        held: what the registry has under that id; None: the device made it, and its signature vouches for it.
        bound: what the verification is for; its person is the one of the card.
        issued_at: when it was shown, by the device's signed time.
        at: when the verification ended, by the device's signed time; when it arrives does not matter.
        is_match: whether person and card were shown to belong together.
    """
    if held is not None:
        mine = held.bound
        is_same = (mine.device, mine.purpose, mine.uscc) == (bound.device, bound.purpose, bound.uscc)
        if held.state is not TicketState.ISSUED or not is_same or mine.person not in (None, bound.person):
            return None
        issued_at = held.issued_at
    if not timedelta(0) <= at - issued_at < HOLDS:
        return TicketState.EXPIRED
    return TicketState.USED if is_match else TicketState.FAILED
