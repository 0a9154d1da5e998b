"""Cards and comparisons of workers: from the roster of a site into its personnel library (domain.md 4.5)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Capture, CardHolder, Outcome, Verification
from sync_agent.registry.rules.decision import (
    Decision,
    KeepCard,
    Member,
    OpenCase,
    SetStatus,
    accepted,
    accepted_not_effective,
    in_review,
    refused,
)
from sync_agent.registry.rules.proof import has_expired, is_doubtful, is_match, to_confirm
from sync_agent.registry.tables import CaseKind, LibraryStatus

WORKING_AGE: Final = 16
"""Years; nobody younger can be registered as a worker (P14)."""


def capture(member: Member | None, facts: Capture, holder: CardHolder, on: date) -> Decision:
    """S49: the card of somebody on the roster is read; synced and added people become captured.

    A capture names nobody in advance, so a card that is not on the roster is somebody unexpected (`PERSON_MISMATCH` is for
    records that name whom they expect).

    Args:
        member: the holder's place on the site's roster.
        facts: how the card was read.
        holder: what stands on it.
        on: the day it was signed on, in the registry's zone.
    """
    if code := _refusal(member, holder, on):
        return refused(code)
    if is_doubtful(facts.card, holder, on):
        return in_review(OpenCase(CaseKind.DOUBTFUL_CARD), KeepCard())
    if member is not None and member.status is LibraryStatus.IN_LIBRARY:
        return accepted_not_effective(KeepCard())
    return accepted_not_effective(KeepCard(), SetStatus(LibraryStatus.CAPTURED))


def verify(member: Member | None, facts: Verification, holder: CardHolder, on: date, now: datetime) -> Decision:
    """S11, S15, S48, S49, P03, P16: who is shown to be the card's owner enters the library; where that fails a person decides.

    Args:
        member: the holder's place on the site's roster.
        facts: how the card was read and what the comparison gave.
        holder: what stands on the card.
        on: the day it was signed on, in the registry's zone.
        now: from when the change holds.
    """
    if code := _refusal(member, holder, on):
        return refused(code)
    if is_doubtful(facts.card, holder, on):
        return in_review(OpenCase(CaseKind.DOUBTFUL_CARD), KeepCard())
    if facts.outcome is Outcome.TO_CONFIRM:
        return in_review(to_confirm(facts), KeepCard())
    if not is_match(facts):
        return in_review(OpenCase(CaseKind.COMPARISON, cause=facts.outcome), KeepCard())
    if member is not None and member.status is LibraryStatus.IN_LIBRARY:
        return accepted(member.effective_from or now, KeepCard())
    return accepted(now, KeepCard(), SetStatus(LibraryStatus.IN_LIBRARY, now))


def age(birth: date, on: date) -> int:
    """Return the age in whole years on a day."""
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))


def _refusal(member: Member | None, holder: CardHolder, on: date) -> Code | None:
    """Say what no person at a review could change: not on the roster, an expired card, too young."""
    if member is None or member.status is LibraryStatus.LEFT:
        return Code.PERSON_NOT_EXPECTED
    if has_expired(holder, on):
        return Code.CARD_EXPIRED
    if age(holder.birth, on) < WORKING_AGE:
        return Code.UNDER_AGE
    return None
