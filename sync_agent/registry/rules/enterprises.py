"""Enterprises: the legal representative, the profile, and in which order it goes on.

Rows S05-S08, S11, S15, S16, S18, S21-S23 and section 4.1 of domain.md. Pure: from state and record to what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Capture, CardHolder, Outcome, Verification
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import ProfileUpdate
from sync_agent.registry.rules.decision import (
    Change,
    Decision,
    KeepCard,
    OpenCase,
    abnormal,
    accepted,
    accepted_not_effective,
    in_review,
    refused,
)
from sync_agent.registry.rules.firm import Firm, entry, gate
from sync_agent.registry.rules.proof import has_expired, is_doubtful, is_match, to_confirm
from sync_agent.registry.rules.submissions import is_required
from sync_agent.registry.tables import CaseKind, LegalRepStatus, Region

FAILS: Final = 3
"""After so many failed comparisons a person decides (S15, section 4.1)."""


_SETTLED: Final = frozenset({LegalRepStatus.IN_REVIEW, LegalRepStatus.VERIFIED})
"""No card that is read changes these."""


class Step(StrEnum):
    """What an enterprise goes through, in this order (S23)."""

    LEGAL_REPRESENTATIVE = "legal-representative"
    PROFILE = "profile"
    AGENT = "agent"
    PERSONNEL = "personnel"
    SUBMISSION = "submission"
    DONE = "done"


# --- changes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetLegalRep(Change):
    """The legal representative moves on (section 4.1).

    Attributes:
        fails: failed comparisons since the card was captured.
        is_holder: the holder of this card is the one from now on.
    """

    status: LegalRepStatus
    fails: int = 0
    is_holder: bool = False


@dataclass(frozen=True, slots=True)
class SaveProfile(Change):
    """A version of the profile is added, and in force."""

    version: int
    content: ProfileUpdate


# --- the legal representative ---------------------------------------------------------------------------------------


def capture(firm: Firm | None, facts: Capture, holder: CardHolder, on: date) -> Decision:
    """S05, S07: the legal representative's card is read; where the registry knows who that is, it must be theirs.

    Args:
        firm: the enterprise that the card was read for.
        facts: how the card was read.
        holder: what stands on it.
        on: the day it was signed on, in the registry's zone.
    """
    if (refusal := _refusal(firm, holder, on)) is not None or firm is None:
        return refusal or refused(Code.ENTERPRISE_UNKNOWN)
    if is_doubtful(facts.card, holder, on):
        doubtful = OpenCase(CaseKind.DOUBTFUL_CARD)
        if firm.legal_rep.status in _SETTLED:
            return in_review(doubtful)
        return in_review(doubtful, KeepCard(), SetLegalRep(LegalRepStatus.IN_REVIEW, firm.legal_rep.fails, is_holder=True))
    if firm.legal_rep.status in _SETTLED:
        return accepted_not_effective(KeepCard())
    # Reading the card again takes back no failed comparison.
    return accepted_not_effective(KeepCard(), SetLegalRep(LegalRepStatus.CAPTURED, firm.legal_rep.fails, is_holder=True))


def verify(firm: Firm | None, ticket: Code | None, facts: Verification, holder: CardHolder, on: date, now: datetime) -> Decision:
    """S08, S11, S15, section 4.1: CAPTURED becomes VERIFIED, or after three failures a person decides.

    Args:
        firm: the enterprise that it was made for.
        ticket: what the ticket is refused with; None: it holds.
        facts: how the card was read and what the comparison gave.
        holder: what stands on the card.
        on: the day it was signed on, in the registry's zone.
        now: from when the change holds.
    """
    if code := entry(firm):
        return _no_entry(code)
    if ticket is not None:
        return refused(ticket)
    if (refusal := _refusal(firm, holder, on)) is not None or firm is None:
        return refusal or refused(Code.ENTERPRISE_UNKNOWN)
    match firm.legal_rep.status:
        case LegalRepStatus.NOT_CAPTURED:
            return refused(Code.STEP_LOCKED, "capture")
        case LegalRepStatus.IN_REVIEW:
            return Decision(Standing.IN_REVIEW)  # its case is open; a person decides that one
        case LegalRepStatus.VERIFIED:
            return accepted(now, KeepCard()) if is_match(facts) else refused(Code.NOT_VERIFIED)
        case LegalRepStatus.CAPTURED:
            return _compare(firm, facts, holder, on, now)


def review(firm: Firm, *, is_approved: bool) -> SetLegalRep | None:
    """Section 4.1: what a person's decision makes of a legal representative in review; None: nobody is."""
    if firm.legal_rep.status is not LegalRepStatus.IN_REVIEW:
        return None
    return SetLegalRep(LegalRepStatus.VERIFIED if is_approved else LegalRepStatus.NOT_CAPTURED)


def sign(firm: Firm | None, ticket: Code | None, facts: Verification, holder: CardHolder, on: date, now: datetime) -> Decision:
    """S41: the legal representative or the agent in office proves who they are before they sign; others do not sign here.

    Args: as for `verify`.
    """
    if code := gate(firm):
        return _no_entry(code)
    if ticket is not None:
        return refused(ticket)
    if has_expired(holder, on):
        return refused(Code.CARD_EXPIRED)
    agent = firm.agent.number if firm is not None and firm.agent is not None else None
    if firm is None or holder.number not in (firm.legal_rep.number, agent):
        return refused(Code.PERSON_NOT_EXPECTED)
    if is_doubtful(facts.card, holder, on):
        return in_review(OpenCase(CaseKind.DOUBTFUL_CARD))
    if facts.outcome is Outcome.TO_CONFIRM:
        return in_review(to_confirm(facts), KeepCard())
    if not is_match(facts):
        return in_review(OpenCase(CaseKind.COMPARISON, cause=facts.outcome))
    return accepted(now, KeepCard())


def _compare(firm: Firm, facts: Verification, holder: CardHolder, on: date, now: datetime) -> Decision:
    fails = firm.legal_rep.fails
    if is_doubtful(facts.card, holder, on):
        return in_review(OpenCase(CaseKind.DOUBTFUL_CARD), SetLegalRep(LegalRepStatus.IN_REVIEW, fails))
    if facts.outcome is Outcome.TO_CONFIRM:
        return in_review(to_confirm(facts), KeepCard(), SetLegalRep(LegalRepStatus.IN_REVIEW, fails))
    if is_match(facts):
        return accepted(now, KeepCard(), SetLegalRep(LegalRepStatus.VERIFIED))
    fails += max(1, len(facts.comparisons))  # a record tells all tries of a visit
    if fails >= FAILS:
        case = OpenCase(CaseKind.LEGAL_REPRESENTATIVE, cause=facts.outcome)
        return in_review(case, SetLegalRep(LegalRepStatus.IN_REVIEW, fails))
    counted = SetLegalRep(LegalRepStatus.CAPTURED, fails)
    return Decision(Standing.REFUSED, code=Code.NOT_VERIFIED, changes=(counted,))


def _refusal(firm: Firm | None, holder: CardHolder, on: date) -> Decision | None:
    """S16, section 4.1: refuse a card that cannot be the legal representative's, and have staff look at why."""
    if code := entry(firm):
        return _no_entry(code)
    if has_expired(holder, on):
        return refused(Code.CARD_EXPIRED)
    expected = firm.legal_rep if firm is not None else None
    if expected is not None and expected.number:
        if expected.number != holder.number:
            return abnormal("legal-rep-number")
        if expected.name != holder.name:
            return abnormal("legal-rep-name")
    return None


def _no_entry(code: Code) -> Decision:
    return abnormal("frozen") if code is Code.ACCOUNT_ABNORMAL else refused(code)


# --- the profile ----------------------------------------------------------------------------------------------------


def update_profile(firm: Firm, body: ProfileUpdate, on: date, now: datetime) -> Decision:
    """S18, S21: a new version of the profile. What is empty is asked for at submission (S26), not here.

    The division that it names does not move the enterprise to the other flow: only its registration does (S17, S62).

    Args:
        firm: whose; behind the gate, and signed.
        body: what it says.
        on: the day it was signed on, in the registry's zone.
        now: from when it is in force.
    """
    if body.based_on != firm.profile:
        return refused(Code.STALE)
    wrong = []
    if body.name != firm.name:
        wrong.append("name")  # the name is the registration's, and changes with it (S62)
    if body.founded is not None and body.founded > on:
        wrong.append("founded")
    if wrong:
        return refused(Code.WRONG_CONTENT, *(f"{Code.WRONG_CONTENT}:{field}" for field in wrong))
    return accepted(now, SaveProfile(firm.profile + 1, body))


# --- the order of steps ---------------------------------------------------------------------------------------------


def steps(firm: Firm) -> tuple[Step, ...]:
    """S18-S23, S35: return what an enterprise of this kind goes through, in order."""
    if firm.region is Region.OUT:
        return (Step.LEGAL_REPRESENTATIVE, Step.PROFILE, Step.AGENT, Step.PERSONNEL, Step.SUBMISSION)
    always = (Step.LEGAL_REPRESENTATIVE, Step.PROFILE)
    return (*always, Step.PERSONNEL, Step.SUBMISSION) if is_required(firm.region, firm.activity_kinds) else always


def step(firm: Firm, *, has_people: bool) -> Step:
    """S23: return the step that is due.

    Args:
        firm: whose.
        has_people: whether the people its submission needs are in the library.
    """
    for one in steps(firm):
        match one:
            case Step.LEGAL_REPRESENTATIVE:
                is_done = firm.legal_rep.status is LegalRepStatus.VERIFIED
            case Step.PROFILE:
                is_done = firm.profile > 0
            case Step.AGENT:
                is_done = firm.agent is not None
            case Step.PERSONNEL:
                is_done = has_people
            case _:
                is_done = firm.filed is not None
        if not is_done:
            return one
    return Step.DONE


def locked(firm: Firm, wanted: Step) -> Decision | None:
    """S21-S23, S36: refuse a step that comes after one that is not done, or None. People are the submission's own question."""
    order = tuple(Step)
    due = step(firm, has_people=True)
    if order.index(due) >= order.index(wanted):
        return None
    match due:
        case Step.LEGAL_REPRESENTATIVE:
            return refused(Code.LEGAL_REP_NOT_VERIFIED)
        case Step.AGENT if wanted is Step.SUBMISSION:
            return refused(Code.AGENT_REQUIRED)
        case _:
            return refused(Code.STEP_LOCKED, due)
