"""What a card and a comparison prove, whoever they are of: the device's own figures must bear out what it says."""

from __future__ import annotations

from datetime import date
from typing import Final

from sync_agent.contract.kinds import (
    CardFacts,
    CardHolder,
    Comparison,
    Finding,
    Leg,
    Liveness,
    Method,
    Outcome,
    Provenance,
    Verification,
)
from sync_agent.registry.rules.decision import OpenCase
from sync_agent.registry.tables import CaseKind

_DOUBTFUL: Final = frozenset({Finding.NUMBER_CHECK, Finding.BIRTH_DIFFERS, Finding.SEX_DIFFERS})
"""Findings that a genuine card cannot have."""

_DECEIVING: Final = ("stranger", "flat", "lifeless", "face-jumped")
"""Why a liveness test failed where it looks like somebody else, a picture or a film, and not like somebody who cannot turn."""

_NOT_SHOWN_ALIVE: Final = frozenset({Liveness.FAILED, Liveness.ATTENDANT})
"""With these no device may speak of a match: the one failed, and the other is for a person to say."""


def has_expired(holder: CardHolder, on: date) -> bool:
    """Say whether the last day of a card is before `on`."""
    return holder.valid_until is not None and holder.valid_until < on


def is_doubtful(card: CardFacts, holder: CardHolder, on: date) -> bool:
    """Say whether the card must be looked at: it contradicts itself, begins later, or nothing proves the reading."""
    return card.provenance is Provenance.ICAO_UNVERIFIED or not _DOUBTFUL.isdisjoint(card.findings) or holder.valid_from > on


def to_confirm(facts: Verification | Leg) -> OpenCase:
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


def is_match(facts: Verification | Leg) -> bool:
    """Say whether the device's own figures bear out that it found a match; a claim without them opens nothing."""
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


def _is_alike(comparison: Comparison) -> bool:
    """Say whether the figures are those of one person; by some scorings they are negative."""
    return comparison.distance is not None and comparison.distance <= comparison.accept_at
