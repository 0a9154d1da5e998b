from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from sync_agent.contract.codes import Code
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import QualificationAction, QualificationEntry
from sync_agent.registry import qualifications
from sync_agent.registry.rules import licences_rows, submissions_rows
from sync_agent.registry.rules.applications import UNDER_WAY, CannotDecide, Ruling, Verdict, decide
from sync_agent.registry.rules.licences import FOUR_DB, OWN, Grant, Held, Pending, request
from sync_agent.registry.rules.submissions import Line
from sync_agent.registry.tables import ApplicationState, Qualification, QualificationLine, QualificationRequest, Region
from tests.sync_agent.registry.rules.office import USCC, Office, attachment, codes, picture
from tests.sync_agent.world import NOW, World

LINE = "建筑工程施工总承包"
ON = NOW.date()
GENERAL = Line("general")
HELD = Held("D1", LINE, "二级", OWN)
APPLY = QualificationEntry(action=QualificationAction.APPLY, line=LINE, grade="二级")
CHANGE = QualificationEntry(action=QualificationAction.CHANGE, line=LINE, grade="一级", certificate="D1")
RENEW = QualificationEntry(action=QualificationAction.RENEW, line=LINE, grade="二级", certificate="D1")
CANCEL = QualificationEntry(action=QualificationAction.CANCEL, line=LINE, grade="二级", certificate="D1")
ACCEPT = Ruling("reviewer-1", Verdict.ACCEPT)


def grant(number: str, until: date = date(2031, 3, 1)) -> Grant:
    return Grant(number, "测试住建厅", date(2026, 3, 2), until)


def settle(world: World, ruling: Ruling = ACCEPT, certificate: Grant | None = None) -> ApplicationState:
    with world.database.write() as session:
        newest = session.scalars(select(QualificationRequest.id).order_by(QualificationRequest.id.desc())).first()
        assert newest is not None
        return licences_rows.decide(session, newest, ruling, NOW, certificate)


def held(world: World) -> list[tuple[str, str, date | None, bool]]:
    with world.database.read() as session:
        rows = session.scalars(select(Qualification).order_by(Qualification.id))
        return [(row.number, row.grade, row.valid_until, row.cancelled_at is not None) for row in rows]


def holds(world: World, source: str = OWN) -> None:
    with world.database.write() as session:
        row = {"uscc": USCC, "number": "D1", "line": LINE, "grade": "二级", "source": source, "changed_at": NOW}
        session.add(Qualification(**row, valid_until=date(2026, 6, 30)))


# --- S41, each of four end to end -----------------------------------------------------------------------------------


def test_s41_apply_from_the_kiosk_to_the_certificate(world: World) -> None:
    """S40, S41: what was granted is held, and asking for it again is refused."""
    office = Office(world, Region.IN)
    answer = office.asks_with_picture(APPLY)
    assert (answer.standing, answer.effective_from) == (Standing.ACCEPTED, None)
    assert held(world) == []
    assert settle(world, Ruling("reviewer-1", Verdict.TAKE)) is ApplicationState.IN_REVIEW
    assert settle(world, certificate=grant("D1")) is ApplicationState.ACCEPTED
    assert held(world) == [("D1", "二级", date(2031, 3, 1), False)]
    again = office.asks_with_picture(APPLY)
    assert (again.code, again.gaps) == (Code.DUPLICATE, ("DUPLICATE:line",))


@pytest.mark.parametrize(
    ("entry", "certificate", "after"),
    [
        (CHANGE, grant("D2"), ("D2", "一级", date(2031, 3, 1), False)),
        (RENEW, grant("D1"), ("D1", "二级", date(2031, 3, 1), False)),
        (CANCEL, None, ("D1", "二级", date(2026, 6, 30), True)),
    ],
)
def test_s41_change_renew_and_cancel_from_the_kiosk_to_the_registry(
    world: World, entry: QualificationEntry, certificate: Grant | None, after: tuple[str, str, date, bool]
) -> None:
    office = Office(world, Region.IN)
    holds(world)
    assert office.asks_with_picture(entry).standing is Standing.ACCEPTED
    assert held(world) == [("D1", "二级", date(2026, 6, 30), False)]
    settle(world, certificate=certificate)
    assert held(world) == [after]


@pytest.mark.parametrize("entry", [APPLY, CHANGE, RENEW, CANCEL])
@pytest.mark.parametrize(("verdict", "state"), [(Verdict.RETURN, "returned"), (Verdict.REJECT, "rejected")])
def test_s41_what_is_not_accepted_changes_no_qualification(
    world: World, entry: QualificationEntry, verdict: Verdict, state: str
) -> None:
    office = Office(world, Region.IN)
    if entry is not APPLY:
        holds(world)
    before = held(world)
    office.asks_with_picture(entry)
    assert settle(world, Ruling("reviewer-1", verdict, "第 2 页缺章")) == state
    assert held(world) == before
    with world.database.read() as session:
        assert session.scalars(select(QualificationRequest.reason)).one() == "第 2 页缺章"
    assert office.asks_with_picture(entry).standing is Standing.ACCEPTED  # as a new one


def test_s41_accepting_takes_a_certificate_and_a_qualification_that_is_still_held(world: World) -> None:
    office = Office(world, Region.IN)
    holds(world)
    office.asks_with_picture(RENEW)
    for wrong in (None, grant(""), grant("D1", date(2020, 1, 1))):
        with pytest.raises(CannotDecide):
            settle(world, certificate=wrong)
    with world.database.write() as session:
        session.scalars(select(Qualification)).one().cancelled_at = NOW
    with pytest.raises(CannotDecide, match="not held any more"):
        settle(world, certificate=grant("D1"))
    with world.database.read() as session:
        assert session.scalars(select(QualificationRequest.state)).one() is ApplicationState.SUBMITTED


# --- S42 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [APPLY, CHANGE, RENEW, CANCEL])
def test_s42_out_of_region_and_what_four_db_says_are_read_only(entry: QualificationEntry) -> None:
    theirs = Held("D1", LINE, "二级", FOUR_DB)
    assert request(Region.OUT, entry, GENERAL, [HELD], [], [], ON).code is Code.OUT_OF_REGION_READONLY
    if entry.certificate:
        assert request(Region.IN, entry, GENERAL, [theirs], [], [], ON).code is Code.OUT_OF_REGION_READONLY
    mine = [HELD] if entry.certificate else []
    assert request(Region.IN, entry, GENERAL, mine, [], [], ON).standing is Standing.ACCEPTED


def test_s42_an_out_of_region_enterprise_asks_in_vain(world: World) -> None:
    office = Office(world, Region.OUT)
    holds(world, FOUR_DB)
    assert office.asks_with_picture(RENEW).code is Code.OUT_OF_REGION_READONLY
    with world.database.read() as session:
        assert session.scalars(select(QualificationRequest)).all() == []


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "change", "line", "gap"),
    [
        (APPLY, {"certificate": "D9"}, GENERAL, "WRONG_CONTENT:certificate"),
        (APPLY, {}, None, "WRONG_CONTENT:line"),
        (APPLY, {}, Line("general", is_valid=False), "WRONG_CONTENT:line"),
        (APPLY, {}, Line("declared"), "WRONG_CONTENT:line"),
        (CHANGE, {"certificate": "D9"}, GENERAL, "WRONG_CONTENT:certificate"),
        (CHANGE, {"grade": "二级"}, GENERAL, "WRONG_CONTENT:reason"),
        (RENEW, {"certificate": ""}, GENERAL, "WRONG_CONTENT:certificate"),
        (RENEW, {"line": "公路工程施工总承包"}, GENERAL, "WRONG_CONTENT:line"),
        (CANCEL, {"certificate": "D9"}, GENERAL, "WRONG_CONTENT:certificate"),
    ],
)
def test_s41_what_cannot_be_is_refused(entry: QualificationEntry, change: dict[str, Any], line: Line | None, gap: str) -> None:
    mine = [HELD] if entry is not APPLY else []
    answer = request(Region.IN, entry.model_copy(update=change), line, mine, [], [], ON)
    assert (answer.standing, answer.gaps, answer.changes) == (Standing.REFUSED, (gap,), ())
    assert request(Region.IN, entry, GENERAL, mine, [], [], ON).standing is Standing.ACCEPTED


def test_s41_two_requests_about_one_thing_do_not_wait_side_by_side() -> None:
    assert request(Region.IN, RENEW, GENERAL, [HELD], [Pending(LINE, "D1")], [], ON).code is Code.DUPLICATE
    assert request(Region.IN, RENEW, GENERAL, [HELD], [Pending(LINE, "D7")], [], ON).standing is Standing.ACCEPTED
    assert request(Region.IN, APPLY, GENERAL, [], [Pending(LINE, "")], [], ON).code is Code.DUPLICATE


def test_everything_that_lacks_is_said_at_once(world: World) -> None:
    wrong = APPLY.model_copy(update={"line": "航天工程", "certificate": "D9"})
    assert codes(Office(world, Region.IN).asks(wrong)) == {Code.WRONG_CONTENT, Code.ATTACHMENT_MISSING}


# --- the states (4.7) -----------------------------------------------------------------------------------------------


@given(st.sampled_from(list(ApplicationState)), st.sampled_from(list(Verdict)), st.sampled_from(["", " ", "why"]))
def test_4_7_only_what_waits_is_decided_and_no_is_said_with_a_reason(
    state: ApplicationState, verdict: Verdict, reason: str
) -> None:
    waits = state in UNDER_WAY and not (verdict is Verdict.TAKE and state is ApplicationState.IN_REVIEW)
    is_free = verdict in (Verdict.TAKE, Verdict.ACCEPT) or bool(reason.strip())
    if waits and is_free:
        after = decide(state, Ruling("reviewer-1", verdict, reason))
        assert (after in UNDER_WAY) == (verdict is Verdict.TAKE)
    else:
        with pytest.raises(CannotDecide):
            decide(state, Ruling("reviewer-1", verdict, reason))


# --- who signs ------------------------------------------------------------------------------------------------------


def test_the_agent_in_office_signs_as_well(world: World) -> None:
    office = Office(world, Region.IN)
    content = picture()
    office.sends(content)
    assert office.asks(APPLY, attachment(content), who="deji").standing is Standing.ACCEPTED


def test_who_proved_nothing_or_is_no_agent_does_not_sign(world: World) -> None:
    """NOT_SIGNED: an invented record; the proof of somebody else; an agent's word where nobody is in office."""
    office = Office(world, Region.IN, agent=False)
    content = picture()
    office.sends(content)
    assert office.asks(APPLY, attachment(content), proof="0190a000-0000-7000-8000-000000000000").code is Code.NOT_SIGNED
    assert office.asks(APPLY, attachment(content), who="deji", proof=office.proves()).code is Code.NOT_SIGNED
    assert office.asks(APPLY, attachment(content), who="zhaxi", proof=office.proves()).standing is Standing.ACCEPTED


# --- 10.7 -----------------------------------------------------------------------------------------------------------


def test_10_7_both_vocabularies_are_in_force_side_by_side(world: World) -> None:
    for _ in range(2):
        with world.database.write() as session:
            qualifications.load(session)
    with world.database.read() as session:
        assert submissions_rows.line_of(session, LINE, "一级", ON) == Line("general")
        assert submissions_rows.line_of(session, LINE, "甲级", ON) == Line("general")
        assert submissions_rows.line_of(session, LINE, "甲级", date(2019, 1, 1)) == Line("general", is_valid=False)
        assert submissions_rows.line_of(session, LINE, "丙级", ON) is None
        assert submissions_rows.line_of(session, "cost-consulting", "", ON) == Line("declared")
        old = [row for row in session.scalars(select(QualificationLine)) if row.valid_from.year == 2015]
    assert len({row.line for row in old if row.family == "general"}) == 12
    assert len({row.line for row in old if row.family == "specialised"}) == 36
