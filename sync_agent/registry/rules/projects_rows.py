"""Loads and writes for projects, performance, make-up entries, permits and notices: from upstream and from kiosks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from sync_agent.contract.kinds import Request
from sync_agent.contract.requests import MakeupEntry
from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import applications, applications_rows, documents, requests_rows
from sync_agent.registry.rules import projects as rule
from sync_agent.registry.rules.applications import Ruling
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.projects import AddMakeup, Done, KeepPerformance, LinkMakeup, Reported
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import (
    AdminNotice,
    ApplicationState,
    ConstructionPermit,
    Enterprise,
    MakeupRow,
    NoticeKind,
    Performance,
    Project,
    ProjectParticipant,
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice as an upstream system reports it (S60); natural key: source and key."""

    uscc: str
    kind: NoticeKind
    title: str
    text: str
    issuer: str
    issued: date
    source: str
    key: str

    def __repr__(self) -> str:
        """Name nobody: its text may."""
        return f"Notice({self.kind})"


@dataclass(frozen=True, slots=True)
class BuildingPermit:
    """A construction permit as an upstream system reports it (S59); natural key: its number."""

    number: str
    uscc: str
    project_code: str
    issuer: str
    issued: date
    source: str


def report(session: Session, reported: Reported, now: datetime) -> None:
    """S55, S57: take over what an upstream system says of a project; again, late or out of order does no harm.

    Enterprises that the registry does not know are left out: whoever brings one in reports their projects again.

    Args:
        session: a write transaction.
        reported: in our own words.
        now: the time.
    """
    # Enterprises first, in the order in which everybody locks them.
    usccs = {each.uscc for each in reported.participants}
    asked = select(Enterprise.uscc).where(Enterprise.uscc.in_(usccs)).order_by(Enterprise.uscc).with_for_update()
    known = set(session.scalars(asked))
    project = session.get(Project, reported.code, with_for_update=True)
    is_first = project is None and insert_absent(session, Project, {"code": reported.code, **_project(reported)})
    if project is None and not is_first:
        project = session.get_one(Project, reported.code, with_for_update=True)
    for change in rule.report(None if project is None else project.changed_at, reported):
        if isinstance(change, KeepPerformance):
            if change.uscc in known:
                _keep_performance(session, reported, change, now)
            continue
        if project is not None:
            for name, value in _project(reported).items():
                setattr(project, name, value)
        for each in reported.participants:
            if each.uscc in known:
                insert_absent(session, ProjectParticipant, {"code": reported.code, "uscc": each.uscc, "role": each.role})


def make_up(work: Work) -> Decision:
    """S58: an enterprise enters a completed project that the automatic record lacks."""
    asked = requests_rows.receive(work, MakeupEntry)
    if isinstance(asked, Decision):
        return asked
    uscc, entry = asked.firm.uscc, asked.body
    work.session.flush()
    same = select(MakeupRow).where(
        MakeupRow.uscc == uscc,
        MakeupRow.project_code == entry.project_code,
        MakeupRow.state.in_(applications.UNDER_WAY),
    )
    has_open = any(_entry(row).performance == entry.performance for row in work.session.scalars(same))
    row = _performance(work.session, uscc, entry.project_code, entry.performance)
    done = None if row is None else Done(row.automatic_at is not None, row.makeup_at is not None)
    lacks = [*asked.lacks, *documents.wanted(work.facts(Request).attachments, "evidence")]

    def write(change: Change) -> None:
        assert isinstance(change, AddMakeup)
        work.session.add(
            MakeupRow(
                record_id=work.record.event.id,
                uscc=uscc,
                project_code=entry.project_code,
                content=entry.model_dump_json(),
                state=ApplicationState.SUBMITTED,
                is_duplicate=change.is_duplicate,
                performance_id=None if row is None else row.id,
                at=work.now,
                decided_at=None,
            )
        )

    return requests_rows.settle(work, asked, rule.make_up(entry, done, has_open, lacks, work.on), write)


def decide(session: Session, makeup_id: int, ruling: Ruling, now: datetime) -> ApplicationState:
    """S58: have staff decide about a make-up entry.

    Args:
        session: a write transaction.
        makeup_id: which.
        ruling: what is decided, and by whom.
        now: the time.

    Returns:
        Its state from now on.

    Raises:
        CannotDecide: no such entry, or it cannot be decided so; nothing is changed.
    """
    row, _ = applications_rows.locked(session, MakeupRow, makeup_id)
    for change in rule.decide(row.state, ruling):
        if isinstance(change, LinkMakeup):
            _link(session, row, now)
        else:
            applications_rows.settle(session, row, change, ruling, now)
    return row.state


def keep_permit(session: Session, permit: BuildingPermit) -> None:
    """S59: take over a construction permit; the newest that is said of a number stands."""
    values = {
        "uscc": permit.uscc,
        "project_code": permit.project_code,
        "issuer": permit.issuer,
        "issued": permit.issued,
        "source": permit.source,
    }
    if not insert_absent(session, ConstructionPermit, {"number": permit.number, **values}):
        session.execute(update(ConstructionPermit).where(ConstructionPermit.number == permit.number).values(values))


def keep_notices(session: Session, notices: Iterable[Notice]) -> int:
    """S60: take over notices; return how many are new. What was read stays read."""
    return sum(
        insert_absent(
            session,
            AdminNotice,
            {
                "uscc": notice.uscc,
                "kind": notice.kind,
                "title": notice.title,
                "text": notice.text,
                "issuer": notice.issuer,
                "issued": notice.issued,
                "source": notice.source,
                "key": notice.key,
            },
        )
        for notice in notices
    )


def unread(session: Session, uscc: str) -> int:
    """S60: return how many notices an enterprise has not seen."""
    asked = select(func.count()).select_from(AdminNotice)
    return session.scalars(asked.where(AdminNotice.uscc == uscc, AdminNotice.read_at.is_(None))).one()


def mark_read(session: Session, uscc: str, notices: Iterable[int], now: datetime) -> None:
    """S60: note that an enterprise saw some of its notices; the first time stands."""
    mine = update(AdminNotice).where(AdminNotice.uscc == uscc, AdminNotice.id.in_(list(notices)))
    session.execute(mine.where(AdminNotice.read_at.is_(None)).values(read_at=now))


def _keep_performance(session: Session, reported: Reported, change: KeepPerformance, now: datetime) -> None:
    """S57, S58: one row; an entry that waits is linked to it, so that accepting it does not double it."""
    row = _performance_of(session, change.uscc, reported.code, reported.name, change.kind)
    row.project_name, row.begun, row.completed = reported.name, reported.begun, reported.completed
    row.automatic_at = row.automatic_at or now
    asked = select(MakeupRow).where(MakeupRow.uscc == change.uscc, MakeupRow.project_code == reported.code)
    for entry in session.scalars(asked.order_by(MakeupRow.id).with_for_update()):
        if _entry(entry).performance == change.kind:
            entry.performance_id, entry.is_duplicate = row.id, True


def _link(session: Session, makeup: MakeupRow, now: datetime) -> None:
    entry = _entry(makeup)
    row = _performance_of(session, makeup.uscc, entry.project_code, entry.project_name, entry.performance)
    if row.automatic_at is None:  # what the platform says stands
        row.project_name, row.begun, row.completed = entry.project_name, entry.begun, entry.completed
    row.makeup_at = row.makeup_at or now
    makeup.performance_id = row.id


def _performance_of(session: Session, uscc: str, code: str, name: str, kind: str) -> Performance:
    insert_absent(session, Performance, {"uscc": uscc, "project_code": code, "project_name": name, "kind": kind})
    row = _performance(session, uscc, code, kind)
    if row is None:
        raise LookupError("a row of performance that was just inserted is not there")
    return row


def _performance(session: Session, uscc: str, code: str, kind: str) -> Performance | None:
    asked = select(Performance).where(Performance.uscc == uscc, Performance.project_code == code, Performance.kind == kind)
    return session.scalar(asked.with_for_update())


def _project(reported: Reported) -> dict[str, object]:
    return {
        "name": reported.name,
        "status": reported.status,
        "begun": reported.begun,
        "completed": reported.completed,
        "source": reported.source,
        "changed_at": reported.at,
    }


def _entry(row: MakeupRow) -> MakeupEntry:
    return MakeupEntry.model_validate_json(row.content)
