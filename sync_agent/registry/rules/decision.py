"""What a rule says of a record: the answer, and what changes in the registry. Rules compute this and touch nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from sync_agent.contract.codes import Code
from sync_agent.contract.receipts import Standing
from sync_agent.registry.tables import CaseKind, LibraryStatus, PartLine
from sync_agent.settings import RuleSettings


@dataclass(frozen=True, slots=True)
class RuleBook:
    """What the rules leave to the operator.

    Attributes:
        review: within this time a person decides a review case (P16).
        zone: where the calendar day of a record is taken from, for age and expiry.
        chain_gap: longest time between the two people of a chain (S32).
        chain_total: longest time that a whole chain may take (domain.md 4.3).
    """

    review: timedelta
    zone: ZoneInfo
    chain_gap: timedelta = timedelta(seconds=60)
    chain_total: timedelta = timedelta(seconds=300)

    @classmethod
    def of(cls, settings: RuleSettings) -> Self:
        """Take it from the settings."""
        return cls(
            timedelta(hours=settings.review_h),
            ZoneInfo(settings.zone),
            timedelta(seconds=settings.chain_gap_s),
            timedelta(seconds=settings.chain_total_s),
        )


@dataclass(frozen=True, slots=True)
class Member:
    """A person's place on the roster of the site in question.

    Attributes:
        effective_from: since when the person is in the library; None when they are not.
    """

    status: LibraryStatus
    effective_from: datetime | None = None


class Change:
    """Something a rule wants changed. Each subject has its own kinds, and writes them."""

    __slots__ = ()


# --- changes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetStatus(Change):
    """The person moves on in the personnel library."""

    status: LibraryStatus
    effective_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeepCard(Change):
    """What stands on the card is kept with the person."""


@dataclass(frozen=True, slots=True)
class KeepAttendance(Change):
    """The passage counts."""


@dataclass(frozen=True, slots=True)
class OpenCase(Change):
    """A person has to decide."""

    kind: CaseKind
    step: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SetParts(Change):
    """The device's self-test as it is now."""

    parts: Mapping[str, PartLine]
    version: str


# --- the answer -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """The rules' answer to one record.

    Attributes:
        code: why it was refused; the first reason where there are several.
        gaps: all that is missing, by name (S24-S28); nothing personal.
        effective_from: since when the registry's state is what the record asks for; None when it is not.
        changes: what to write, in this order.
    """

    standing: Standing
    code: Code | None = None
    effective_from: datetime | None = None
    changes: tuple[Change, ...] = ()
    gaps: tuple[str, ...] = ()


def accepted(effective_from: datetime, *changes: Change) -> Decision:
    """The rules passed and the state is as asked for from then on."""
    return Decision(Standing.ACCEPTED, effective_from=effective_from, changes=changes)


def accepted_not_effective(*changes: Change) -> Decision:
    """The rules passed; what the record asks for needs another step."""
    return Decision(Standing.ACCEPTED, changes=changes)


def refused(code: Code, *gaps: str) -> Decision:
    """The rules do not allow it; nothing changes."""
    return Decision(Standing.REFUSED, code=code, gaps=gaps)


def abnormal(cause: str) -> Decision:
    """S16: account, person and enterprise do not fit together; one text for all, and a case that says which to staff.

    Args:
        cause: what does not fit, for staff; nothing personal.
    """
    return Decision(Standing.REFUSED, code=Code.ACCOUNT_ABNORMAL, changes=(OpenCase(CaseKind.ACCOUNT_ABNORMAL, cause=cause),))


def in_review(case: OpenCase, *changes: Change) -> Decision:
    """A person decides: no machine refuses somebody for what it could not see (P16)."""
    return Decision(Standing.IN_REVIEW, changes=(*changes, case))
