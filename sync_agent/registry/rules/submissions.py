"""The qualification submission: who must make one, what it takes, and when an out-of-region filing is complete (S19-S28, 4.7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.requests import SubmissionEntry
from sync_agent.registry.rules import applications
from sync_agent.registry.rules.applications import Ruling, SetState
from sync_agent.registry.rules.decision import Change, Decision, accepted_not_effective
from sync_agent.registry.rules.firm import Firm
from sync_agent.registry.rules.requests import Lack, refusal, refuse
from sync_agent.registry.tables import ApplicationState, Region

DECLARED: Final = frozenset({"quality-testing", "herder-construction-team", "cost-consulting", "tender-agency"})
"""S19: activities that an in-region enterprise reports. No licence of ours stands behind them (domain.md 10.7)."""

PROFILE_FIELDS: Final = ("name", "division", "address", "legal_rep_duty", "legal_rep_title", "founded")
"""S26: what a profile must hold at submission: what the national data standard makes mandatory (11.1), and duty and title."""

_NEED_PERMIT: Final = frozenset({"general", "specialised", "comprehensive", "labour"})
"""Section 4.7: families of qualification that build, and so need a safety permit."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of qualification in the vocabulary.

    Attributes:
        family: general, specialised, comprehensive, labour or declared.
        is_valid: whether the vocabulary has it on the day in question.
    """

    family: str
    is_valid: bool = True


@dataclass(frozen=True, slots=True)
class Situation:
    """What else decides about a submission, at one moment.

    Attributes:
        line: what is submitted for; None: the vocabulary has no such line and grade.
        people: required people who are not in the library, by name of the gap (S24).
        lead: why the technical lead cannot be that; None: they can (S28).
        has_permit: a safety permit is in effect.
        has_open: a submission for the same line waits for its decision.
        documents: what is lacking of the documents.
    """

    line: Line | None
    people: tuple[str, ...] = ()
    lead: Code | None = None
    has_permit: bool = False
    has_open: bool = False
    documents: tuple[Lack, ...] = ()


@dataclass(frozen=True, slots=True)
class AddSubmission(Change):
    """The submission waits for its decision."""


@dataclass(frozen=True, slots=True)
class CompleteFiling(Change):
    """S25: the out-of-region filing is complete."""

    at: datetime


def is_required(region: Region, activity_kinds: Iterable[str]) -> bool:
    """S19, S20: say whether an enterprise makes submissions: out-of-region ones, and in-region ones of four activities."""
    return region is Region.OUT or not DECLARED.isdisjoint(activity_kinds)


def submit(firm: Firm, entry: SubmissionEntry, situation: Situation) -> Decision:
    """S19-S28: take a submission, or say everything that it lacks.

    Args:
        firm: who submits; it is through the gate.
        entry: what for.
        situation: what else decides.
    """
    if not is_required(firm.region, firm.activity_kinds):
        return refuse(Code.NOT_REQUIRED)
    if firm.profile == 0:
        return refuse(Code.STEP_LOCKED, "profile")
    line = situation.line
    lacks = list(_line_lacks(firm, entry, line))
    lacks += [Lack(Code.PROFILE_INCOMPLETE, field) for field in profile_gaps(firm)]
    if firm.region is Region.OUT and firm.agent is None:
        lacks.append(Lack(Code.AGENT_REQUIRED))
    if firm.agent is not None and (firm.agent.contact is None or not firm.agent.contact.mobile):
        lacks.append(Lack(Code.AGENT_INCOMPLETE, "mobile"))
    lacks += [Lack(Code.PEOPLE_MISSING, gap) for gap in situation.people]
    if situation.lead is not None:
        lacks.append(Lack(situation.lead, "technical_lead"))
    if line is not None and line.family in _NEED_PERMIT and not situation.has_permit:
        lacks.append(Lack(Code.PERMIT_REQUIRED))
    if situation.has_open:
        lacks.append(Lack(Code.DUPLICATE, "line"))
    lacks += situation.documents
    return refusal(lacks) or accepted_not_effective(AddSubmission())


def profile_gaps(firm: Firm) -> list[str]:
    """S26: return the fields that the profile in force lacks."""
    content = firm.content
    return [field for field in PROFILE_FIELDS if content is None or not getattr(content, field)]


def decide(state: ApplicationState, region: Region, filed: datetime | None, ruling: Ruling, now: datetime) -> tuple[Change, ...]:
    """S25, 4.7: return what a decision changes; what is accepted of an out-of-region enterprise completes its filing.

    Args:
        state: of the submission.
        region: of the enterprise.
        filed: since when its filing is complete; the date of the first stands.
        ruling: what staff decides.
        now: the time.

    Raises:
        CannotDecide: it is decided already, or a reason is lacking.
    """
    after = applications.decide(state, ruling)
    changes: tuple[Change, ...] = (SetState(after, ruling.reason),)
    if after is ApplicationState.ACCEPTED and region is Region.OUT and filed is None:
        return (*changes, CompleteFiling(now))
    return changes


def _line_lacks(firm: Firm, entry: SubmissionEntry, line: Line | None) -> Iterable[Lack]:
    if line is None or not line.is_valid:
        yield Lack(Code.WRONG_CONTENT, "line")
    elif firm.region is Region.IN and (entry.line not in DECLARED or entry.line not in firm.activity_kinds):
        # S19: what else an in-region enterprise does is licensed (S41), not reported.
        yield Lack(Code.WRONG_CONTENT, "line")
