"""The credit menu: what an enterprise reports for its record, its bonus or the record of one of its people (S61)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.requests import CreditEntry
from sync_agent.registry.rules import applications
from sync_agent.registry.rules.applications import CannotDecide, Ruling, SetState
from sync_agent.registry.rules.decision import Change, Decision, accepted_not_effective
from sync_agent.registry.rules.requests import Lack, refusal
from sync_agent.registry.tables import ApplicationState

POINTS_MAX: Final = 100.0
"""A slip of the pen is not more than this, in either direction."""


@dataclass(frozen=True, slots=True)
class AddClaim(Change):
    """The claim waits for its decision."""


@dataclass(frozen=True, slots=True)
class AddCredit(Change):
    """The claim becomes an entry of the credit record."""

    is_bonus: bool
    points: float


def claim(entry: CreditEntry, is_of_firm: bool, documents: Iterable[Lack], on: date) -> Decision:
    """S61: take a claim, or say everything that it lacks.

    Args:
        entry: what is reported.
        is_of_firm: the person it names works for the enterprise.
        documents: what is lacking of the evidence.
        on: the day it was signed on, in the registry's zone.
    """
    lacks: list[Lack] = []
    if not entry.title.strip():
        lacks.append(Lack(Code.WRONG_CONTENT, "title"))
    if entry.on > on:
        lacks.append(Lack(Code.WRONG_CONTENT, "on"))
    is_personal = entry.about == "personal-record"
    if is_personal != bool(entry.number) or (is_personal and not is_of_firm):
        lacks.append(Lack(Code.WRONG_CONTENT, "number"))
    return refusal([*lacks, *documents]) or accepted_not_effective(AddClaim())


def decide(state: ApplicationState, entry: CreditEntry, ruling: Ruling, points: float) -> tuple[Change, ...]:
    """S61: return what a decision about a claim changes.

    Args:
        state: of the claim.
        entry: what was reported.
        ruling: what staff decides.
        points: what it is worth, where it is accepted.

    Raises:
        CannotDecide: it is decided already, a reason is lacking, or the points are out of bounds.
    """
    after = applications.decide(state, ruling)
    settled = SetState(after, ruling.reason)
    if after is not ApplicationState.ACCEPTED:
        return (settled,)
    if not -POINTS_MAX <= points <= POINTS_MAX:
        raise CannotDecide(f"points lie between -{POINTS_MAX:g} and {POINTS_MAX:g}.")
    return settled, AddCredit(entry.about == "bonus", points)
