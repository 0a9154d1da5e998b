"""An enterprise as every rule sees it, who may speak for it, and the gate before everything it asks for (S03, S05, S16, S23)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import AgentContact, ProfileUpdate, Signatory
from sync_agent.registry.tables import LegalRepStatus, Region

SIGNS_FOR: Final = timedelta(minutes=30)
"""So long before a request its signatory may have proved who they are: one visit."""


@dataclass(frozen=True, slots=True)
class Representative:
    """The legal representative.

    Attributes:
        person: the registry's reference; None while nobody knows who it is.
        number: identity number; empty while nobody knows.
        name: empty while nobody knows.
        fails: failed comparisons since the card was captured.
    """

    status: LegalRepStatus
    person: int | None = None
    number: str = ""
    name: str = ""
    fails: int = 0

    def __repr__(self) -> str:
        """Name nobody."""
        return f"Representative({self.status})"


@dataclass(frozen=True, slots=True)
class InOffice:
    """The agent in office (S38).

    Attributes:
        id: of the term.
        person: the registry's reference.
        number: identity number.
        authorised_at: when the chain ended that authorised them, by the device's clock.
        contact: None until it was given (S27, S39).
    """

    id: int
    person: int
    number: str
    authorised_at: datetime
    contact: AgentContact | None = None

    def __repr__(self) -> str:
        """Name nobody."""
        return f"InOffice({self.id})"


@dataclass(frozen=True, slots=True)
class Firm:
    """An enterprise and what hangs on it, at one moment.

    Attributes:
        division: where it is registered, GB/T 2260; empty while unknown.
        profile: version of the profile in force; 0 before the first.
        content: that version.
        agent: in office; None where nobody is.
        activity_kinds: what it does (S19).
        filed: since when its filing is complete (S25).
        is_frozen: the enterprise, or every account that speaks for it, is frozen (S16).
        has_account: an account of the portal speaks for it (S03).
    """

    uscc: str
    name: str
    region: Region
    legal_rep: Representative
    division: str = ""
    profile: int = 0
    content: ProfileUpdate | None = None
    agent: InOffice | None = None
    activity_kinds: frozenset[str] = frozenset()
    filed: datetime | None = None
    is_frozen: bool = False
    has_account: bool = True


@dataclass(frozen=True, slots=True)
class Signature:
    """The record by which whoever signs proved who they are.

    Attributes:
        person: whom it proved.
        standing: what the rules made of it.
        is_for_signing: whether it was made for this purpose, and for this enterprise.
        is_same_visit: whether device, epoch and boot are those of the request.
        at: when it was made, by the device's clock.
    """

    person: int
    standing: Standing | None
    is_for_signing: bool
    is_same_visit: bool
    at: datetime


def entry(firm: Firm | None) -> Code | None:
    """S03, S04, S16: say why nothing at all may be done for an enterprise, or None."""
    if firm is None or not firm.has_account:
        return Code.ENTERPRISE_UNKNOWN
    return Code.ACCOUNT_ABNORMAL if firm.is_frozen else None


def gate(firm: Firm | None) -> Code | None:
    """S05: say why nothing but the legal representative's own verification may be done for an enterprise, or None."""
    if code := entry(firm):
        return code
    if firm is None or firm.legal_rep.status is not LegalRepStatus.VERIFIED:
        return Code.LEGAL_REP_NOT_VERIFIED
    return None


def signed(firm: Firm, signature: Signature | None, signed_by: Signatory, number: str, at: datetime) -> Code | None:
    """Say whether a request was signed by somebody who may: the legal representative or the agent in office, in this visit.

    Args:
        firm: whose request it is.
        signature: the record that the request names; None where there is none.
        signed_by: in what capacity.
        number: identity number of whoever signed, as the request says.
        at: when the request was made, by the device's clock.
    """
    who = firm.legal_rep if signed_by is Signatory.LEGAL_REPRESENTATIVE else firm.agent
    if signature is None or who is None or who.person is None:
        return Code.NOT_SIGNED
    holds = (
        signature.person == who.person
        and who.number == number
        and signature.standing is Standing.ACCEPTED
        and signature.is_for_signing
        and signature.is_same_visit
        and timedelta(0) <= at - signature.at <= SIGNS_FOR
    )
    return None if holds else Code.NOT_SIGNED


def command(firm: Firm | None, signature: Signature | None, signed_by: Signatory, number: str, at: datetime) -> Code | None:
    """Say why a request of an enterprise is refused whatever it asks for, or None: the gate, then who signs."""
    if firm is None:
        return gate(firm)
    return gate(firm) or signed(firm, signature, signed_by, number, at)
