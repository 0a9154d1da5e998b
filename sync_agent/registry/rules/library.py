"""An enterprise's people as a choice sees them: who may be chosen, who is lacking, who can lead (domain.md 4.5; S24, S28)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.requests import EmploymentKind
from sync_agent.registry.tables import AbnormalCode, CertificateStatus, LibraryStatus

FAMILIES: Final = frozenset({"skill", "safety", "post", "title", "practice", "other"})
"""Of certificates (domain.md 10.5)."""

NEEDED: Final[Mapping[EmploymentKind, frozenset[str]]] = MappingProxyType(
    {
        EmploymentKind.REGISTERED: frozenset({"practice"}),
        EmploymentKind.POST: frozenset({"post", "safety"}),
        EmploymentKind.TITLED: frozenset({"title"}),
        EmploymentKind.OTHER_POST: frozenset({"post", "safety", "skill", "other"}),
        EmploymentKind.OTHER_MANAGEMENT: frozenset(),
    }
)
"""Of one of these families somebody must hold a certificate to be used as what they are; of none: no certificate is asked for."""

LEADS: Final = frozenset({EmploymentKind.REGISTERED, EmploymentKind.TITLED})
"""S28: as what somebody must be in the library to be technical lead."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A certificate, without its number.

    Attributes:
        valid_from: None: not said.
        valid_until: last day; None: without end.
    """

    family: str
    specialty: str = ""
    valid_from: date | None = None
    valid_until: date | None = None
    status: CertificateStatus = CertificateStatus.VALID

    def holds(self, on: date) -> bool:
        """Say whether it is valid on a day."""
        has_begun = self.valid_from is None or self.valid_from <= on
        return self.status is CertificateStatus.VALID and has_begun and (self.valid_until is None or on <= self.valid_until)


@dataclass(frozen=True, slots=True)
class Employed:
    """Somebody in an enterprise's personnel, as one of the things they are there.

    Attributes:
        id: the registry's reference, which records name as `person`.
        person: the registry's reference of the human being, who may be several things in several enterprises.
        source: a connector's name, or `manual`.
        fails: failed comparisons since the card was read.
        flags: open ones, of this enterprise and of everywhere (S50).
        is_locked: by a bid that is running (S53).
    """

    id: int
    person: int
    kind: EmploymentKind
    status: LibraryStatus
    source: str
    fails: int = 0
    papers: tuple[Paper, ...] = ()
    flags: frozenset[AbnormalCode] = frozenset()
    is_locked: bool = False


class Bar(StrEnum):
    """Why somebody cannot be used (domain.md 4.5); each is independent of the others."""

    NOT_IN_LIBRARY = "not-in-library"
    BID_LOCKED = "bid-locked"
    ABNORMAL = "abnormal"
    CERT_EXPIRED = "cert-expired"


@dataclass(frozen=True, slots=True)
class Requirement:
    """So many people a line and grade wants (S24).

    Attributes:
        specialty: of their certificates; empty: any.
    """

    employment: EmploymentKind
    count: int
    specialty: str = ""


def bars(person: Employed, on: date, specialty: str = "") -> tuple[Bar, ...]:
    """Return everything that speaks against using somebody on a day, with a certificate of a specialty where one is named."""
    found = []
    if person.status is not LibraryStatus.IN_LIBRARY:
        found.append(Bar.NOT_IN_LIBRARY)
    if person.is_locked:
        found.append(Bar.BID_LOCKED)
    if person.flags:
        found.append(Bar.ABNORMAL)
    needed = NEEDED[person.kind]
    held = [paper for paper in person.papers if paper.family in needed and paper.holds(on)]
    if (needed and not held) or (specialty and all(paper.specialty != specialty for paper in held)):
        found.append(Bar.CERT_EXPIRED)
    return tuple(found)


def usable(person: Employed, on: date) -> bool:
    """4.5: say whether somebody is in the library, without open flag or lock, with a certificate that is valid that day."""
    return not bars(person, on)


def choice_fault(person: Employed | None, on: date) -> Code | None:
    """S48, S50, S53: say why somebody cannot be chosen for a bid or post, or None."""
    if person is None or person.status is LibraryStatus.LEFT:
        return Code.PERSON_NOT_EXPECTED
    match bars(person, on):
        case ():
            return None
        case (Bar.NOT_IN_LIBRARY, *_):
            return Code.NOT_VERIFIED
        case (Bar.BID_LOCKED, *_):
            return Code.PERSON_BID_LOCKED
        case _:
            return Code.PERSON_ABNORMAL


def gaps(requirements: Iterable[Requirement], people: Iterable[Employed], on: date) -> tuple[str, ...]:
    """S24: return what is lacking of the people that a line wants, `registered/建筑:2` where two are; nothing personal.

    Somebody who is two things counts as each; who holds two specialties counts for each.

    Args:
        requirements: of the line and grade.
        people: of the enterprise.
        on: the day.
    """
    people = tuple(people)
    found = []
    for wanted in requirements:
        able = {one.person for one in people if one.kind is wanted.employment and not bars(one, on, wanted.specialty)}
        if len(able) < wanted.count:
            name = f"{wanted.employment}/{wanted.specialty}" if wanted.specialty else str(wanted.employment)
            found.append(f"{name}:{wanted.count - len(able)}")
    return tuple(found)


def technical_lead_fault(posts: Iterable[Employed], on: date) -> Code | None:
    """S28: say why somebody cannot be technical lead, or None.

    Args:
        posts: everything that this one human being is in the enterprise; nothing where they are not of it.
        on: the day.
    """
    able = [post for post in posts if post.kind in LEADS]
    faults = {choice_fault(post, on) for post in able}
    if None in faults:
        return None
    for code in (Code.PERSON_BID_LOCKED, Code.PERSON_ABNORMAL):
        if code in faults:
            return code
    return Code.TECH_LEAD_NOT_ELIGIBLE
