"""Projects and performance: one row a completed project, however many sources name it; permits and notices (S55-S60)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import MakeupEntry
from sync_agent.registry.rules import applications
from sync_agent.registry.rules.applications import Ruling, SetState
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.requests import Lack, refusal
from sync_agent.registry.tables import ApplicationState, ProjectStatus


class Work(StrEnum):
    """What an enterprise's performance consists of (domain.md 10.6, our own words)."""

    SURVEY = "survey"
    DESIGN = "design"
    CONSTRUCTION = "construction"
    SUPERVISION = "supervision"


WORK_OF_ROLE: Final = {
    "survey": Work.SURVEY,
    "design": Work.DESIGN,
    "supervision": Work.SUPERVISION,
    "general-contractor": Work.CONSTRUCTION,
    "specialist-contractor": Work.CONSTRUCTION,
    "labour-contractor": Work.CONSTRUCTION,
}
"""What the participants of a project have built of it; who ordered, supplied or served it has no performance from it."""


@dataclass(frozen=True, slots=True)
class Participant:
    """An enterprise of a project, in our own words."""

    uscc: str
    role: str


@dataclass(frozen=True, slots=True)
class Reported:
    """A project as an upstream system reports it; natural key: its code.

    Attributes:
        at: since when it is so, by the source; an older report that arrives later changes nothing.
    """

    code: str
    name: str
    status: ProjectStatus
    source: str
    at: datetime
    begun: date | None = None
    completed: date | None = None
    participants: tuple[Participant, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """A row of performance, as far as the rules ask.

    Attributes:
        is_automatic: the real-name platform reported it.
        is_made_up: a make-up entry of it was accepted.
    """

    is_automatic: bool
    is_made_up: bool


@dataclass(frozen=True, slots=True)
class KeepProject(Change):
    """The project is as reported."""


@dataclass(frozen=True, slots=True)
class KeepPerformance(Change):
    """S57: a participant has done this; one row, and entries that made it up are linked to it."""

    uscc: str
    kind: Work


@dataclass(frozen=True, slots=True)
class AddMakeup(Change):
    """The make-up entry waits for its decision.

    Attributes:
        is_duplicate: the project is there already, so the reviewer is warned (S58).
    """

    is_duplicate: bool


@dataclass(frozen=True, slots=True)
class LinkMakeup(Change):
    """S58: the entry counts: as another source of the row that is there, or as a new one."""


def report(known_at: datetime | None, reported: Reported) -> tuple[Change, ...]:
    """S55, S57: return what a project's report changes; a completed one becomes performance of whoever took part.

    A repeat changes nothing, and neither does what is older than what is known: the natural keys and this see to it.

    Args:
        known_at: since when what is known of the project is so; None: nothing is known.
        reported: what came.
    """
    if known_at is not None and reported.at < known_at:
        return ()
    changes: list[Change] = [KeepProject()]
    if reported.status is ProjectStatus.COMPLETE:
        done = {(each.uscc, WORK_OF_ROLE[each.role]) for each in reported.participants if each.role in WORK_OF_ROLE}
        changes += [KeepPerformance(uscc, kind) for uscc, kind in sorted(done)]
    return tuple(changes)


def make_up(entry: MakeupEntry, done: Done | None, has_open: bool, documents: Iterable[Lack], on: date) -> Decision:
    """S58: take a make-up entry; a project that is there already is a warning, and the same entry twice is refused.

    Args:
        entry: what is entered.
        done: the performance of that project that is there already.
        has_open: an entry for the same project waits for its decision.
        documents: what is lacking of the evidence.
        on: the day it was signed on, in the registry's zone.
    """
    lacks = [Lack(Code.WRONG_CONTENT, field) for field in ("project_code", "project_name") if not getattr(entry, field).strip()]
    if entry.performance not in set(Work):
        lacks.append(Lack(Code.WRONG_CONTENT, "performance"))
    if not entry.begun <= entry.completed <= on:
        lacks.append(Lack(Code.WRONG_CONTENT, "completed"))
    if has_open or (done is not None and done.is_made_up):
        lacks.append(Lack(Code.DUPLICATE, "project_code"))
    if refused := refusal([*lacks, *documents]):
        return refused
    warnings = (str(Lack(Code.DUPLICATE, "project_code")),) if done is not None else ()
    return Decision(Standing.ACCEPTED, changes=(AddMakeup(done is not None),), gaps=warnings)


def decide(state: ApplicationState, ruling: Ruling) -> tuple[Change, ...]:
    """S58: return what a decision about a make-up entry changes.

    Raises:
        CannotDecide: it is decided already, or a reason is lacking.
    """
    after = applications.decide(state, ruling)
    settled = SetState(after, ruling.reason)
    return (settled, LinkMakeup()) if after is ApplicationState.ACCEPTED else (settled,)
