"""People of an enterprise through the registry: added, synced, captured, in the library, flagged, gone (S44-S53)."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import func, select

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Outcome, Purpose
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import EmploymentKind
from sync_agent.registry.rules import flags, flags_rows, library, personnel_rows, synced_rows
from sync_agent.registry.rules.flags import CannotClear
from sync_agent.registry.rules.library import Bar
from sync_agent.registry.rules.locks import Happened
from sync_agent.registry.tables import (
    AbnormalCode,
    AuditEvent,
    CaseKind,
    Certificate,
    Employment,
    Enterprise,
    LibraryStatus,
    ReviewCase,
)
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.crew import RIVAL, TODAY, ZONE, Crew, days, entry, personnel, reported
from tests.sync_agent.registry.rules.office import USCC
from tests.sync_agent.world import NOW, World, capture, holder

LATER = NOW + days(1)


@pytest.fixture
def crew(world: World) -> Crew:
    """An out-of-region enterprise with an agent, and nobody in its personnel."""
    return Crew(world)


# --- added by hand --------------------------------------------------------------------------------------------------


def test_s46_s48_a_titled_person_is_added_by_hand_and_usable_once_verified(crew: Crew) -> None:
    applied = crew.adds(entry())
    assert (applied.standing, applied.code, applied.effective_from) == (Standing.ACCEPTED, None, None)
    added = crew.one()
    assert (added.status, added.source, added.kind) == (LibraryStatus.ADDED, "manual", EmploymentKind.TITLED)
    assert library.choice_fault(added, TODAY) is Code.NOT_VERIFIED  # S48: unverified, not selectable
    crew.enters("wang")
    assert library.usable(crew.one(), TODAY)


@pytest.mark.parametrize("kind", [EmploymentKind.OTHER_POST, EmploymentKind.OTHER_MANAGEMENT])
def test_s47_other_people_are_added_by_hand(crew: Crew, kind: EmploymentKind) -> None:
    papers = ({"family": "post", "number": "P-1"},) if kind is EmploymentKind.OTHER_POST else ()
    assert crew.adds(entry(kind=kind, certificates=papers)).standing is Standing.ACCEPTED
    assert crew.one().kind is kind


@pytest.mark.parametrize("kind", [EmploymentKind.REGISTERED, EmploymentKind.POST])
def test_s44_s45_people_of_upstream_cannot_be_added_by_hand(crew: Crew, kind: EmploymentKind) -> None:
    applied = crew.adds(entry(kind=kind))
    assert applied.code is Code.WRONG_CONTENT
    assert "WRONG_CONTENT:employment" in applied.gaps
    assert crew.people() == ()


def test_s46_all_that_is_wrong_with_an_entry_is_said_at_once_and_nothing_changes(crew: Crew) -> None:
    wrong = entry(number="540102198803150012", name=" ", certificates=({"family": "magic", "number": "1"},))
    applied = crew.adds(wrong, role="else")
    assert set(applied.gaps) == {
        "WRONG_CONTENT:number",
        "WRONG_CONTENT:name",
        "WRONG_CONTENT:certificates",
        "ATTACHMENT_MISSING:certificate",
    }
    with crew.world.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Employment)) == 0
        assert session.scalar(select(func.count()).select_from(Certificate)) == 0


def test_s46_nobody_is_added_twice_but_who_left_may_come_back_and_proves_who_they_are_again(crew: Crew) -> None:
    assert crew.adds(entry()).code is None
    assert crew.adds(entry()).code is Code.DUPLICATE
    crew.enters("wang")
    with crew.world.database.write() as session:
        assert personnel_rows.leave(session, crew.rows()[0].id, "staff:a", NOW, ZONE) is None
    assert crew.people() == ()
    with crew.world.database.write() as session:
        assert personnel_rows.leave(session, crew.rows()[0].id, "staff:a", NOW, ZONE) is Code.STALE
    assert crew.captures("wang").code is Code.PERSON_NOT_EXPECTED
    assert crew.adds(entry()).code is None
    assert crew.one().status is LibraryStatus.ADDED
    with crew.world.database.read() as session:
        assert "personnel.leave" in session.scalars(select(AuditEvent.action)).all()


# --- synced ---------------------------------------------------------------------------------------------------------


def test_s44_the_same_report_again_adds_nobody(crew: Crew) -> None:
    first = crew.syncs(reported("wang"), reported("chen"))
    again = crew.syncs(reported("chen"), reported("wang"), reported("wang"))
    assert (first.added, again.added, again.kept, again.left) == (2, 0, 2, 0)
    assert [(one.status, one.source) for one in crew.people()] == [(LibraryStatus.SYNCED, "four_db")] * 2
    with crew.world.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Certificate)) == 2


def test_s45_only_whom_the_training_centre_reports_is_there_and_who_is_not_reported_any_more_leaves(crew: Crew) -> None:
    crew.syncs(reported("wang", "post"), reported("chen", "post"), kind=EmploymentKind.POST)
    crew.syncs(reported("losang"))  # another source, another kind: the lists do not touch each other
    told = crew.syncs(reported("chen", "post"), kind=EmploymentKind.POST, as_of=LATER)
    assert (told.kept, told.left) == (1, 1)
    assert {one.person for one in crew.people()} == {crew.person("chen"), crew.person("losang")}


def test_s44_a_list_that_is_not_whole_or_older_takes_nobody_out(crew: Crew) -> None:
    crew.syncs(reported("wang"), reported("chen"), as_of=LATER)
    assert crew.syncs(reported("wang"), as_of=NOW).is_stale
    assert crew.syncs(reported("wang"), as_of=LATER, is_whole=False).left == 0
    assert len(crew.people()) == 2
    assert crew.syncs(reported("wang"), as_of=LATER).left == 1


def test_s44_who_cannot_be_a_person_is_named_by_place_and_the_others_come_in(crew: Crew) -> None:
    bad = synced_rows.Reported("540102198803150012", "x")
    told = crew.syncs(reported("wang"), bad)
    assert (told.added, told.refused) == (1, (1,))


def test_s44_upstream_corrects_a_certificate(crew: Crew) -> None:
    crew.syncs(reported("wang", until=date(2020, 1, 1)))
    crew.enters("wang")
    assert library.bars(crew.one(), TODAY) == (Bar.CERT_EXPIRED,)
    crew.syncs(reported("wang", until=date(2030, 1, 1)), as_of=LATER)
    assert library.usable(crew.one(), TODAY)


# --- card and face --------------------------------------------------------------------------------------------------


def test_s49_synced_people_are_captured_and_verified_before_they_are_in_the_library(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    early = crew.compares("wang")
    assert (early.code, early.gaps) == (Code.STEP_LOCKED, ("capture",))
    assert crew.captures("wang").standing is Standing.ACCEPTED
    assert crew.one().status is LibraryStatus.CAPTURED
    entered = crew.compares("wang", at=LATER)
    assert (entered.standing, entered.effective_from) == (Standing.ACCEPTED, LATER)
    assert (crew.one().status, crew.rows()[0].in_library_at) == (LibraryStatus.IN_LIBRARY, LATER)


def test_s49_another_persons_card_is_a_mismatch_and_the_right_one_is_not(crew: Crew) -> None:
    crew.syncs(reported("wang"), reported("chen"))
    expected = str(crew.people()[0].id)
    assert crew.captures("chen", expected).code is Code.PERSON_MISMATCH
    assert crew.compares("chen", reference=expected).code is Code.PERSON_MISMATCH
    assert {one.status for one in crew.people()} == {LibraryStatus.SYNCED}
    assert crew.captures("wang", expected).code is None
    assert crew.compares("wang", reference=expected).code is None
    assert crew.captures("chen").code is None  # whoever comes


@pytest.mark.parametrize("reference", ["999999", "-1", "one", "²"])
def test_s49_a_reference_to_nobody_is_refused(crew: Crew, reference: str) -> None:
    crew.syncs(reported("wang"))
    assert crew.captures("wang", reference).code is Code.PERSON_NOT_EXPECTED


def test_s49_who_is_two_things_there_proves_both_at_once(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    crew.syncs(reported("wang", "post"), kind=EmploymentKind.POST)
    crew.enters("wang")
    assert {one.status for one in crew.people()} == {LibraryStatus.IN_LIBRARY}
    assert all(library.usable(one, TODAY) for one in crew.people())


def test_s15_the_third_failed_comparison_opens_a_case_and_a_person_decides(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    crew.captures("wang")
    for fails in (1, 2):
        applied = crew.compares("wang", Outcome.NO_MATCH)
        assert (applied.standing, applied.code, crew.one().fails) == (Standing.REFUSED, Code.NOT_VERIFIED, fails)
    crew.captures("wang")  # reading the card again takes back no failed comparison
    third = crew.compares("wang", Outcome.NO_MATCH)
    assert third.standing is Standing.IN_REVIEW
    assert crew.compares("wang").standing is Standing.IN_REVIEW  # nothing gets past the case
    assert crew.one().status is LibraryStatus.CAPTURED
    with crew.world.database.write() as session:
        case = session.scalars(select(ReviewCase).where(ReviewCase.uscc == USCC)).one()
        assert (case.kind, case.uscc, case.person_id) == (CaseKind.COMPARISON, USCC, crew.person("wang"))
        personnel_rows.reviewed(session, case, is_approved=True, now=LATER, zone=ZONE)
    assert (crew.one().status, crew.one().fails) == (LibraryStatus.IN_LIBRARY, 0)


def test_s15_who_is_rejected_begins_again(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    crew.captures("wang")
    assert crew.compares("wang", Outcome.NO_MATCH, tries=3).standing is Standing.IN_REVIEW
    with crew.world.database.write() as session:
        case = session.scalars(select(ReviewCase).where(ReviewCase.uscc == USCC)).one()
        personnel_rows.reviewed(session, case, is_approved=False, now=LATER, zone=ZONE)
    assert (crew.one().status, crew.one().fails) == (LibraryStatus.SYNCED, 0)


def test_s48_a_failed_comparison_takes_nobody_out_of_the_library(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    crew.enters("wang")
    assert crew.compares("wang", Outcome.NO_MATCH).code is Code.NOT_VERIFIED
    assert crew.one().status is LibraryStatus.IN_LIBRARY


def test_s49_who_chooses_the_check_by_a_person_waits_for_one(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    crew.captures("wang")
    assert crew.compares("wang", Outcome.TO_CONFIRM).standing is Standing.IN_REVIEW
    assert crew.compares("wang").standing is Standing.IN_REVIEW
    assert crew.one().status is LibraryStatus.CAPTURED


def test_s16_nothing_is_taken_for_an_enterprise_that_is_frozen_or_unknown(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    nowhere = capture().model_copy(update={"purpose": Purpose.PERSONNEL})
    assert crew.world.happens(nowhere, holder("wang")).code is Code.ENTERPRISE_UNKNOWN
    with crew.world.database.write() as session:
        session.get_one(Enterprise, USCC).frozen_at = NOW
    assert crew.captures("wang").code is Code.ACCOUNT_ABNORMAL
    assert crew.world.happens(personnel(), holder("wang")).code is Code.ACCOUNT_ABNORMAL
    assert crew.one().status is LibraryStatus.SYNCED


# --- flags ----------------------------------------------------------------------------------------------------------


def test_s51_two_employers_put_a_flag_on_both_and_only_the_training_centre_takes_it_off(crew: Crew) -> None:
    crew.syncs(reported("wang", "post"), kind=EmploymentKind.POST)
    crew.enters("wang")
    assert crew.open_flags() == set()
    crew.syncs(reported("wang"), uscc=RIVAL)
    both = {(USCC, AbnormalCode.MULTI_EMPLOYER), (RIVAL, AbnormalCode.MULTI_EMPLOYER)}
    assert crew.open_flags() == both
    assert library.choice_fault(crew.one(), TODAY) is Code.PERSON_ABNORMAL
    person = crew.person("wang")
    for who in ("staff:a", "four_db", flags.REGISTRY):
        with pytest.raises(CannotClear), crew.world.database.write() as session:
            flags_rows.clear(session, person, USCC, AbnormalCode.MULTI_EMPLOYER, who, NOW)
    crew.syncs(uscc=RIVAL, as_of=LATER)  # one employer left; the flags stay until the centre says so
    assert crew.open_flags() == both
    with crew.world.database.write() as session:
        assert flags_rows.clear_employers(session, person, "training_centre", LATER) == 2
    assert crew.open_flags() == set()
    assert library.usable(crew.one(), TODAY)


def test_s51_a_transfer_notice_ends_the_old_employment_and_clears_both(crew: Crew) -> None:
    crew.syncs(reported("wang", "post"), kind=EmploymentKind.POST)
    crew.syncs(reported("wang", "post"), kind=EmploymentKind.POST, uscc=RIVAL)
    number = PEOPLE["wang"].number
    with pytest.raises(CannotClear), crew.world.database.write() as session:
        synced_rows.transfer(session, number, USCC, "four_db", LATER, ZONE)
    for _ in range(2):  # a notice may come twice
        with crew.world.database.write() as session:
            assert synced_rows.transfer(session, number, USCC, "training_centre", LATER, ZONE) is None
    assert crew.open_flags() == set()
    assert (crew.people(), crew.one(uscc=RIVAL).status) == ((), LibraryStatus.SYNCED)


def test_s51_nobody_gets_anothers_people_flagged_by_typing_them_in(crew: Crew) -> None:
    crew.syncs(reported("wang"), uscc=RIVAL)
    assert crew.adds(entry()).code is None
    assert crew.open_flags() == set()
    crew.enters("wang")  # now they stood there themselves
    assert crew.open_flags() == {(USCC, AbnormalCode.MULTI_EMPLOYER), (RIVAL, AbnormalCode.MULTI_EMPLOYER)}


@pytest.mark.parametrize("code", [code for code in AbnormalCode if code is not AbnormalCode.MULTI_EMPLOYER])
def test_s50_s52_a_flag_has_its_reason_is_raised_once_and_cleared_by_staff(crew: Crew, code: AbnormalCode) -> None:
    crew.syncs(reported("wang"))
    crew.enters("wang")
    person = crew.person("wang")
    with crew.world.database.write() as session:
        assert flags_rows.raise_flag(session, person, USCC, code, "证书编号不符", "training_centre", NOW)
        assert not flags_rows.raise_flag(session, person, USCC, code, "again", "training_centre", NOW)
    assert library.bars(crew.one(), TODAY) == (Bar.ABNORMAL,)
    with pytest.raises(CannotClear), crew.world.database.write() as session:
        flags_rows.clear(session, person, USCC, code, "kiosk", NOW)
    with crew.world.database.write() as session:
        flags_rows.clear(session, person, USCC, code, "staff:a", LATER)
    assert library.usable(crew.one(), TODAY)
    with pytest.raises(CannotClear), crew.world.database.write() as session:
        flags_rows.clear(session, person, USCC, code, "staff:a", LATER)


def test_12_3_who_left_no_data_for_a_year_must_be_retrained_once(crew: Crew) -> None:
    crew.syncs(reported("wang"), reported("chen"))
    crew.enters("wang")
    person = crew.person("wang")

    def lapsed(year: int, month: int, day: int) -> int:
        with crew.world.database.write() as session:
            return flags_rows.flag_lapsed(session, NOW.replace(year=year, month=month, day=day), ZONE)

    assert lapsed(2027, 3, 1) == 0
    assert lapsed(2027, 3, 2) == 1  # a year after 2026-03-02; chen is in no library
    assert lapsed(2027, 3, 3) == 0
    assert crew.open_flags() == {(flags_rows.EVERYWHERE, AbnormalCode.RETRAIN_DUE)}
    assert all(Bar.ABNORMAL in library.bars(one, TODAY) for one in crew.people() if one.person == person)
    with crew.world.database.write() as session:
        retrained = NOW.replace(year=2027, month=4)
        flags_rows.clear(session, person, flags_rows.EVERYWHERE, AbnormalCode.RETRAIN_DUE, "training_centre", retrained)
    assert lapsed(2027, 4, 3) == 0
    assert lapsed(2028, 4, 2) == 1


# --- bid locks over the library -------------------------------------------------------------------------------------


def test_s53_a_locked_person_is_neither_chosen_added_nor_removed(crew: Crew) -> None:
    crew.syncs(reported("wang"))
    crew.enters("wang")
    assert library.usable(crew.one(), TODAY)
    crew.hears(Happened.OPENED, "wang")
    assert library.choice_fault(crew.one(), TODAY) is Code.PERSON_BID_LOCKED
    assert library.technical_lead_fault(crew.people(), TODAY) is Code.PERSON_BID_LOCKED
    assert crew.adds(entry()).code is Code.PERSON_BID_LOCKED
    with crew.world.database.write() as session:
        assert personnel_rows.leave(session, crew.one().id, "staff:a", NOW, ZONE) is Code.PERSON_BID_LOCKED
        assert synced_rows.transfer(session, PEOPLE["wang"].number, USCC, "training_centre", NOW, ZONE) is Code.PERSON_BID_LOCKED
    assert crew.syncs(as_of=LATER).held == 1
    crew.hears(Happened.FAILED, at=LATER)
    assert library.choice_fault(crew.one(), TODAY) is None
    assert crew.adds(entry()).code is None
    assert crew.syncs(as_of=LATER).left == 1
