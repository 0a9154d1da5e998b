from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Method, Outcome, Purpose
from sync_agent.contract.numbers import is_uscc
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import Signatory
from sync_agent.registry.rules import enterprises, registrations_rows
from sync_agent.registry.rules.accounts import Named
from sync_agent.registry.rules.agents_rows import NotWaiting
from sync_agent.registry.rules.enterprises import Step
from sync_agent.registry.rules.firm import Firm
from sync_agent.registry.rules.regions import region
from sync_agent.registry.rules.registrations import Item
from sync_agent.registry.rules.registrations_rows import Reported, of_person
from sync_agent.registry.tables import (
    Account,
    AgentStatus,
    AuditEvent,
    BusinessRegChange,
    CaseKind,
    CaseState,
    Enterprise,
    EnterpriseProfile,
    LegalRepStatus,
    RecordRow,
    Region,
    ReviewCase,
)
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.firms import AWAY, HOME, OTHER, REP, Firms, firm, in_office, profile_update, verification_for
from tests.sync_agent.world import NOW, holder


def test_s03_the_portal_brings_an_account_and_its_enterprise_into_being(firms: Firms) -> None:
    assert firms.admit().code is None
    row = firms.row()
    assert (row.region, row.legal_rep_status, row.source) == (Region.OUT, LegalRepStatus.NOT_CAPTURED, "gov-network")
    firms.now += timedelta(days=1)
    assert firms.admit().code is None
    with firms.world.database.read() as session:
        assert session.scalars(select(Account)).one().asserted_at == firms.now
        assert session.scalar(select(func.count()).select_from(Enterprise)) == 1


def test_s04_a_kiosk_brings_no_enterprise_into_being(firms: Firms) -> None:
    assert firms.capture().code is Code.ENTERPRISE_UNKNOWN
    with firms.world.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Enterprise)) == 0


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        ({"account": f"a-{AWAY}", "uscc": HOME}, "account-uscc"),
        ({"name": "另一家公司"}, "portal-name"),
        ({"legal_rep": Named(PEOPLE[OTHER].number, PEOPLE[OTHER].name)}, "legal-rep-number"),
        ({"account": "b", "operator": Named(PEOPLE["wang"].number, PEOPLE["wang"].name)}, "duplicate-person"),
        ({"uscc": AWAY[:-1] + "Z"}, "uscc"),
    ],
)
def test_s16_an_assertion_that_does_not_fit_changes_nothing_and_is_noted(firms: Firms, other: dict[str, Any], cause: str) -> None:
    operator = Named(PEOPLE["wang"].number, PEOPLE["wang"].name)
    assert firms.admit(operator=operator).code is None
    before = firms.row().changed_at
    firms.now += timedelta(hours=1)
    admission = firms.admit(**other)
    assert (admission.code is not None, admission.cause) == (True, cause)
    assert firms.row().changed_at == before
    with firms.world.database.read() as session:
        assert [account.asserted_at for account in session.scalars(select(Account))] == [NOW]
        assert session.scalars(select(AuditEvent.subject).where(AuditEvent.action == "account.refused")).one().endswith(cause)


@pytest.mark.parametrize("what", ["enterprise", "account"])
def test_s16_what_is_frozen_is_abnormal_with_a_case(firms: Firms, what: str) -> None:
    firms.admit()
    with firms.world.database.write() as session:
        frozen = session.get_one(Enterprise, AWAY) if what == "enterprise" else session.get_one(Account, f"a-{AWAY}")
        assert isinstance(frozen, Enterprise | Account)
        frozen.frozen_at = NOW
    applied = firms.capture()
    assert (applied.standing, applied.code) == (Standing.REFUSED, Code.ACCOUNT_ABNORMAL)
    assert applied.case_number is not None
    assert firms.row().legal_rep_status is LegalRepStatus.NOT_CAPTURED
    assert firms.admit().cause == f"{what}-frozen"


def test_s05_the_legal_representative_is_captured_then_verified(firms: Firms) -> None:
    firms.admit()
    captured = firms.capture()
    assert (captured.standing, captured.effective_from) == (Standing.ACCEPTED, None)
    assert firms.row().legal_rep_status is LegalRepStatus.CAPTURED
    assert firms.verify().effective_from == firms.now
    assert (firms.row().legal_rep_status, firms.row().legal_rep_at) == (LegalRepStatus.VERIFIED, firms.now)


def test_s05_nothing_else_is_done_before(firms: Firms) -> None:
    firms.admit()
    firms.capture()
    assert firms.ask(profile_update()).code is Code.LEGAL_REP_NOT_VERIFIED
    firms.verify()
    assert firms.ask(profile_update()).code is None


def test_s07_a_verification_without_a_captured_card_comes_too_early(firms: Firms) -> None:
    firms.admit()
    assert firms.verify().code is Code.STEP_LOCKED
    assert firms.row().legal_rep_status is LegalRepStatus.NOT_CAPTURED


@pytest.mark.parametrize("who", [OTHER, REP])
def test_s16_another_card_than_the_registrys_legal_representative_opens_a_case(firms: Firms, who: str) -> None:
    firms.admit(legal_rep=Named(PEOPLE[REP].number, "别的名字"))
    applied = firms.capture(who=who)
    assert applied.code is Code.ACCOUNT_ABNORMAL
    with firms.world.database.read() as session:
        case = session.scalars(select(ReviewCase)).one()
    cause = "legal-rep-number" if who == OTHER else "legal-rep-name"
    assert (case.kind, case.cause, case.uscc, case.number) == (CaseKind.ACCOUNT_ABNORMAL, cause, AWAY, applied.case_number)
    assert firms.row().legal_rep_status is LegalRepStatus.NOT_CAPTURED


def test_s05_where_nobody_knows_who_it_is_the_card_says_it(firms: Firms) -> None:
    firms.admit(legal_rep=Named())
    assert firms.capture(who=OTHER).code is None
    assert firms.capture(who=REP).code is Code.ACCOUNT_ABNORMAL
    assert firms.verify(who=OTHER).code is None


def test_s15_the_third_failure_goes_to_a_person(firms: Firms) -> None:
    """Two change nothing but the count; the card read again in between takes none back."""
    firms.admit()
    firms.capture()
    assert firms.verify(outcome=Outcome.NO_MATCH).code is Code.NOT_VERIFIED
    firms.capture()
    assert firms.verify(outcome=Outcome.NO_MATCH).code is Code.NOT_VERIFIED
    assert firms.row().legal_rep_status is LegalRepStatus.CAPTURED
    third = firms.verify(outcome=Outcome.NO_MATCH)
    assert (third.standing, third.case_number is not None) == (Standing.IN_REVIEW, True)
    assert firms.row().legal_rep_status is LegalRepStatus.IN_REVIEW
    assert firms.verify().standing is Standing.IN_REVIEW  # a person decides now, no camera


def test_s15_three_tries_in_one_record_are_three(firms: Firms) -> None:
    firms.admit()
    firms.capture()
    assert firms.verify(outcome=Outcome.NO_MATCH, tries=3).standing is Standing.IN_REVIEW


@pytest.mark.parametrize("is_approved", [True, False])
@pytest.mark.parametrize("is_named", [True, False])
def test_4_1_a_person_decides_about_a_legal_representative_in_review(firms: Firms, is_approved: bool, is_named: bool) -> None:
    firms.admit(legal_rep=Named(PEOPLE[REP].number, PEOPLE[REP].name) if is_named else Named())
    firms.capture()
    assert firms.verify(outcome=Outcome.TO_CONFIRM, method=Method.MANUAL).standing is Standing.IN_REVIEW
    with firms.world.database.write() as session:
        registrations_rows.review_legal_rep(session, AWAY, "staff-1", firms.now, is_approved=is_approved)
    row = firms.row()
    assert row.legal_rep_status is (LegalRepStatus.VERIFIED if is_approved else LegalRepStatus.NOT_CAPTURED)
    assert (row.legal_rep_person_id is None) == (not is_approved and not is_named)
    with firms.world.database.read() as session:
        assert session.scalars(select(ReviewCase)).one().state is (CaseState.APPROVED if is_approved else CaseState.REJECTED)
    with pytest.raises(NotWaiting), firms.world.database.write() as session:
        registrations_rows.review_legal_rep(session, AWAY, "staff-1", firms.now, is_approved=True)


def test_5_an_expired_card_is_nobodys(firms: Firms) -> None:
    firms.admit(legal_rep=Named())
    assert firms.capture(who="tashi-expired").code is Code.CARD_EXPIRED


@pytest.mark.parametrize(
    ("division", "uscc", "where"),
    [
        ("540102", AWAY, Region.IN),
        ("510107", HOME, Region.OUT),
        ("", HOME, Region.IN),
        ("", AWAY, Region.OUT),
        ("", "91100000MA6T10000X", Region.OUT),
    ],
)
def test_s17_the_region_is_that_of_the_registered_province(division: str, uscc: str, where: Region) -> None:
    assert region(division, uscc) is where


def test_s17_staff_sets_a_region_only_with_a_reason_and_upstream_leaves_it(firms: Firms) -> None:
    firms.admit()
    with firms.world.database.write() as session:
        with pytest.raises(ValueError, match="reason"):
            registrations_rows.set_region(session, AWAY, Region.IN, " ", "staff-1", NOW)
        registrations_rows.set_region(session, AWAY, Region.IN, "moved, papers seen", "staff-1", NOW)
    assert firms.admit(division="510107").code is None
    assert (firms.row().region, firms.row().division) == (Region.IN, "510107")
    with firms.world.database.write() as session:
        registrations_rows.set_region(session, AWAY, None, "", "staff-1", NOW)
    assert firms.row().region is Region.OUT


def test_9_2_a_code_with_another_check_character_is_none() -> None:
    assert is_uscc(AWAY) and is_uscc(HOME)
    assert not is_uscc(AWAY[:-1] + "0") and not is_uscc(AWAY[:-1]) and not is_uscc("I" + AWAY[1:])


def test_s18_every_version_of_a_profile_is_kept(firms: Firms) -> None:
    firms.verified()
    assert firms.ask(profile_update(0, address="一号")).effective_from == firms.now
    assert firms.ask(profile_update(1, address="二号", activity_kinds=("cost-consulting",))).code is None
    row = firms.row()
    assert (row.profile, row.activity_kinds) == (2, ["cost-consulting"])
    with firms.world.database.read() as session:
        kept = session.scalars(select(EnterpriseProfile.content).order_by(EnterpriseProfile.version)).all()
    assert ["一号" in kept[0], "二号" in kept[1]] == [True, True]


def test_s18_who_saw_an_older_version_overwrites_nothing(firms: Firms) -> None:
    firms.profiled()
    assert firms.ask(profile_update(0)).code is Code.STALE
    assert firms.row().profile == 1
    assert firms.ask(profile_update(1)).code is None


@pytest.mark.parametrize("other", [{"name": "另一家公司"}, {"founded": (NOW + timedelta(days=2)).date()}])
def test_s18_what_cannot_be_is_named(other: dict[str, object]) -> None:
    decision = enterprises.update_profile(firm(), profile_update(1, **other), NOW.date(), NOW)
    assert (decision.code, decision.gaps) == (Code.WRONG_CONTENT, (f"WRONG_CONTENT:{next(iter(other))}",))
    assert decision.changes == ()


def test_s17_a_profile_does_not_move_an_enterprise_to_the_other_flow(firms: Firms) -> None:
    firms.verified()
    firms.ask(profile_update(division="540102"))
    assert firms.row().region is Region.OUT


def test_who_signs_has_proven_it_in_this_visit(firms: Firms) -> None:
    firms.verified()
    rep = Signatory.LEGAL_REPRESENTATIVE
    assert firms.request(profile_update(), AWAY, REP, rep, "no-such-record").code is Code.NOT_SIGNED
    firms.happens(verification_for(AWAY, Purpose.SIGNING), holder(REP))
    with firms.world.database.read() as session:
        proof = session.scalars(select(RecordRow.id).order_by(RecordRow.seq.desc()).limit(1)).one()
    assert firms.request(profile_update(), AWAY, REP, Signatory.AGENT, proof).code is Code.NOT_SIGNED
    firms.now += timedelta(minutes=31)
    assert firms.request(profile_update(), AWAY, REP, rep, proof).code is Code.NOT_SIGNED
    firms.now -= timedelta(minutes=20)
    assert firms.request(profile_update(), AWAY, REP, rep, proof).code is None


def test_who_is_neither_representative_nor_agent_signs_nothing(firms: Firms) -> None:
    firms.verified()
    assert firms.happens(verification_for(AWAY, Purpose.SIGNING), holder(OTHER)).code is Code.PERSON_NOT_EXPECTED
    assert firms.ask(profile_update(), who=OTHER).code is Code.NOT_SIGNED


@pytest.mark.parametrize(
    ("one", "due"),
    [
        (firm(profile=0), Step.PROFILE),
        (firm(), Step.AGENT),
        (firm(agent=in_office()), Step.SUBMISSION),
        (firm(agent=in_office(), filed=NOW), Step.DONE),
        (firm(Region.IN, profile=0), Step.PROFILE),
        (firm(Region.IN), Step.DONE),
        (firm(Region.IN, kinds=("cost-consulting",)), Step.SUBMISSION),
    ],
)
def test_s23_steps_come_in_order(one: Firm, due: Step) -> None:
    """S19-S22, S35: in-region enterprises need neither agent nor, but for four kinds, a submission."""
    assert enterprises.step(one, has_people=True) is due
    order = list(Step)
    for wanted in Step:
        is_locked = enterprises.locked(one, wanted) is not None
        assert is_locked == (order.index(wanted) > order.index(due))


def test_s23_people_come_before_the_submission() -> None:
    assert enterprises.step(firm(agent=in_office()), has_people=False) is Step.PERSONNEL


def test_s22_a_submission_without_agent_names_it() -> None:
    decision = enterprises.locked(firm(), Step.SUBMISSION)
    assert decision is not None and decision.code is Code.AGENT_REQUIRED


def changed(firms: Firms, item: Item, new: str, key: str = "k1") -> int:
    with firms.world.database.write() as session:
        assert registrations_rows.report(session, Reported(AWAY, "four-db", key, item, "old", new), firms.now)
        return session.scalars(select(BusinessRegChange.id).where(BusinessRegChange.key == key)).one()


def test_s62_another_legal_representative_is_captured_anew_and_the_agent_suspended(firms: Firms) -> None:
    firms.profiled().authorise()
    change = changed(firms, Item.LEGAL_REPRESENTATIVE, of_person(Named(PEOPLE[OTHER].number, PEOPLE[OTHER].name)))
    assert firms.row().legal_rep_status is LegalRepStatus.VERIFIED  # raised is not accepted
    with firms.world.database.write() as session:
        registrations_rows.accept(session, change, "staff-1", firms.now)
    assert firms.row().legal_rep_status is LegalRepStatus.NOT_CAPTURED
    assert [row.status for row in firms.agents()] == [AgentStatus.SUSPENDED]
    assert firms.capture(who=REP).code is Code.ACCOUNT_ABNORMAL
    assert firms.capture(who=OTHER).code is None
    with pytest.raises(NotWaiting), firms.world.database.write() as session:
        registrations_rows.accept(session, change, "staff-1", firms.now)


def test_s62_what_staff_rejects_changes_nothing(firms: Firms) -> None:
    firms.profiled().authorise()
    change = changed(firms, Item.LEGAL_REPRESENTATIVE, of_person(Named(PEOPLE[OTHER].number, PEOPLE[OTHER].name)))
    with firms.world.database.write() as session:
        registrations_rows.reject(session, change, "staff-1", firms.now)
    assert firms.row().legal_rep_status is LegalRepStatus.VERIFIED
    assert len(firms.agents(AgentStatus.ACTIVE)) == 1


def test_s62_the_same_change_reported_again_is_one(firms: Firms) -> None:
    firms.admit()
    changed(firms, Item.NAME, "新名字")
    with firms.world.database.write() as session:
        assert not registrations_rows.report(session, Reported(AWAY, "four-db", "k1", Item.NAME, "old", "x"), firms.now)


def test_s62_a_new_division_takes_an_enterprise_to_the_other_flow(firms: Firms) -> None:
    firms.admit()
    name, division = changed(firms, Item.NAME, "新名字"), changed(firms, Item.DIVISION, "540102", "k2")
    with firms.world.database.write() as session:
        registrations_rows.accept(session, name, "staff-1", firms.now)
        registrations_rows.accept(session, division, "staff-1", firms.now)
    assert (firms.row().name, firms.row().region) == ("新名字", Region.IN)
