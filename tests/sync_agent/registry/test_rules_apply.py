from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Direction, Outcome, PartState
from sync_agent.contract.receipts import Standing
from sync_agent.registry.rules.decision import Member, SetParts
from sync_agent.registry.rules.health import report
from sync_agent.registry.tables import (
    AttendanceRow,
    CaseKind,
    CaseState,
    DeviceStatus,
    LibraryStatus,
    Person,
    Personnel,
    ReviewCase,
    VerificationRow,
)
from system.simulate.people import PEOPLE
from tests.sync_agent.world import (
    BOOK,
    DEVICE,
    NOW,
    SITE,
    World,
    attendance,
    capture,
    case,
    health,
    holder,
    reference,
    verification,
)


def place_of(world: World, who: str) -> Member | None:
    with world.database.read() as session:
        asked = select(Personnel).join(Person).where(Person.has_number(PEOPLE[who].number), Personnel.site_id == SITE)
        row = session.scalar(asked)
        return None if row is None else Member(row.status, row.effective_from)


def test_a_worker_goes_from_the_roster_to_the_gate(world: World) -> None:
    world.expect("zhaxi")
    captured = world.happens(capture(), holder("zhaxi"))
    assert (captured.standing, captured.effective_from) == (Standing.ACCEPTED, None)
    assert place_of(world, "zhaxi") == Member(LibraryStatus.CAPTURED)

    early = world.happens(attendance(), reference("zhaxi"))
    assert (early.standing, early.code) == (Standing.REFUSED, Code.NOT_VERIFIED)

    later = NOW + timedelta(minutes=1)
    verified = world.happens(verification(), holder("zhaxi"), now=later)
    assert (verified.standing, verified.effective_from) == (Standing.ACCEPTED, later)
    assert place_of(world, "zhaxi") == Member(LibraryStatus.IN_LIBRARY, later)

    entered = world.happens(attendance(Direction.ENTER), reference("zhaxi"))
    assert (entered.standing, entered.person_id) == (Standing.ACCEPTED, verified.person_id)
    with world.database.read() as session:
        assert session.scalars(select(AttendanceRow)).one().direction is Direction.ENTER
        assert session.scalars(select(VerificationRow)).one().outcome is Outcome.MATCH


def test_somebody_who_is_not_expected_is_refused_and_known_by_name_and_number_alone(world: World) -> None:
    applied = world.happens(verification(), holder("wang"))
    assert (applied.standing, applied.code) == (Standing.REFUSED, Code.PERSON_NOT_EXPECTED)
    assert place_of(world, "wang") is None
    with world.database.read() as session:
        person = session.get_one(Person, applied.person_id)
        assert (person.name, person.number, person.card) == (PEOPLE["wang"].name, PEOPLE["wang"].number, None)


def test_a_failed_comparison_opens_a_case_with_a_deadline(world: World) -> None:
    world.expect("zhaxi")
    applied = world.happens(verification(Outcome.NO_MATCH, distance=0.9), holder("zhaxi"))
    assert applied.standing is Standing.IN_REVIEW
    with world.database.read() as session:
        opened = session.scalars(select(ReviewCase)).one()
    assert opened.number == applied.case_number
    assert (opened.kind, opened.state, opened.cause) == (CaseKind.COMPARISON, CaseState.OPEN, "no-match")
    assert opened.deadline == NOW + BOOK.review
    assert place_of(world, "zhaxi") == Member(LibraryStatus.ADDED)


def test_a_failed_comparison_takes_nobody_out_of_the_library(world: World) -> None:
    world.expect("zhaxi", LibraryStatus.IN_LIBRARY)
    before = place_of(world, "zhaxi")
    assert world.happens(verification(Outcome.NO_MATCH, distance=0.9), holder("zhaxi")).standing is Standing.IN_REVIEW
    assert place_of(world, "zhaxi") == before


def test_a_call_for_help_opens_a_case(world: World) -> None:
    applied = world.happens(case())
    assert (applied.standing, applied.person_id) == (Standing.IN_REVIEW, None)
    with world.database.read() as session:
        opened = session.scalars(select(ReviewCase)).one()
    assert (opened.kind, opened.step, opened.cause, opened.device_id) == (CaseKind.HELP, "face", "help", DEVICE)


@pytest.mark.parametrize("status", [None, *(s for s in LibraryStatus if s is not LibraryStatus.IN_LIBRARY)])
def test_who_is_not_in_the_library_does_not_attend(world: World, status: LibraryStatus | None) -> None:
    if status is not None:
        world.expect("zhaxi", status)
    applied = world.happens(attendance(), reference("zhaxi"))
    assert (applied.standing, applied.code) == (Standing.REFUSED, Code.NOT_VERIFIED)


def test_who_is_in_the_library_attends(world: World) -> None:
    world.expect("zhaxi", LibraryStatus.IN_LIBRARY)
    assert world.happens(attendance(), reference("zhaxi")).standing is Standing.ACCEPTED


def test_a_device_that_speaks_of_another_site_changes_nothing_there(world: World) -> None:
    world.expect("zhaxi")
    applied = world.happens(verification(site="site-8"), holder("zhaxi"))
    assert (applied.standing, applied.site_id) == (Standing.IN_REVIEW, "site-8")
    with world.database.read() as session:
        assert session.scalars(select(ReviewCase)).one().kind is CaseKind.OTHER_SITE


def test_the_card_that_was_read_last_stands_whatever_arrives_last(world: World) -> None:
    world.expect("zhaxi")
    world.happens(verification(), holder("zhaxi", address="later"), time=NOW + timedelta(hours=1))
    world.happens(verification(), holder("zhaxi", address="earlier"), time=NOW)
    with world.database.read() as session:
        assert "later" in (session.scalars(select(Person)).one().card or "")


def test_the_day_of_a_record_is_the_registrys_own(world: World) -> None:
    """The card ends on the first of March; at 16:30 UTC it is the second in Shanghai."""
    world.expect("zhaxi")
    ending = holder("zhaxi", valid_until=NOW.date() - timedelta(days=1))
    evening = NOW.replace(day=1, hour=16, minute=30)
    assert world.happens(verification(), ending, time=evening).code is Code.CARD_EXPIRED
    assert world.happens(verification(), ending, time=evening - timedelta(hours=1)).code is None


def test_a_self_test_is_kept_with_the_device(world: World) -> None:
    world.happens(health(reader=PartState.WELL, camera=PartState.FAILED))
    with world.database.read() as session:
        status = session.get_one(DeviceStatus, DEVICE)
    assert status.parts["camera"] == {"state": "failed", "code": "CAMERA-01", "since": NOW.isoformat()}
    assert (status.parts["reader"]["state"], status.version) == ("well", "0.1.0")


def test_an_older_self_test_that_arrives_late_changes_nothing() -> None:
    facts = health(camera=PartState.FAILED)
    assert report(NOW, facts, NOW - timedelta(seconds=1), NOW).changes == ()
    assert isinstance(report(NOW, facts, NOW, NOW).changes[0], SetParts)


def test_a_record_without_its_row_in_the_ledger_cannot_change_anything(world: World) -> None:
    world.expect("zhaxi")
    record, message = world.record(verification(Outcome.NO_MATCH, distance=0.9), holder("zhaxi"))
    with pytest.raises(IntegrityError), world.database.write() as session:
        world.enter(session, record, message, NOW)
        session.flush()
        session.expunge_all()
        session.connection().exec_driver_sql("DELETE FROM record")
    with world.database.read() as session:
        assert session.scalar(select(func.count()).select_from(ReviewCase)) == 0


def test_the_same_person_met_twice_at_the_same_moment_is_one_person(world: World) -> None:
    world.expect("zhaxi")
    records = [world.record(verification(), holder(who)) for who in ("zhaxi", "wang", "zhaxi", "wang")]
    together = threading.Barrier(len(records))
    failures: list[BaseException] = []

    def enter(number: int) -> None:
        together.wait(10)
        try:
            with world.database.write() as session:
                world.enter(session, *records[number], NOW)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(len(records))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    with world.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Person)) == 2
        assert session.scalar(select(func.count()).select_from(Personnel)) == 1
        assert session.scalar(select(func.count()).select_from(VerificationRow)) == 4
    assert place_of(world, "zhaxi") == Member(LibraryStatus.IN_LIBRARY, NOW)


def test_nobody_can_be_in_the_library_since_never(world: World) -> None:
    world.expect("zhaxi")
    with pytest.raises(IntegrityError), world.database.write() as session:
        session.scalars(select(Personnel)).one().status = LibraryStatus.IN_LIBRARY
