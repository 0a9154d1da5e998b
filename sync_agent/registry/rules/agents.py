"""Agents of an enterprise: authorised by one unbroken chain of two verifications, one in office at a time (domain.md 4.3, 4.4).

Rows S22, S30-S39. Pure: from what is known and what is asked to what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Chain, ChainHolders, Leg, Outcome
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import AgentContact
from sync_agent.registry.rules.decision import Change, Decision, OpenCase, RuleBook, abnormal, accepted, in_review, refused
from sync_agent.registry.rules.enterprises import Step, locked
from sync_agent.registry.rules.firm import Firm, gate
from sync_agent.registry.rules.proof import has_expired, is_doubtful, is_match, to_confirm
from sync_agent.registry.tables import CaseKind, ChainState

LETTER: Final = "authorisation-letter"
"""Role of the attachment that is the letter of authority; not compulsory (S34)."""


@dataclass(frozen=True, slots=True)
class KeepChain(Change):
    """The chain is remembered, so that it counts once (section 4.3).

    Attributes:
        reason: why it failed.
    """

    state: ChainState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Appoint(Change):
    """Who the chain authorises takes office, and whoever was in office leaves, in one transaction (S38).

    Attributes:
        contact: known from now on.
        letter: digest of the letter of authority; None where there is none.
        is_in_office: False: verified only, a person decides first.
    """

    contact: AgentContact
    letter: str | None
    is_in_office: bool = True


@dataclass(frozen=True, slots=True)
class EditContact(Change):
    """The contact of the agent in office is another one (S39)."""

    contact: AgentContact


@dataclass(frozen=True, slots=True)
class Sitting:
    """Where and when a chain was signed.

    Attributes:
        boot: start of the kiosk in which the record was signed.
        time: when it was signed, by the device's clock.
        on: that day, in the registry's zone.
        is_used: whether the registry has a chain of that name.
    """

    boot: int
    time: datetime
    on: date
    is_used: bool


def authorise(
    firm: Firm | None, facts: Chain, holders: ChainHolders, sitting: Sitting, book: RuleBook, now: datetime
) -> Decision:
    """S22, S30-S38: the legal representative, then the agent, in one sitting; whom they authorise is in office from now on.

    Whatever is not as it must be ends the chain, and both start again: there is no partial credit (S32).

    Args:
        firm: the enterprise; None: the registry does not know it.
        facts: the two verifications.
        holders: the two people.
        sitting: where and when it was signed.
        book: how long it may take.
        now: from when it holds.
    """
    representative = firm.legal_rep if firm is not None else None
    known = representative.number if representative is not None else ""
    if holders.agent.number in (holders.legal_representative.number, known):
        return refused(Code.LEGAL_REP_IS_AGENT)  # S37, before anything else
    if firm is None or (code := gate(firm)) is not None:
        code = gate(firm) or Code.ENTERPRISE_UNKNOWN
        return abnormal("frozen") if code is Code.ACCOUNT_ABNORMAL else refused(code)
    if (refusal := locked(firm, Step.AGENT)) is not None:
        return refusal
    if sitting.is_used:
        return refused(Code.CHAIN_BROKEN, "used")
    if broken := _broken(firm, facts, holders, sitting, book):
        code, reason = broken
        return Decision(Standing.REFUSED, code=code, changes=(KeepChain(ChainState.FAILED, reason),), gaps=(reason,))
    letter = next((one.digest for one in facts.attachments if one.role == LETTER), None)
    contact = AgentContact(number=holders.agent.number, mobile=holders.agent_mobile)
    if case := _to_decide(facts, holders, sitting.on):
        return in_review(case, KeepChain(ChainState.COMPLETE), Appoint(contact, letter, is_in_office=False))
    return accepted(now, KeepChain(ChainState.USED), Appoint(contact, letter))


def edit_contact(firm: Firm, body: AgentContact, now: datetime) -> Decision:
    """S39: the contact may be edited; who it is comes from the card and stays.

    Args:
        firm: whose agent; behind the gate, and signed.
        body: the new contact, and the number of whom it is of.
        now: from when it holds.
    """
    if firm.agent is None:
        return refused(Code.AGENT_REQUIRED)
    if body.number != firm.agent.number:
        return refused(Code.WRONG_CONTENT, f"{Code.WRONG_CONTENT}:number")
    return accepted(now, EditContact(body))


def still_holds(firm: Firm, representative: int | None, agent: int, at: datetime) -> bool:
    """Say whether a chain that waited for a decision may still put its agent into office.

    Args:
        firm: as it is now.
        representative: whom the chain proved to be legal representative.
        agent: whom it authorises.
        at: when it ended, by the device's clock.
    """
    if gate(firm) is not None or firm.legal_rep.person != representative or agent == representative:
        return False
    return firm.agent is None or at > firm.agent.authorised_at


def _broken(firm: Firm, facts: Chain, holders: ChainHolders, sitting: Sitting, book: RuleBook) -> tuple[Code, str] | None:
    """Say what broke a chain (S31-S33), or None. The order is the one in which a person would want to know."""
    first, second = facts.legal_representative, facts.agent
    expected, holder = firm.legal_rep, holders.legal_representative
    if (holder.number, holder.name) != (expected.number, expected.name):
        return Code.CHAIN_WRONG_PERSON, "legal-representative"
    if Outcome.WRONG_PERSON in (first.outcome, second.outcome):
        return Code.CHAIN_WRONG_PERSON, "face"
    if second.at <= first.at:
        return Code.CHAIN_WRONG_PERSON, "order"
    if not first.boot == second.boot == sitting.boot:
        return Code.CHAIN_BROKEN, "restart"
    if not facts.begun <= first.at <= second.at <= sitting.time:
        return Code.CHAIN_BROKEN, "order"
    if second.at - first.at > book.chain_gap:
        return Code.CHAIN_BROKEN, "gap"
    if second.at - facts.begun > book.chain_total:
        return Code.CHAIN_BROKEN, "total"
    if any(has_expired(one, sitting.on) for one in (holder, holders.agent)):
        return Code.CARD_EXPIRED, "card"
    if not (_counts(first) and _counts(second)):
        return Code.CHAIN_BROKEN, "face"
    if firm.agent is not None and second.at <= firm.agent.authorised_at:
        return Code.STALE, "overtaken"  # it came late: somebody was authorised after it
    return None


def _counts(leg: Leg) -> bool:
    """Say whether a verification passed, or leaves it to a person to say so (P03)."""
    return is_match(leg) or leg.outcome is Outcome.TO_CONFIRM


def _to_decide(facts: Chain, holders: ChainHolders, on: date) -> OpenCase | None:
    """Say what a person must decide before the agent takes office (P03), or None."""
    legs = ((facts.legal_representative, holders.legal_representative), (facts.agent, holders.agent))
    if any(is_doubtful(leg.card, holder, on) for leg, holder in legs):
        return OpenCase(CaseKind.DOUBTFUL_CARD)
    return next((to_confirm(leg) for leg, _ in legs if leg.outcome is Outcome.TO_CONFIRM), None)
