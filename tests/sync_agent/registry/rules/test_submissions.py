from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from sync_agent.contract.codes import Code
from sync_agent.contract.envelope import Record
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import AgentContact, EmploymentKind, SubmissionEntry
from sync_agent.registry.rules import submissions_rows
from sync_agent.registry.rules.applications import CannotDecide, Ruling, SetState, Verdict
from sync_agent.registry.rules.firm import Firm, InOffice, Representative
from sync_agent.registry.rules.requests import GAPS_MAX, NAME_MAX, Lack, refusal
from sync_agent.registry.rules.submissions import (
    DECLARED,
    PROFILE_FIELDS,
    CompleteFiling,
    Line,
    Situation,
    decide,
    is_required,
    submit,
)
from sync_agent.registry.tables import (
    ApplicationState,
    Certificate,
    Employment,
    Enterprise,
    LegalRepStatus,
    LibraryStatus,
    Person,
    QualificationRequirement,
    Region,
    SafetyPermit,
    Submission,
)
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.office import PROFILE, USCC, Office, codes
from tests.sync_agent.world import NOW, World

LINE = "建筑工程施工总承包"
LEAD = PEOPLE["deji"].number
ENTRY = SubmissionEntry(line=LINE, grade="二级", technical_lead=LEAD)
DECLARES = SubmissionEntry(line="cost-consulting", technical_lead=LEAD)
ACCEPT = Ruling("reviewer-1", Verdict.ACCEPT)

READY = Firm(
    uscc=USCC,
    name=PROFILE.name,
    region=Region.OUT,
    legal_rep=Representative(LegalRepStatus.VERIFIED, 1, PEOPLE["zhaxi"].number, PEOPLE["zhaxi"].name),
    profile=1,
    content=PROFILE,
    agent=InOffice(1, 2, LEAD, NOW, AgentContact(number=LEAD, mobile="13900000000")),
)
WELL = Situation(line=Line("general"), has_permit=True)


# --- who submits (S19, S20) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(DECLARED))
def test_s19_in_region_four_activities_submit(kind: str) -> None:
    firm = replace(READY, region=Region.IN, agent=None, activity_kinds=frozenset({kind, "general-contracting"}))
    entry = DECLARES.model_copy(update={"line": kind})
    assert submit(firm, entry, Situation(line=Line("declared"))).standing is Standing.ACCEPTED


@given(st.frozensets(st.sampled_from([*sorted(DECLARED), "general-contracting", "design"])))
def test_s19_s20_only_four_activities_and_whoever_is_out_of_region_submit(kinds: frozenset[str]) -> None:
    assert is_required(Region.OUT, kinds)
    assert is_required(Region.IN, kinds) == bool(kinds & DECLARED)


def test_s20_a_general_contractor_in_region_submits_nothing() -> None:
    firm = replace(READY, region=Region.IN, activity_kinds=frozenset({"general-contracting"}))
    assert submit(firm, ENTRY, WELL).code is Code.NOT_REQUIRED
    assert submit(replace(firm, region=Region.OUT), ENTRY, WELL).standing is Standing.ACCEPTED


def test_s19_in_region_what_is_licensed_is_not_reported() -> None:
    firm = replace(READY, region=Region.IN, activity_kinds=frozenset({"cost-consulting"}))
    assert submit(firm, ENTRY, WELL).gaps == ("WRONG_CONTENT:line",)
    assert submit(firm, DECLARES, Situation(line=Line("declared"))).standing is Standing.ACCEPTED


# --- what it takes (S21-S28, 4.7) -----------------------------------------------------------------------------------


def test_s21_no_submission_before_the_profile() -> None:
    answer = submit(replace(READY, profile=0, content=None), ENTRY, WELL)
    assert (answer.code, answer.gaps) == (Code.STEP_LOCKED, ("STEP_LOCKED:profile",))


@pytest.mark.parametrize("field", PROFILE_FIELDS)
def test_s26_an_empty_field_of_the_profile_is_named(field: str) -> None:
    content = PROFILE.model_copy(update={field: None if field == "founded" else ""})
    answer = submit(replace(READY, content=content), ENTRY, WELL)
    assert (answer.code, answer.gaps) == (Code.PROFILE_INCOMPLETE, (f"PROFILE_INCOMPLETE:{field}",))
    assert submit(READY, ENTRY, WELL).gaps == ()


def test_s22_out_of_region_an_agent_is_required_and_in_region_none() -> None:
    assert submit(replace(READY, agent=None), ENTRY, WELL).code is Code.AGENT_REQUIRED
    inside = replace(READY, agent=None, region=Region.IN, activity_kinds=DECLARED)
    assert submit(inside, DECLARES, Situation(line=Line("declared"))).standing is Standing.ACCEPTED


@pytest.mark.parametrize("contact", [None, AgentContact(number=LEAD, mobile="")])
@pytest.mark.parametrize("region", list(Region))
def test_s27_an_empty_mobile_of_the_head_in_the_region_blocks(contact: AgentContact | None, region: Region) -> None:
    firm = replace(READY, region=region, activity_kinds=DECLARED)
    situation = Situation(line=Line("declared"))
    blocked = replace(firm, agent=InOffice(1, 2, LEAD, NOW, contact))
    assert submit(blocked, DECLARES, situation).gaps == ("AGENT_INCOMPLETE:mobile",)
    assert submit(firm, DECLARES, situation).gaps == ()


def test_4_7_who_builds_needs_a_safety_permit_and_who_consults_does_not() -> None:
    assert submit(READY, ENTRY, replace(WELL, has_permit=False)).code is Code.PERMIT_REQUIRED
    assert submit(READY, DECLARES, Situation(line=Line("declared"))).standing is Standing.ACCEPTED


BAD = {
    Code.WRONG_CONTENT: Situation(line=None),
    Code.PEOPLE_MISSING: Situation(line=WELL.line, people=("registered/建筑:2",), has_permit=True),
    Code.TECH_LEAD_NOT_ELIGIBLE: Situation(line=WELL.line, lead=Code.TECH_LEAD_NOT_ELIGIBLE, has_permit=True),
    Code.PERMIT_REQUIRED: Situation(line=WELL.line),
    Code.DUPLICATE: Situation(line=WELL.line, has_permit=True, has_open=True),
    Code.ATTACHMENT_MISSING: replace(WELL, documents=(Lack(Code.ATTACHMENT_MISSING, "licence"),)),
}


@pytest.mark.parametrize("code", list(BAD))
def test_each_thing_that_lacks_refuses_by_itself_and_changes_nothing(code: Code) -> None:
    answer = submit(READY, ENTRY, BAD[code])
    assert (answer.code, answer.changes, len(answer.gaps)) == (code, (), 1)
    assert submit(READY, ENTRY, WELL).standing is Standing.ACCEPTED


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_s24_everything_that_lacks_is_said_at_once(
    title: bool, agent: bool, people: bool, lead: bool, permit: bool, has_open: bool
) -> None:
    content = PROFILE if title else PROFILE.model_copy(update={"legal_rep_title": ""})
    firm = replace(READY, content=content, agent=READY.agent if agent else None)
    situation = Situation(
        line=WELL.line,
        people=() if people else ("registered:1",),
        lead=None if lead else Code.TECH_LEAD_NOT_ELIGIBLE,
        has_permit=permit,
        has_open=has_open,
    )
    lacking = {
        Code.PROFILE_INCOMPLETE: not title,
        Code.AGENT_REQUIRED: not agent,
        Code.PEOPLE_MISSING: not people,
        Code.TECH_LEAD_NOT_ELIGIBLE: not lead,
        Code.PERMIT_REQUIRED: not permit,
        Code.DUPLICATE: has_open,
    }
    answer = submit(firm, ENTRY, situation)
    assert {Code(gap.split(":")[0]) for gap in answer.gaps} == {code for code, is_so in lacking.items() if is_so}
    assert (answer.standing is Standing.ACCEPTED) == bool(answer.changes) == (not any(lacking.values()))


@given(st.lists(st.builds(Lack, st.sampled_from(list(Code)), st.text(max_size=80)), min_size=1, max_size=60))
def test_gaps_fit_into_a_ruling(lacks: list[Lack]) -> None:
    answer = refusal(lacks)
    assert answer is not None and answer.code is lacks[0].code
    assert 0 < len(answer.gaps) <= GAPS_MAX and all(0 < len(gap) <= NAME_MAX for gap in answer.gaps)


# --- what staff decides (S25, 4.7) ----------------------------------------------------------------------------------


def test_s25_accepting_completes_an_out_of_region_filing_once() -> None:
    done = SetState(ApplicationState.ACCEPTED, "")
    assert decide(ApplicationState.SUBMITTED, Region.OUT, None, ACCEPT, NOW) == (done, CompleteFiling(NOW))
    assert decide(ApplicationState.SUBMITTED, Region.OUT, NOW - timedelta(days=9), ACCEPT, NOW) == (done,)
    assert decide(ApplicationState.SUBMITTED, Region.IN, None, ACCEPT, NOW) == (done,)
    returned = decide(ApplicationState.SUBMITTED, Region.OUT, None, Ruling("r", Verdict.RETURN, "why"), NOW)
    assert returned == (SetState(ApplicationState.RETURNED, "why"),)


# --- through the registry -------------------------------------------------------------------------------------------


def is_ready(world: World) -> None:
    """Bring in the people and the permit that the line wants."""
    with world.database.write() as session:
        session.add(QualificationRequirement(line=LINE, grade="二级", employment=EmploymentKind.REGISTERED, count=1))
        person = session.scalars(select(Person).where(Person.has_number(LEAD))).one()
        state = {"status": LibraryStatus.IN_LIBRARY, "in_library_at": NOW, "seen_at": NOW, "changed_at": NOW}
        session.add(Employment(uscc=USCC, person_id=person.id, kind=EmploymentKind.REGISTERED, source="four_db", **state))
        paper = {"number": "Z1", "number_index": "Z1", "source": "four_db", "changed_at": NOW}
        session.add(Certificate(person_id=person.id, family="practice", **paper))
        days = {"valid_from": date(2025, 1, 1), "valid_until": date(2027, 1, 1)}
        session.add(SafetyPermit(uscc=USCC, number="JZ-1", issuer="测试住建厅", source="registry", at=NOW, **days))


def settle(world: World, ruling: Ruling = ACCEPT) -> ApplicationState:
    with world.database.write() as session:
        newest = session.scalars(select(Submission.id).order_by(Submission.id.desc())).first()
        assert newest is not None
        return submissions_rows.decide(session, newest, ruling, NOW)


def filed(world: World) -> bool:
    with world.database.read() as session:
        return session.get_one(Enterprise, USCC).filing_complete_at is not None


def test_s25_an_out_of_region_enterprise_from_submission_to_complete_filing(world: World) -> None:
    """S23-S25, S28: submitted, in review, accepted; the filing is complete with its date, and not before."""
    office = Office(world)
    is_ready(world)
    answer = office.asks(ENTRY)
    assert (answer.standing, answer.gaps, answer.effective_from) == (Standing.ACCEPTED, (), None)
    assert settle(world, Ruling("reviewer-1", Verdict.TAKE)) is ApplicationState.IN_REVIEW
    assert office.asks(ENTRY).gaps == ("DUPLICATE:line",)
    assert not filed(world)
    assert settle(world) is ApplicationState.ACCEPTED
    assert filed(world)


def test_s25_what_is_returned_is_submitted_again_and_what_is_decided_stays(world: World) -> None:
    office = Office(world)
    is_ready(world)
    office.asks(ENTRY)
    with pytest.raises(CannotDecide, match="reason"):
        settle(world, Ruling("reviewer-1", Verdict.REJECT))
    assert settle(world, Ruling("reviewer-1", Verdict.RETURN, "缺业绩")) is ApplicationState.RETURNED
    with pytest.raises(CannotDecide):
        settle(world)
    assert not filed(world)
    assert office.asks(ENTRY).standing is Standing.ACCEPTED
    settle(world)
    assert filed(world)
    with world.database.read() as session:
        assert sorted(session.scalars(select(Submission.state))) == ["accepted", "returned"]


def test_s24_s26_s27_s28_all_gaps_reach_the_answer_at_once(world: World) -> None:
    with_nothing = PROFILE.model_copy(update={"legal_rep_title": ""})
    office = Office(world, profile=with_nothing, mobile="")
    with world.database.write() as session:
        session.add(QualificationRequirement(line=LINE, grade="二级", employment=EmploymentKind.REGISTERED, count=2))
    answer = office.asks(ENTRY)
    assert answer.gaps == (
        "PROFILE_INCOMPLETE:legal_rep_title",
        "AGENT_INCOMPLETE:mobile",
        "PEOPLE_MISSING:registered:2",
        "TECH_LEAD_NOT_ELIGIBLE:technical_lead",
        "PERMIT_REQUIRED",
    )
    with world.database.read() as session:
        assert session.scalars(select(Submission)).all() == []


def test_s28_a_post_person_or_a_stranger_does_not_lead(world: World) -> None:
    office = Office(world)
    is_ready(world)
    with world.database.write() as session:
        session.scalars(select(Employment)).one().kind = EmploymentKind.POST
    assert Code.TECH_LEAD_NOT_ELIGIBLE in codes(office.asks(ENTRY))
    stranger = ENTRY.model_copy(update={"technical_lead": "540102200001010010"})
    assert Code.TECH_LEAD_NOT_ELIGIBLE in codes(office.asks(stranger))
    with world.database.write() as session:
        session.scalars(select(Employment)).one().kind = EmploymentKind.REGISTERED
    assert office.asks(ENTRY).standing is Standing.ACCEPTED


def test_nobody_submits_for_an_enterprise_whose_legal_representative_is_not_verified(world: World) -> None:
    """S05, and whose proof is older than a visit (NOT_SIGNED)."""
    office = Office(world)
    is_ready(world)
    proof = office.proves(at=NOW)
    assert office.asks(ENTRY, proof=proof, at=NOW + timedelta(minutes=31)).code is Code.NOT_SIGNED
    with world.database.write() as session:
        session.get_one(Enterprise, USCC).legal_rep_status = LegalRepStatus.NOT_CAPTURED
    assert office.asks(ENTRY, proof=proof).code is Code.LEGAL_REP_NOT_VERIFIED
    with world.database.write() as session:
        session.get_one(Enterprise, USCC).legal_rep_status = LegalRepStatus.VERIFIED
    assert office.asks(ENTRY, proof=proof).standing is Standing.ACCEPTED


def test_of_two_submissions_that_race_one_waits_and_the_other_is_a_duplicate(world: World) -> None:
    """4.7: all commands of an enterprise are in an order, whoever judges them."""
    office = Office(world)
    is_ready(world)
    at = NOW + timedelta(minutes=2)
    records = [world.record(*office.request(ENTRY), at) for _ in range(4)]
    together, answers = threading.Barrier(len(records)), list[Code | None]()

    def judge(record: Record, message: bytes) -> None:
        together.wait(timeout=20)
        with world.database.write() as session:
            answers.append(world.enter(session, record, message, at).code)

    threads = [threading.Thread(target=judge, args=one) for one in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(answers, key=str) == [Code.DUPLICATE, Code.DUPLICATE, Code.DUPLICATE, None]
