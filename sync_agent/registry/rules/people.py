"""Cards and comparisons of workers: from the roster of a site into its personnel library (domain.md 4.5)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import (
    Capture,
    CardFacts,
    CardHolder,
    Comparison,
    Finding,
    Liveness,
    Method,
    Outcome,
    Provenance,
    Verification,
)
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
from sync_agent.registry.tables import CaseKind, LibraryStatus

WORKING_AGE: Final = 16
"""Years; nobody younger can be registered as a worker (P14)."""

_DOUBTFUL: Final = frozenset({Finding.NUMBER_CHECK, Finding.BIRTH_DIFFERS, Finding.SEX_DIFFERS})
"""Findings that a genuine card cannot have."""

_DECEIVING: Final = ("stranger", "flat", "lifeless", "face-jumped")
"""Why a liveness test failed where it looks like somebody else, a picture or a film, and not like somebody who cannot turn."""

_NOT_SHOWN_ALIVE: Final = frozenset({Liveness.FAILED, Liveness.ATTENDANT})
"""With these no device may speak of a match: the one failed, and the other is for a person to say."""


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
    if _is_doubtful(facts.card, holder, on):
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
    if _is_doubtful(facts.card, holder, on):
        return in_review(OpenCase(CaseKind.DOUBTFUL_CARD), KeepCard())
    if facts.outcome is Outcome.TO_CONFIRM:
        return in_review(_to_confirm(facts), KeepCard())
    if not _is_match(facts):
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
    if holder.valid_until is not None and holder.valid_until < on:
        return Code.CARD_EXPIRED
    if age(holder.birth, on) < WORKING_AGE:
        return Code.UNDER_AGE
    return None


def _is_doubtful(card: CardFacts, holder: CardHolder, on: date) -> bool:
    """Say whether the card must be looked at: it contradicts itself, begins later, or nothing proves the reading."""
    return card.provenance is Provenance.ICAO_UNVERIFIED or not _DOUBTFUL.isdisjoint(card.findings) or holder.valid_from > on


def _to_confirm(facts: Verification) -> OpenCase:
    """Say what a person is to confirm: both, card and person; or, where the faces are alike, that the person was there (P15).

    Who first seemed to deceive the liveness test and then says they cannot turn is to be looked at for the former.
    """
    if not facts.comparisons:
        return OpenCase(CaseKind.MANUAL_CHECK)
    *before, last = facts.comparisons
    deceived = [one.quality for one in before if one.outcome is Outcome.NOT_LIVE and one.quality in _DECEIVING]
    if deceived:
        return OpenCase(CaseKind.COMPARISON, cause=deceived[-1])
    if facts.consent.compare and last.liveness is Liveness.ATTENDANT and _is_alike(last):
        return OpenCase(CaseKind.MANUAL_CHECK, cause=Liveness.ATTENDANT)
    return OpenCase(CaseKind.COMPARISON, cause=facts.outcome)


def _is_alike(comparison: Comparison) -> bool:
    """Say whether the figures are those of one person; by some scorings they are negative."""
    return comparison.distance is not None and comparison.distance <= comparison.accept_at


def _is_match(facts: Verification) -> bool:
    """Say whether the device's own figures bear out that it found a match; a claim without them does not open a library."""
    if facts.outcome is not Outcome.MATCH:
        return False
    match facts.method:
        case Method.FACE:
            last = facts.comparisons[-1] if facts.comparisons else None
            return (
                facts.consent.compare
                and last is not None
                and last.outcome is Outcome.MATCH
                and last.liveness not in _NOT_SHOWN_ALIVE
                and _is_alike(last)
            )
        case Method.NATIONAL_IDENTITY | Method.MANUAL:
            # Neither can be decided by a device alone: the one is confirmed by its connector, the other by a second person.
            return False
