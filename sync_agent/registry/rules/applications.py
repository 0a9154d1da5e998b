"""What staff decides: the states that submissions, requests, make-up entries and claims go through (domain.md 4.7).

A draft is the kiosk's own; what reaches the registry is submitted. What was returned is sent again as a new one: history stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sync_agent.registry.rules.decision import Change
from sync_agent.registry.tables import ApplicationState


class Verdict(StrEnum):
    """What a reviewer does."""

    TAKE = "take"
    ACCEPT = "accept"
    RETURN = "return"
    REJECT = "reject"


class CannotDecide(Exception):
    """A decision that is not possible. Code REV-01: nothing was changed."""

    code = "REV-01"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A reviewer's decision.

    Attributes:
        actor: who decides.
        reason: why; wanted where something is returned or rejected, for the enterprise reads it.
    """

    actor: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetState(Change):
    """It is decided, or in hand."""

    state: ApplicationState
    reason: str


UNDER_WAY: Final = frozenset({ApplicationState.SUBMITTED, ApplicationState.IN_REVIEW})
"""States in which staff still has to decide."""

_TO: Final = {
    Verdict.TAKE: ApplicationState.IN_REVIEW,
    Verdict.ACCEPT: ApplicationState.ACCEPTED,
    Verdict.RETURN: ApplicationState.RETURNED,
    Verdict.REJECT: ApplicationState.REJECTED,
}
_REASON_MAX: Final = 500


def decide(state: ApplicationState, ruling: Ruling) -> ApplicationState:
    """Return the state after a decision.

    Raises:
        CannotDecide: it is decided already, or in hand already; or it is to be returned or rejected without a reason.
    """
    if state not in UNDER_WAY or (ruling.verdict is Verdict.TAKE and state is not ApplicationState.SUBMITTED):
        raise CannotDecide(f"it is {state}, so it cannot be decided as {ruling.verdict}. Look at it again.")
    if ruling.verdict in (Verdict.RETURN, Verdict.REJECT) and not ruling.reason.strip():
        raise CannotDecide(f"{ruling.verdict} needs a reason: the enterprise reads it.")
    if len(ruling.reason) > _REASON_MAX:
        raise CannotDecide(f"a reason has at most {_REASON_MAX} characters, this one {len(ruling.reason)}.")
    return _TO[ruling.verdict]
