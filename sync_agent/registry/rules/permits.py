"""Safety permits: which one is in effect, and when to warn of its end (S43)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.requests import SafetyPermitEntry
from sync_agent.registry.rules.decision import Change, Decision, accepted, accepted_not_effective
from sync_agent.registry.rules.requests import Lack, refusal

WARN_DAYS: Final = (90, 30, 0)
"""So many days before its last day the end of a permit is announced."""


@dataclass(frozen=True, slots=True)
class Permit:
    """A safety permit; first and last day are both days on which it holds."""

    number: str
    valid_from: date
    valid_until: date


@dataclass(frozen=True, slots=True)
class AddPermit(Change):
    """The permit is kept."""


def add(known: Iterable[Permit], entry: SafetyPermitEntry, documents: Iterable[Lack], on: date, now: datetime) -> Decision:
    """S43: take a permit; the newest valid one is in effect.

    Args:
        known: permits of the enterprise.
        entry: what stands on the new one.
        documents: what is lacking of its photo.
        on: the day it was signed on, in the registry's zone.
        now: from when the change holds.
    """
    known = list(known)
    lacks = [Lack(Code.WRONG_CONTENT, field) for field in ("number", "issuer") if not getattr(entry, field).strip()]
    if entry.valid_until < max(entry.valid_from, on):
        lacks.append(Lack(Code.WRONG_CONTENT, "valid_until"))
    if any(permit.number == entry.number for permit in known):
        lacks.append(Lack(Code.DUPLICATE, "number"))
    if refused := refusal([*lacks, *documents]):
        return refused
    new = Permit(entry.number, entry.valid_from, entry.valid_until)
    if in_effect([*known, new], on) == new:
        return accepted(now, AddPermit())
    return accepted_not_effective(AddPermit())


def in_effect(permits: Iterable[Permit], on: date) -> Permit | None:
    """Return the permit that is in effect on a day: of those valid then, the one that began last; None where none is."""
    valid = (permit for permit in permits if permit.valid_from <= on <= permit.valid_until)
    return max(valid, key=lambda permit: (permit.valid_from, permit.valid_until, permit.number), default=None)


def warning(valid_until: date, on: date, warned: int | None) -> int | None:
    """Return at how many days before its end a permit must be warned of now; None: not now.

    Each of `WARN_DAYS` is warned of once; who was away on two of them is told of the nearer one only.

    Args:
        valid_until: its last day.
        on: today, in the registry's zone.
        warned: the days before its end that were warned of last; None: of none yet.
    """
    left = (valid_until - on).days
    reached = min((days for days in WARN_DAYS if left <= days), default=None)
    return reached if reached is not None and (warned is None or reached < warned) else None
