"""Loads an enterprise's people for whoever chooses among them: a handful of questions however many they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.registry.rules import locks_rows
from sync_agent.registry.rules.flags_rows import EVERYWHERE
from sync_agent.registry.rules.library import Employed, Paper, Requirement
from sync_agent.registry.tables import (
    AbnormalCode,
    AbnormalFlag,
    Certificate,
    Employment,
    LibraryStatus,
    QualificationRequirement,
)


def people(session: Session, uscc: str, now: datetime, zone: ZoneInfo) -> tuple[Employed, ...]:
    """Return everybody of an enterprise who did not leave, as each thing that they are (S24)."""
    asked = select(Employment).where(Employment.uscc == uscc, Employment.status != LibraryStatus.LEFT).order_by(Employment.id)
    return of_rows(session, uscc, session.scalars(asked).all(), now, zone)


def posts(session: Session, uscc: str, person: int, now: datetime, zone: ZoneInfo) -> tuple[Employed, ...]:
    """Return all that one human being is or was in an enterprise, their rows locked (S28, S49)."""
    asked = select(Employment).where(Employment.uscc == uscc, Employment.person_id == person).order_by(Employment.id)
    rows = session.scalars(asked.with_for_update().execution_options(populate_existing=True)).all()
    return of_rows(session, uscc, rows, now, zone)


def requirements(session: Session, line: str, grade: str) -> tuple[Requirement, ...]:
    """Return the people that a line and grade wants (S24)."""
    wanted = QualificationRequirement
    asked = select(wanted).where(wanted.line == line, wanted.grade == grade).order_by(wanted.id)
    return tuple(Requirement(row.employment, row.count, row.specialty) for row in session.scalars(asked))


def of_rows(session: Session, uscc: str, rows: Collection[Employment], now: datetime, zone: ZoneInfo) -> tuple[Employed, ...]:
    """Return employments of an enterprise with what lies over them, in the same order."""
    ids = {row.person_id for row in rows}
    if not ids:
        return ()
    papers = _papers(session, ids)
    flags: defaultdict[int, set[AbnormalCode]] = defaultdict(set)
    raised = select(AbnormalFlag.person_id, AbnormalFlag.code).where(
        AbnormalFlag.person_id.in_(ids), AbnormalFlag.uscc.in_((uscc, EVERYWHERE)), AbnormalFlag.cleared_at.is_(None)
    )
    for person, code in session.execute(raised):
        flags[person].add(code)
    locked = locks_rows.locked(session, ids, now, zone)
    return tuple(
        Employed(
            id=row.id,
            person=row.person_id,
            kind=row.kind,
            status=row.status,
            source=row.source,
            fails=row.fails,
            papers=papers.get(row.person_id, ()),
            flags=frozenset(flags[row.person_id]),
            is_locked=row.person_id in locked,
        )
        for row in rows
    )


def _papers(session: Session, people: Collection[int]) -> Mapping[int, tuple[Paper, ...]]:
    of: defaultdict[int, tuple[Paper, ...]] = defaultdict(tuple)
    row = Certificate
    asked = select(row.person_id, row.family, row.specialty, row.valid_from, row.valid_until, row.status)
    found = session.execute(asked.where(row.person_id.in_(people)).order_by(row.id))
    for person, family, specialty, begins, ends, status in found:
        of[person] += (Paper(family, specialty, begins, ends, status),)
    return of
