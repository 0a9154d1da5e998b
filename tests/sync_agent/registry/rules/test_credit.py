from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import CreditEntry, EmploymentKind
from sync_agent.registry.rules import credit_rows
from sync_agent.registry.rules.applications import CannotDecide, Ruling, Verdict
from sync_agent.registry.rules.credit import claim
from sync_agent.registry.tables import ApplicationState, CreditClaim, CreditRecord, Employment, LibraryStatus, Person
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.office import USCC, Office
from tests.sync_agent.world import NOW, World

BONUS = CreditEntry(about="bonus", title="优质工程奖", on=date(2026, 1, 10))
PERSONAL = CreditEntry(about="personal-record", number=PEOPLE["deji"].number, title="先进个人", on=date(2026, 1, 10))
ACCEPT = Ruling("reviewer-1", Verdict.ACCEPT)


def decide(world: World, ruling: Ruling = ACCEPT, points: float = 2.0) -> ApplicationState:
    with world.database.write() as session:
        return credit_rows.decide(session, session.scalars(select(CreditClaim.id)).one(), ruling, NOW, points)


def test_s61_a_claim_that_staff_accepts_is_in_the_credit_record(world: World) -> None:
    assert Office(world).asks_with_picture(BONUS).standing is Standing.ACCEPTED
    with world.database.read() as session:
        assert session.scalars(select(CreditRecord)).all() == []
    assert decide(world) is ApplicationState.ACCEPTED
    with world.database.read() as session:
        row = session.scalars(select(CreditRecord)).one()
        assert (row.uscc, row.person_id, row.is_bonus, row.points, row.title) == (USCC, None, True, 2.0, BONUS.title)
        assert session.scalars(select(CreditClaim.credit_id)).one() == row.id


def test_s61_a_personal_record_is_of_somebody_who_works_there(world: World) -> None:
    office = Office(world)
    assert office.asks_with_picture(PERSONAL).gaps == ("WRONG_CONTENT:number",)
    with world.database.write() as session:
        person = session.scalars(select(Person).where(Person.has_number(PERSONAL.number))).one()
        state = {"status": LibraryStatus.IN_LIBRARY, "in_library_at": NOW, "seen_at": NOW, "changed_at": NOW}
        session.add(Employment(uscc=USCC, person_id=person.id, kind=EmploymentKind.TITLED, source="manual", **state))
    assert office.asks_with_picture(PERSONAL).standing is Standing.ACCEPTED
    decide(world)
    with world.database.read() as session:
        row = session.scalars(select(CreditRecord)).one()
        assert (row.uscc, row.person_id, row.is_bonus) == (None, person.id, False)


def test_s61_what_is_returned_or_worth_too_much_is_no_credit(world: World) -> None:
    Office(world).asks_with_picture(BONUS)
    with pytest.raises(CannotDecide, match="points"):
        decide(world, points=1e6)
    assert decide(world, Ruling("reviewer-1", Verdict.REJECT, "无证明")) is ApplicationState.REJECTED
    with world.database.read() as session:
        assert session.scalars(select(CreditRecord)).all() == []


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ({"title": ""}, "WRONG_CONTENT:title"),
        ({"on": date(2027, 1, 1)}, "WRONG_CONTENT:on"),
        ({"number": PERSONAL.number}, "WRONG_CONTENT:number"),
        ({}, None),
    ],
)
def test_s61_what_cannot_be_is_refused(change: dict[str, Any], gap: str | None) -> None:
    answer = claim(BONUS.model_copy(update=change), False, (), NOW.date())
    assert (answer.gaps[0] if answer.gaps else None) == gap


def test_s61_a_claim_without_evidence_is_refused(world: World) -> None:
    assert Office(world).asks(BONUS).gaps == ("ATTACHMENT_MISSING:evidence",)
