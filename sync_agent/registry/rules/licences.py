"""Qualifications and what is asked about them: apply, change, renew, cancel; read-only out of region (S40-S42)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.requests import QualificationAction, QualificationEntry
from sync_agent.registry.rules import applications
from sync_agent.registry.rules.applications import CannotDecide, Ruling, SetState, Verdict
from sync_agent.registry.rules.decision import Change, Decision, accepted_not_effective
from sync_agent.registry.rules.requests import Lack, refusal, refuse
from sync_agent.registry.rules.submissions import Line
from sync_agent.registry.tables import ApplicationState, Region

FOUR_DB: Final = "four_db"
"""The national platform: what comes from there is changed there."""

OWN: Final = "registry"
"""Source of what was granted here."""


@dataclass(frozen=True, slots=True)
class Held:
    """A qualification that an enterprise holds or held.

    Attributes:
        number: of its certificate.
        valid_until: last day; None: without end.
        is_cancelled: it was given back or taken.
    """

    number: str
    line: str
    grade: str
    source: str
    valid_until: date | None = None
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for its decision."""

    line: str
    certificate: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What stands on the certificate that is issued.

    Attributes:
        valid_until: last day; None: without end.
    """

    number: str
    issuer: str
    valid_from: date
    valid_until: date | None


@dataclass(frozen=True, slots=True)
class AddRequest(Change):
    """The request waits for its decision."""


@dataclass(frozen=True, slots=True)
class Issue(Change):
    """A qualification is held from now on."""

    line: str
    grade: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class Amend(Change):
    """A qualification is another one from now on, under the certificate of the grant."""

    certificate: str
    line: str
    grade: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class Cancel(Change):
    """A qualification is held no more."""

    certificate: str
    at: datetime


def request(
    region: Region,
    entry: QualificationEntry,
    line: Line | None,
    held: Sequence[Held],
    pending: Iterable[Pending],
    documents: Iterable[Lack],
    on: date,
) -> Decision:
    """S41, S42: take a request about a qualification, or say everything that it lacks.

    Args:
        region: of the enterprise, which is through the gate.
        entry: what is asked.
        line: as the vocabulary has what is asked for; None: it has no such line and grade.
        held: what the enterprise holds or held.
        pending: its requests that wait.
        documents: what is lacking of the documents.
        on: the day it was signed on, in the registry's zone.
    """
    if region is Region.OUT:
        return refuse(Code.OUT_OF_REGION_READONLY)
    named = next((one for one in held if entry.certificate and one.number == entry.certificate), None)
    if named is not None and named.source == FOUR_DB:
        return refuse(Code.OUT_OF_REGION_READONLY)
    lacks = [*_content(entry, line, held, named, on)]
    if any(_is_same(entry, one) for one in pending):
        lacks.append(Lack(Code.DUPLICATE, "request"))
    return refusal([*lacks, *documents]) or accepted_not_effective(AddRequest())


def decide(
    state: ApplicationState, entry: QualificationEntry, held: Sequence[Held], ruling: Ruling, grant: Grant | None, now: datetime
) -> tuple[Change, ...]:
    """S41: return what a decision changes.

    Args:
        state: of the request.
        entry: what was asked.
        held: what the enterprise holds at this moment.
        ruling: what staff decides.
        grant: what the new certificate says; needed to accept anything but a cancellation.
        now: the time.

    Raises:
        CannotDecide: it is decided already; a reason or what the certificate says is lacking; or what it is about is gone.
    """
    after = applications.decide(state, ruling)
    settled = SetState(after, ruling.reason)
    if ruling.verdict is not Verdict.ACCEPT:
        return (settled,)
    mine = {one.number for one in held if not one.is_cancelled and one.source != FOUR_DB}
    if entry.action is not QualificationAction.APPLY and entry.certificate not in mine:
        raise CannotDecide(
            "the qualification that it is about is not held any more. Return the request, with this as the reason."
        )
    if entry.action is QualificationAction.CANCEL:
        return settled, Cancel(entry.certificate, now)
    if grant is None:
        raise CannotDecide(f"{entry.action} is accepted with what the certificate says: number, issuer, first and last day.")
    if not grant.number or (grant.valid_until is not None and grant.valid_until < grant.valid_from):
        raise CannotDecide("the certificate needs a number, and its last day cannot be before its first.")
    if any(one.number == grant.number for one in held if one.number != entry.certificate):
        raise CannotDecide("the enterprise has a qualification of this number. Check the number.")
    if entry.action is QualificationAction.APPLY:
        return settled, Issue(entry.line, entry.grade, grant)
    return settled, Amend(entry.certificate, entry.line, entry.grade, grant)


def _content(entry: QualificationEntry, line: Line | None, held: Sequence[Held], named: Held | None, on: date) -> Iterable[Lack]:
    if entry.action is QualificationAction.APPLY:
        if entry.certificate:
            yield Lack(Code.WRONG_CONTENT, "certificate")
        if any((one.line, one.grade) == (entry.line, entry.grade) and _is_in_force(one, on) for one in held):
            yield Lack(Code.DUPLICATE, "line")
    elif named is None or named.is_cancelled:
        yield Lack(Code.WRONG_CONTENT, "certificate")
    elif (
        entry.action is QualificationAction.CHANGE and (named.line, named.grade) == (entry.line, entry.grade) and not entry.reason
    ):
        yield Lack(Code.WRONG_CONTENT, "reason")  # nothing changes by line and grade, so it must be said what does
    elif entry.action is not QualificationAction.CHANGE and (
        named.line != entry.line or (entry.grade and named.grade != entry.grade)
    ):
        yield Lack(Code.WRONG_CONTENT, "line")  # what is renewed or cancelled stays what it is
    if entry.action in (QualificationAction.APPLY, QualificationAction.CHANGE) and (
        line is None or not line.is_valid or line.family == "declared"
    ):
        yield Lack(Code.WRONG_CONTENT, "line")


def _is_in_force(held: Held, on: date) -> bool:
    return not held.is_cancelled and (held.valid_until is None or held.valid_until >= on)


def _is_same(entry: QualificationEntry, pending: Pending) -> bool:
    """Say whether a request is about what another one is about already: the same certificate, or a first one of the same line."""
    if entry.certificate or pending.certificate:
        return entry.certificate == pending.certificate
    return entry.line == pending.line
