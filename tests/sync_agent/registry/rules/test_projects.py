from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from sync_agent.contract.codes import Code
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import MakeupEntry
from sync_agent.registry.rules import projects_rows
from sync_agent.registry.rules.applications import CannotDecide, Ruling, Verdict
from sync_agent.registry.rules.projects import Done, Participant, Reported, Work, make_up, report
from sync_agent.registry.rules.projects_rows import BuildingPermit, Notice
from sync_agent.registry.tables import (
    ApplicationState,
    AuditEvent,
    ConstructionPermit,
    MakeupRow,
    NoticeKind,
    Performance,
    Project,
    ProjectParticipant,
    ProjectStatus,
)
from tests.sync_agent.registry.rules.office import USCC, Office
from tests.sync_agent.world import NOW, World

ENTRY = MakeupEntry(
    project_code="5401022301010001",
    project_name="测试小学教学楼",
    performance="construction",
    begun=date(2023, 4, 1),
    completed=date(2025, 9, 30),
)
COMPLETED = Reported(
    code=ENTRY.project_code,
    name="测试小学教学楼（一期）",
    status=ProjectStatus.COMPLETE,
    source="realname_platform",
    at=NOW,
    begun=date(2023, 4, 3),
    completed=date(2025, 10, 2),
    participants=(
        Participant(USCC, "general-contractor"),
        Participant(USCC, "client"),
        Participant("91510100MA6UNKNOWN", "supervision"),
    ),
)
ACCEPT = Ruling("reviewer-1", Verdict.ACCEPT)
ON = NOW.date()


def reports(world: World, reported: Reported, now: datetime = NOW) -> None:
    with world.database.write() as session:
        projects_rows.report(session, reported, now)


def performances(world: World) -> list[Performance]:
    with world.database.read() as session:
        return list(session.scalars(select(Performance)))


def decide(world: World, ruling: Ruling = ACCEPT) -> ApplicationState:
    with world.database.write() as session:
        makeup = session.scalars(select(MakeupRow.id).order_by(MakeupRow.id.desc())).first()
        assert makeup is not None
        return projects_rows.decide(session, makeup, ruling, NOW)


# --- S55-S57 --------------------------------------------------------------------------------------------------------


def test_s57_a_completed_project_becomes_one_row_of_performance(world: World) -> None:
    """S55, S57: however often it is reported; who ordered it has none from it, and a stranger is left out."""
    Office(world)
    for _ in range(2):
        reports(world, COMPLETED)
    [row] = performances(world)
    assert (row.uscc, row.kind, row.automatic_at, row.makeup_at) == (USCC, "construction", NOW, None)
    with world.database.read() as session:
        assert session.scalars(select(Project.status)).one() is ProjectStatus.COMPLETE
        assert set(session.scalars(select(ProjectParticipant.role))) == {"general-contractor", "client"}


def test_s57_a_project_under_way_is_no_performance(world: World) -> None:
    Office(world)
    reports(world, Reported(**_fields(COMPLETED, status=ProjectStatus.UNDER_WAY)))
    assert performances(world) == []


def test_s55_an_older_report_that_comes_later_changes_nothing(world: World) -> None:
    Office(world)
    reports(world, COMPLETED)
    reports(world, Reported(**_fields(COMPLETED, status=ProjectStatus.UNDER_WAY, at=NOW - timedelta(days=1))))
    with world.database.read() as session:
        assert session.scalars(select(Project.status)).one() is ProjectStatus.COMPLETE
    reports(world, Reported(**_fields(COMPLETED, status=ProjectStatus.STOPPED, at=NOW + timedelta(days=1))))
    with world.database.read() as session:
        assert session.scalars(select(Project.status)).one() is ProjectStatus.STOPPED


@given(st.sampled_from(list(ProjectStatus)), st.integers(-3, 3))
def test_s57_only_what_is_newest_and_complete_makes_performance(status: ProjectStatus, later_h: int) -> None:
    changes = report(NOW, Reported(**_fields(COMPLETED, status=status, at=NOW + timedelta(hours=later_h))))
    assert bool(changes) == (later_h >= 0)
    assert (len(changes) > 1) == (later_h >= 0 and status is ProjectStatus.COMPLETE)


# --- S58 ------------------------------------------------------------------------------------------------------------


def test_s58_a_make_up_entry_that_staff_accepts_is_performance(world: World) -> None:
    office = Office(world)
    answer = office.asks_with_picture(ENTRY)
    assert (answer.standing, answer.gaps, answer.effective_from) == (Standing.ACCEPTED, (), None)
    assert performances(world) == []
    assert decide(world) is ApplicationState.ACCEPTED
    [row] = performances(world)
    assert (row.automatic_at, row.makeup_at, row.project_name) == (None, NOW, ENTRY.project_name)
    with world.database.read() as session:
        assert [(event.actor, event.action) for event in session.scalars(select(AuditEvent))][-1] == (
            "reviewer-1",
            "application.accept",
        )


@pytest.mark.parametrize("order", ["automatic first", "between", "automatic last"])
def test_s58_the_same_project_twice_is_one_row_with_two_sources(world: World, order: str) -> None:
    office = Office(world)
    if order == "automatic first":
        reports(world, COMPLETED)
    answer = office.asks_with_picture(ENTRY)
    assert answer.standing is Standing.ACCEPTED
    assert answer.gaps == (("DUPLICATE:project_code",) if order == "automatic first" else ())
    if order == "between":
        reports(world, COMPLETED)
    decide(world)
    if order == "automatic last":
        reports(world, COMPLETED)
    [row] = performances(world)
    assert row.automatic_at is not None and row.makeup_at is not None
    assert row.project_name == COMPLETED.name  # the platform's word stands
    with world.database.read() as session:
        entry = session.scalars(select(MakeupRow)).one()
        assert (entry.performance_id, entry.is_duplicate) == (row.id, True)


def test_s58_the_same_entry_waits_once(world: World) -> None:
    office = Office(world)
    office.asks_with_picture(ENTRY)
    assert office.asks_with_picture(ENTRY).code is Code.DUPLICATE
    assert office.asks_with_picture(ENTRY.model_copy(update={"project_code": "2"})).standing is Standing.ACCEPTED


def test_s58_what_was_returned_may_be_entered_again_and_nothing_is_decided_twice(world: World) -> None:
    office = Office(world)
    office.asks_with_picture(ENTRY)
    with pytest.raises(CannotDecide, match="reason"):
        decide(world, Ruling("reviewer-1", Verdict.RETURN))
    assert decide(world, Ruling("reviewer-1", Verdict.RETURN, "unreadable")) is ApplicationState.RETURNED
    with pytest.raises(CannotDecide):
        decide(world)
    assert performances(world) == []
    assert office.asks_with_picture(ENTRY).standing is Standing.ACCEPTED
    assert decide(world) is ApplicationState.ACCEPTED


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ({"performance": "cooking"}, "WRONG_CONTENT:performance"),
        ({"completed": date(2022, 1, 1)}, "WRONG_CONTENT:completed"),
        ({"completed": date(2030, 1, 1)}, "WRONG_CONTENT:completed"),
        ({"project_code": " "}, "WRONG_CONTENT:project_code"),
        ({"project_name": ""}, "WRONG_CONTENT:project_name"),
        ({}, None),
    ],
)
def test_s58_what_cannot_be_is_refused(change: dict[str, Any], gap: str | None) -> None:
    answer = make_up(ENTRY.model_copy(update=change), None, False, (), ON)
    assert (answer.gaps[0] if answer.gaps else None) == gap
    assert (answer.standing is Standing.ACCEPTED) == (gap is None) == bool(answer.changes)


def test_s58_an_entry_without_evidence_is_refused(world: World) -> None:
    assert Office(world).asks(ENTRY).gaps == ("ATTACHMENT_MISSING:evidence",)


@given(st.booleans(), st.booleans(), st.booleans())
def test_s58_a_duplicate_warns_and_only_a_second_entry_is_refused(automatic: bool, made_up: bool, has_open: bool) -> None:
    done = Done(automatic, made_up) if automatic or made_up else None
    answer = make_up(ENTRY, done, has_open, (), ON)
    assert (answer.standing is Standing.REFUSED) == (made_up or has_open)
    assert bool(answer.gaps) == (automatic or made_up or has_open)


# --- S59, S60 -------------------------------------------------------------------------------------------------------


def test_s59_a_construction_permit_is_kept_once(world: World) -> None:
    Office(world)
    for issuer in ("甲", "乙"):
        with world.database.write() as session:
            permit = BuildingPermit("540102202301010101", USCC, ENTRY.project_code, issuer, date(2023, 4, 1), "four_db")
            projects_rows.keep_permit(session, permit)
    with world.database.read() as session:
        assert session.scalars(select(ConstructionPermit)).one().issuer == "乙"


def test_s60_notices_are_unread_until_they_are_seen(world: World) -> None:
    Office(world)
    notices = [
        Notice(USCC, kind, "标题", "正文", "测试住建局", date(2026, 1, 5), "four_db", f"n-{kind}")
        for kind in (NoticeKind.PENALTY, NoticeKind.COMMENDATION)
    ]
    with world.database.write() as session:
        assert [projects_rows.keep_notices(session, notices) for _ in range(2)] == [2, 0]
        assert projects_rows.unread(session, USCC) == 2
        projects_rows.mark_read(session, "91510100MA6UNKNOWN", [1, 2], NOW)
        assert projects_rows.unread(session, USCC) == 2
        projects_rows.mark_read(session, USCC, [1], NOW)
        assert projects_rows.unread(session, USCC) == 1
        projects_rows.keep_notices(session, notices)
        assert projects_rows.unread(session, USCC) == 1
    assert "正文" not in repr(notices[0])


def _fields(reported: Reported, **other: Any) -> dict[str, Any]:
    names = ("code", "name", "status", "source", "at", "begun", "completed", "participants")
    return {name: getattr(reported, name) for name in names} | other


def test_every_kind_of_work_has_a_role_that_does_it() -> None:
    from sync_agent.registry.rules.projects import WORK_OF_ROLE

    assert set(WORK_OF_ROLE.values()) == set(Work)
