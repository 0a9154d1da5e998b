"""An enterprise's personnel: added or synced, captured, in the library, left (S44-S49, domain.md 4.5).

A card and a face prove who somebody is, so everything that they are in the enterprise moves on together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from sync_agent.contract import numbers
from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Capture, CardHolder, Outcome, Verification
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import EmploymentKind, PersonEntry
from sync_agent.registry.rules import enterprises
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
from sync_agent.registry.rules.enterprises import FAILS, Step
from sync_agent.registry.rules.firm import Firm, gate
from sync_agent.registry.rules.library import FAMILIES, NEEDED, Employed
from sync_agent.registry.rules.people import WORKING_AGE, age
from sync_agent.registry.rules.proof import has_expired, is_doubtful, is_match, to_confirm
from sync_agent.registry.rules.requests import Lack, refusal
from sync_agent.registry.tables import CaseKind, LibraryStatus

FOUR_DB: Final = "four_db"
TRAINING_CENTRE: Final = "training_centre"
MANUAL: Final = "manual"

SYNCED_FROM: Final[Mapping[EmploymentKind, str]] = MappingProxyType(
    {EmploymentKind.REGISTERED: FOUR_DB, EmploymentKind.POST: TRAINING_CENTRE}
)
"""Which kinds come from upstream, and from whom (S44, S45); the others are added by hand (S46, S47)."""

PICTURED: Final = "certificate"
"""S46, S47: role of the document that shows the certificate of somebody who is added by hand."""

HOLDING: Final = frozenset({CaseKind.COMPARISON, CaseKind.MANUAL_CHECK, CaseKind.DOUBTFUL_CARD})
"""Cases that hold somebody up until a person has decided them."""

_WAITING: Final = frozenset({LibraryStatus.SYNCED, LibraryStatus.ADDED})


@dataclass(frozen=True, slots=True)
class Place:
    """The holder of a card, in the enterprise that the record is for.

    Attributes:
        posts: all that they are there, whoever left included.
        expected: whom the record names is somebody of the enterprise; True where it names nobody.
        is_expected: they are whom the record names; True where it names nobody.
        is_under_review: a case about them in this enterprise waits for a person.
    """

    posts: tuple[Employed, ...]
    expected: bool = True
    is_expected: bool = True
    is_under_review: bool = False

    @property
    def live(self) -> tuple[Employed, ...]:
        """All that they are and did not leave."""
        return tuple(post for post in self.posts if post.status is not LibraryStatus.LEFT)


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry has of somebody whom an enterprise adds.

    Attributes:
        name: on the card that was read of them; empty while none was.
        post: what they are in the enterprise already, of the kind in question.
        is_locked: by a bid that is running, whoever bids (S53).
    """

    name: str = ""
    post: Employed | None = None
    is_locked: bool = False

    def __repr__(self) -> str:
        """Name nobody."""
        return f"Known({self.post})"


# --- changes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MovePost(Change):
    """An employment moves on.

    Attributes:
        fails: failed comparisons since the card was read.
        since: since when they are in the library; None when they are not.
    """

    id: int
    status: LibraryStatus
    fails: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class AddPost(Change):
    """Somebody is of the personnel from now on; who left and comes back proves who they are again."""

    status: LibraryStatus


@dataclass(frozen=True, slots=True)
class Stay(Change):
    """Their source names them again, and nothing moves."""


# --- added by hand --------------------------------------------------------------------------------------------------


def add(firm: Firm, entry: PersonEntry, known: Known, documents: Iterable[Lack], roles: Iterable[str], on: date) -> Decision:
    """S46, S47, S53: add somebody by hand, or say everything that speaks against it.

    Args:
        firm: whose; behind the gate, and signed.
        entry: who, and as what.
        known: what the registry has of them.
        documents: what is lacking of the documents.
        roles: what the documents that came whole are for.
        on: the day it was signed on, in the registry's zone.
    """
    if locked := enterprises.locked(firm, Step.PERSONNEL):
        return locked
    lacks = list(_impossible(entry, known, on))
    if known.post is not None and known.post.status is not LibraryStatus.LEFT:
        lacks.append(Lack(Code.DUPLICATE, "person"))
    if known.is_locked:
        lacks.append(Lack(Code.PERSON_BID_LOCKED))
    needed = NEEDED[entry.employment]
    if needed and all(paper.family not in needed for paper in entry.certificates):
        lacks.append(Lack(Code.WRONG_CONTENT, "certificates"))
    if (needed or entry.certificates) and PICTURED not in set(roles):
        lacks.append(Lack(Code.ATTACHMENT_MISSING, PICTURED))
    lacks += documents
    return refusal(lacks) or accepted_not_effective(AddPost(LibraryStatus.ADDED))


def is_number(number: str) -> bool:
    """Say whether this can be an identity number, check character included (GB 11643), or one of the former foreign ones."""
    if numbers.is_former_foreign_number(number):
        return True
    return numbers.is_identity_number(number) and number[17] == numbers.check_character(number[:17])


# --- synced from upstream -------------------------------------------------------------------------------------------


def report(post: Employed | None) -> AddPost | Stay:
    """S44, S45: return what follows where its source names somebody of an enterprise."""
    if post is None or post.status is LibraryStatus.LEFT:
        return AddPost(LibraryStatus.SYNCED)
    return Stay()


def leave(post: Employed) -> MovePost | Code:
    """4.5, S53: return what follows where somebody is not of the personnel any more, or why they cannot leave it."""
    if post.status is LibraryStatus.LEFT:
        return Code.STALE
    return Code.PERSON_BID_LOCKED if post.is_locked else MovePost(post.id, LibraryStatus.LEFT)


# --- card and face --------------------------------------------------------------------------------------------------


def capture(firm: Firm | None, place: Place, facts: Capture, holder: CardHolder, on: date) -> Decision:
    """S49: the card of somebody of the personnel is read; synced and added people become captured.

    Args:
        firm: the enterprise it was read for.
        place: the holder's, in that enterprise.
        facts: how the card was read.
        holder: what stands on it.
        on: the day it was signed on, in the registry's zone.
    """
    if refusal := _refusal(firm, place, holder, on):
        return refusal
    if place.is_under_review:
        return Decision(Standing.IN_REVIEW)  # its case is open; a person decides that one
    if is_doubtful(facts.card, holder, on):
        return in_review(OpenCase(CaseKind.DOUBTFUL_CARD), KeepCard())
    moves = [MovePost(post.id, LibraryStatus.CAPTURED) for post in place.live if post.status in _WAITING]
    return accepted_not_effective(KeepCard(), *moves)


def verify(
    firm: Firm | None, place: Place, ticket: Code | None, facts: Verification, holder: CardHolder, on: date, now: datetime
) -> Decision:
    """S15, S48, S49: who is shown to be the card's owner enters the library; after three failures a person decides.

    Args:
        firm: the enterprise it was made for.
        place: the holder's, in that enterprise.
        ticket: what the ticket is refused with; None: it holds.
        facts: how the card was read and what the comparison gave.
        holder: what stands on the card.
        on: the day it was signed on, in the registry's zone.
        now: from when the change holds.
    """
    if refusal := _refusal(firm, place, holder, on):
        return refusal
    if ticket is not None:
        return refused(ticket)
    if place.is_under_review:
        return Decision(Standing.IN_REVIEW)
    captured = [post for post in place.live if post.status is LibraryStatus.CAPTURED]
    if not captured:
        if all(post.status in _WAITING for post in place.live):
            return refused(Code.STEP_LOCKED, "capture")
        # A failed comparison takes nobody out of the library.
        return accepted(now, KeepCard()) if is_match(facts) else refused(Code.NOT_VERIFIED)
    if is_doubtful(facts.card, holder, on):
        return in_review(OpenCase(CaseKind.DOUBTFUL_CARD), KeepCard())
    if facts.outcome is Outcome.TO_CONFIRM:
        return in_review(to_confirm(facts), KeepCard())
    if is_match(facts):
        return accepted(now, KeepCard(), *(MovePost(post.id, LibraryStatus.IN_LIBRARY, since=now) for post in captured))
    fails = max(post.fails for post in captured) + max(1, len(facts.comparisons))  # a record tells all tries of a visit
    counted = [MovePost(post.id, LibraryStatus.CAPTURED, fails) for post in captured]
    if fails >= FAILS:
        return in_review(OpenCase(CaseKind.COMPARISON, cause=facts.outcome), *counted)
    return Decision(Standing.REFUSED, code=Code.NOT_VERIFIED, changes=tuple(counted))


def review(place: Place, now: datetime, *, is_approved: bool) -> tuple[MovePost, ...]:
    """S15: return what a person's decision about somebody makes of all that they are: into the library, or back to the start."""
    undone = [post for post in place.live if post.status is not LibraryStatus.IN_LIBRARY]
    if is_approved:
        return tuple(MovePost(post.id, LibraryStatus.IN_LIBRARY, since=now) for post in undone)
    return tuple(MovePost(post.id, _start(post)) for post in undone)


def _start(post: Employed) -> LibraryStatus:
    return LibraryStatus.ADDED if post.source == MANUAL else LibraryStatus.SYNCED


def _refusal(firm: Firm | None, place: Place, holder: CardHolder, on: date) -> Decision | None:
    """Say what no person at a review could change."""
    if code := gate(firm):
        return abnormal("frozen") if code is Code.ACCOUNT_ABNORMAL else refused(code)
    if firm is not None and (locked := enterprises.locked(firm, Step.PERSONNEL)):
        return locked
    if not place.expected:
        return refused(Code.PERSON_NOT_EXPECTED)
    if not place.is_expected:
        return refused(Code.PERSON_MISMATCH)
    if not place.live:
        return refused(Code.PERSON_NOT_EXPECTED)
    if has_expired(holder, on):
        return refused(Code.CARD_EXPIRED)
    return refused(Code.UNDER_AGE) if age(holder.birth, on) < WORKING_AGE else None


def _impossible(entry: PersonEntry, known: Known, on: date) -> Iterable[Lack]:
    if entry.employment in SYNCED_FROM:
        yield Lack(Code.WRONG_CONTENT, "employment")
    if not is_number(entry.number):
        yield Lack(Code.WRONG_CONTENT, "number")
    if not entry.name.strip() or known.name not in ("", entry.name):
        yield Lack(Code.WRONG_CONTENT, "name")
    for paper in entry.certificates:
        begun, ends = paper.valid_from, paper.valid_until
        is_turned = begun is not None and ends is not None and ends < begun
        if paper.family not in FAMILIES or not paper.number.strip() or is_turned or (begun is not None and begun > on):
            yield Lack(Code.WRONG_CONTENT, "certificates")
