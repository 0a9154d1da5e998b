from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Chain, Outcome
from sync_agent.contract.receipts import Standing
from sync_agent.contract.requests import AgentContact, Signatory
from sync_agent.registry.rules import agents, agents_rows
from sync_agent.registry.rules.agents import KeepChain, Sitting
from sync_agent.registry.rules.agents_rows import NotWaiting
from sync_agent.registry.rules.decision import Decision, RuleBook
from sync_agent.registry.rules.firm import Firm
from sync_agent.registry.tables import (
    AgentRow,
    AgentStatus,
    AuditEvent,
    ChainState,
    LegalRepStatus,
    Person,
    Region,
    VerificationChain,
)
from sync_agent.settings import RuleSettings
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.firms import (
    AGENT,
    AWAY,
    HOME,
    OTHER,
    REP,
    Firms,
    both,
    chain,
    firm,
    in_office,
    leg,
    profile_update,
    representative,
)
from tests.sync_agent.world import BOOK, NOW

SITTING = Sitting(boot=1, time=NOW, on=NOW.date(), is_used=False)


def decide(one: Firm | None, facts: Chain, sitting: Sitting = SITTING, agent: str = AGENT, rep: str = REP) -> Decision:
    return agents.authorise(one, facts, both(agent, rep), sitting, BOOK, NOW)


def test_s32_the_limits_are_those_of_the_settings() -> None:
    assert (BOOK.chain_gap, BOOK.chain_total) == (timedelta(seconds=60), timedelta(seconds=300))
    book = RuleBook.of(RuleSettings(chain_gap_s=30, chain_total_s=90))
    assert (book.chain_gap, book.chain_total) == (timedelta(seconds=30), timedelta(seconds=90))


@pytest.mark.parametrize("region", list(Region))
def test_s30_s35_a_whole_chain_puts_the_agent_into_office(region: Region) -> None:
    """S34: without a letter, too. In-region enterprises may, and need not."""
    assert decide(firm(region), chain()).standing is Standing.ACCEPTED


@pytest.mark.parametrize(
    ("gap_s", "total_s", "reason"), [(60, 300, None), (60.1, 300, "gap"), (60, 300.1, "total"), (0.1, 0.1, None)]
)
def test_s32_a_chain_has_its_time(gap_s: float, total_s: float, reason: str | None) -> None:
    decision = decide(firm(), chain(gap_s=gap_s, total_s=total_s))
    assert decision.code is (Code.CHAIN_BROKEN if reason else None)
    assert decision.gaps == ((reason,) if reason else ())


LATER = NOW + timedelta(seconds=1)
EARLIER = NOW - timedelta(seconds=30)


@pytest.mark.parametrize(
    ("other", "code", "reason"),
    [
        ({"agent": leg(EARLIER)}, Code.CHAIN_WRONG_PERSON, "order"),
        ({"legal_representative": leg(NOW)}, Code.CHAIN_WRONG_PERSON, "order"),
        ({"agent": leg(NOW, Outcome.WRONG_PERSON)}, Code.CHAIN_WRONG_PERSON, "face"),
        ({"legal_representative": leg(EARLIER, Outcome.WRONG_PERSON)}, Code.CHAIN_WRONG_PERSON, "face"),
        ({"agent": leg(NOW, Outcome.NO_MATCH)}, Code.CHAIN_BROKEN, "face"),
        ({"legal_representative": leg(EARLIER, Outcome.NOT_LIVE)}, Code.CHAIN_BROKEN, "face"),
        ({"legal_representative": leg(EARLIER, boot=2)}, Code.CHAIN_BROKEN, "restart"),
        ({"legal_representative": leg(EARLIER, boot=2), "agent": leg(NOW, boot=2)}, Code.CHAIN_BROKEN, "restart"),
        ({"begun": NOW - timedelta(seconds=29)}, Code.CHAIN_BROKEN, "order"),
        ({"agent": leg(LATER)}, Code.CHAIN_BROKEN, "order"),
    ],
)
def test_s31_s32_s33_each_break_ends_the_chain(other: dict[str, object], code: Code, reason: str) -> None:
    """There is no partial credit: nothing but the failed chain is kept."""
    decision = decide(firm(), chain().model_copy(update=other))
    assert (decision.standing, decision.code, decision.gaps) == (Standing.REFUSED, code, (reason,))
    assert decision.changes == (KeepChain(ChainState.FAILED, reason),)


def test_s33_somebody_else_than_the_legal_representative_authorises_nobody() -> None:
    assert decide(firm(), chain(), rep=OTHER).code is Code.CHAIN_WRONG_PERSON


@pytest.mark.parametrize("one", [None, firm(), firm(rep=representative(LegalRepStatus.CAPTURED)), firm(profile=0)])
def test_s37_the_legal_representative_is_never_the_agent_whatever_else_is_wrong(one: Firm | None) -> None:
    assert decide(one, chain(gap_s=600, total_s=9000), agent=REP) == Decision(Standing.REFUSED, Code.LEGAL_REP_IS_AGENT)
    if one is not None:
        assert decide(one, chain(), agent=REP, rep=OTHER).code is Code.LEGAL_REP_IS_AGENT


@pytest.mark.parametrize(
    ("one", "code"),
    [
        (None, Code.ENTERPRISE_UNKNOWN),
        (firm(has_account=False), Code.ENTERPRISE_UNKNOWN),
        (firm(is_frozen=True), Code.ACCOUNT_ABNORMAL),
        (firm(rep=representative(LegalRepStatus.CAPTURED)), Code.LEGAL_REP_NOT_VERIFIED),
        (firm(profile=0), Code.STEP_LOCKED),
    ],
)
def test_s05_s21_a_chain_waits_for_the_steps_before_it(one: Firm | None, code: Code) -> None:
    assert decide(one, chain()).code is code


def test_s32_a_chain_is_used_once() -> None:
    assert decide(firm(), chain(), replace(SITTING, is_used=True)).code is Code.CHAIN_BROKEN


def test_s38_a_chain_that_was_overtaken_by_a_later_one_ends_nobodys_term() -> None:
    """It was made offline and came late: who was authorised after it stays."""
    assert decide(firm(agent=in_office(OTHER, at=NOW)), chain()).code is Code.STALE
    assert decide(firm(agent=in_office(OTHER, at=NOW - timedelta(seconds=1))), chain()).code is None


def test_s30_an_expired_card_authorises_nobody() -> None:
    assert decide(firm(), chain(), agent="tashi-expired").code is Code.CARD_EXPIRED


def test_s38_the_former_agent_leaves_as_the_new_one_begins_and_history_stays(firms: Firms) -> None:
    firms.profiled()
    first = firms.authorise("chain-1", AGENT)
    began = firms.now
    assert (first.standing, first.effective_from) == (Standing.ACCEPTED, began)
    assert firms.authorise("chain-2", OTHER).code is None
    left, active = firms.agents()
    assert (left.status, left.began_at, left.ended_at, left.end_reason) == (AgentStatus.LEFT, began, firms.now, "succeeded")
    assert (active.status, active.began_at, active.ended_at, active.chain_id) == (AgentStatus.ACTIVE, firms.now, None, "chain-2")


def test_s32_a_chain_that_comes_again_under_its_name_counts_once(firms: Firms) -> None:
    firms.profiled()
    assert firms.authorise("chain-1", AGENT).code is None
    assert firms.authorise("chain-1", OTHER).code is Code.CHAIN_BROKEN
    assert [row.chain_id for row in firms.agents()] == ["chain-1"]


def test_s32_a_broken_chain_is_remembered_and_the_next_one_counts(firms: Firms) -> None:
    firms.profiled()
    broken = firms.world.happens(chain("chain-1", end=firms.now, gap_s=61, total_s=70), both(), time=firms.now)
    assert (broken.code, broken.gaps) == (Code.CHAIN_BROKEN, ("gap",))
    assert firms.agents() == []
    with firms.world.database.read() as session:
        row = session.get_one(VerificationChain, "chain-1")
        assert (row.state, row.reason) == (ChainState.FAILED, "gap")
    assert firms.authorise("chain-2").code is None


def test_s37_the_database_itself_refuses_it(firms: Firms) -> None:
    firms.profiled().authorise()
    with pytest.raises(IntegrityError), firms.world.database.write() as session:
        row = session.scalars(select(AgentRow)).one()
        row.person_id = row.legal_rep_person_id


def test_s38_the_database_itself_refuses_a_second_one(firms: Firms) -> None:
    firms.profiled().authorise("chain-1", AGENT)
    firms.authorise("chain-2", OTHER)
    with pytest.raises(IntegrityError), firms.world.database.write() as session:
        former = session.scalars(select(AgentRow).where(AgentRow.chain_id == "chain-1")).one()
        former.status, former.ended_at = AgentStatus.ACTIVE, None


def manual(firms: Firms, name: str) -> Standing:
    firms.now += timedelta(minutes=1)
    facts = chain(name, end=firms.now).model_copy(update={"agent": leg(firms.now, Outcome.TO_CONFIRM)})
    return firms.world.happens(facts, both(), time=firms.now).standing


@pytest.mark.parametrize("is_approved", [True, False])
def test_p03_a_chain_with_a_manual_check_is_decided_by_a_person(firms: Firms, is_approved: bool) -> None:
    firms.profiled().authorise("before", OTHER)
    assert manual(firms, "chain-1") is Standing.IN_REVIEW
    assert [row.status for row in firms.agents()] == [AgentStatus.ACTIVE, AgentStatus.VERIFIED]
    with firms.world.database.write() as session:
        agents_rows.decide(session, "chain-1", "staff-1", firms.now, is_approved=is_approved)
    after = [AgentStatus.LEFT, AgentStatus.ACTIVE] if is_approved else [AgentStatus.ACTIVE, AgentStatus.REVOKED]
    assert [row.status for row in firms.agents()] == after
    with pytest.raises(NotWaiting), firms.world.database.write() as session:
        agents_rows.decide(session, "chain-1", "staff-1", firms.now, is_approved=True)


def test_p03_a_decision_that_comes_after_another_agent_began_ends_nobodys_term(firms: Firms) -> None:
    firms.profiled()
    manual(firms, "chain-1")
    firms.authorise("chain-2", OTHER)
    with pytest.raises(NotWaiting), firms.world.database.write() as session:
        agents_rows.decide(session, "chain-1", "staff-1", firms.now, is_approved=True)
    assert [row.chain_id for row in firms.agents(AgentStatus.ACTIVE)] == ["chain-2"]


def contact(who: str = AGENT, mobile: str = "13900000000") -> AgentContact:
    return AgentContact(number=PEOPLE[who].number, mobile=mobile)


def test_s39_the_contact_is_edited_and_noted_and_who_it_is_stays(firms: Firms) -> None:
    firms.profiled()
    assert firms.ask(contact()).code is Code.AGENT_REQUIRED
    firms.authorise()
    assert firms.ask(contact(OTHER)).code is Code.WRONG_CONTENT
    assert firms.ask(contact(), who=AGENT, by=Signatory.AGENT).code is None
    (row,) = firms.agents()
    assert "13900000000" in (row.contact or "")
    with firms.world.database.read() as session:
        assert session.scalars(select(AuditEvent.subject).where(AuditEvent.action == "agent.contact")).one().endswith(AWAY)
        assert session.get_one(Person, row.person_id).number == PEOPLE[AGENT].number


def test_s41_the_agent_signs_while_in_office_and_no_longer(firms: Firms) -> None:
    firms.profiled().authorise("chain-1", AGENT)
    assert firms.ask(profile_update(1), who=AGENT, by=Signatory.AGENT).code is None
    firms.authorise("chain-2", OTHER)
    assert firms.ask(profile_update(2), who=AGENT, by=Signatory.AGENT).code is Code.NOT_SIGNED
    assert firms.ask(profile_update(2), who=OTHER, by=Signatory.AGENT).code is None


def race(firms: Firms, count: int) -> None:
    """Let `count` chains arrive at the same moment, each in a transaction of its own."""
    firms.now += timedelta(minutes=10)
    ends: list[datetime] = [firms.now + timedelta(seconds=number) for number in range(count)]
    after = ends[-1]
    records = [
        firms.world.record(chain(f"race-{number}", end=end), both((AGENT, OTHER)[number % 2]), after)
        for number, end in enumerate(ends)
    ]
    together = threading.Barrier(count)
    failures: list[BaseException] = []

    def enter(number: int) -> None:
        together.wait(30)
        try:
            with firms.world.database.write() as session:
                firms.world.enter(session, *records[number], after)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    # Whatever the order they were let in: who was authorised last is in office, and nobody else.
    assert [row.chain_id for row in firms.agents(AgentStatus.ACTIVE)] == [f"race-{count - 1}"]
    with firms.world.database.read() as session:
        assert len(session.scalars(select(VerificationChain.id)).all()) == count


def test_s38_two_activations_at_once_leave_exactly_one_in_office(firms: Firms) -> None:
    race(firms.profiled(), 2)


@pytest.mark.postgres
def test_s38_fifty_activations_at_once_leave_exactly_one_in_office(firms: Firms) -> None:
    if firms.world.database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite lets one write at a time; two are enough there")
    race(firms.profiled(), 50)


def test_enterprises_do_not_meet(firms: Firms) -> None:
    firms.profiled()
    firms.profiled(HOME)
    firms.authorise("chain-1", AGENT, AWAY)
    firms.authorise("chain-2", AGENT, HOME)
    assert [row.uscc for row in firms.agents(AgentStatus.ACTIVE)] == [AWAY, HOME]
