"""S05, S32, S37, S38, S62 in any order: the registry against a model of a few lines."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from sync_agent.contract.codes import Code
from sync_agent.contract.receipts import Standing
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import Vault
from sync_agent.registry.rules import registrations_rows
from sync_agent.registry.rules.accounts import Named
from sync_agent.registry.rules.registrations import Item
from sync_agent.registry.rules.registrations_rows import Reported, of_person
from sync_agent.registry.tables import AgentRow, AgentStatus, BusinessRegChange, LegalRepStatus, Person
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.firms import AGENT, AWAY, OTHER, REP, Firms, both, chain
from tests.sync_agent.world import World

EVERYBODY: Final = (REP, AGENT, OTHER)
MINUTE: Final = timedelta(minutes=1)


class Agents(RuleBasedStateMachine):
    """What happens to one enterprise; the model is who leads it, how far they have come, and who is in office since when."""

    def __init__(self) -> None:
        super().__init__()
        self.database = Database("sqlite:///:memory:", Vault(bytes(range(32))))
        migrate(self.database.engine)
        self.firms = Firms(World(self.database))
        self.rep, self.status = REP, LegalRepStatus.VERIFIED
        self.active: tuple[str, datetime] | None = None
        self.names: set[int] = set()
        self.terms = 0
        self.changes = 0

    @initialize()
    def begin(self) -> None:
        self.firms.profiled()

    @rule(
        name=st.integers(0, 30),
        agent=st.sampled_from(EVERYBODY),
        rep=st.sampled_from(EVERYBODY),
        gap_s=st.sampled_from([30, 60, 61]),
        ago=st.sampled_from([0, 0, 5, 500]),
    )
    def a_chain_arrives(self, name: int, agent: str, rep: str, gap_s: int, ago: int) -> None:
        self.firms.now += MINUTE
        end = self.firms.now - ago * MINUTE
        facts = chain(f"c{name}", end=end, gap_s=gap_s, total_s=gap_s)
        applied = self.firms.world.happens(facts, both(agent, rep), time=end, now=self.firms.now)
        assert applied.code is self.expected(name, agent, rep, gap_s, end)
        is_refused_before = applied.code in (Code.LEGAL_REP_IS_AGENT, Code.LEGAL_REP_NOT_VERIFIED)
        if not is_refused_before:
            self.names.add(name)
        if applied.code is None:
            assert applied.standing is Standing.ACCEPTED
            self.active, self.terms = (agent, end), self.terms + 1

    def expected(self, name: int, agent: str, rep: str, gap_s: int, end: datetime) -> Code | None:
        if agent in (rep, self.rep):
            return Code.LEGAL_REP_IS_AGENT
        if self.status is not LegalRepStatus.VERIFIED:
            return Code.LEGAL_REP_NOT_VERIFIED
        if name in self.names:
            return Code.CHAIN_BROKEN
        if rep != self.rep:
            return Code.CHAIN_WRONG_PERSON
        if gap_s > 60:
            return Code.CHAIN_BROKEN
        return Code.STALE if self.active is not None and end <= self.active[1] else None

    @rule(who=st.sampled_from(EVERYBODY))
    def a_card_is_read(self, who: str) -> None:
        applied = self.firms.capture(who=who)
        assert applied.code is (None if who == self.rep else Code.ACCOUNT_ABNORMAL)
        if who == self.rep and self.status is LegalRepStatus.NOT_CAPTURED:
            self.status = LegalRepStatus.CAPTURED

    @rule()
    def the_representative_is_compared(self) -> None:
        applied = self.firms.verify(who=self.rep)
        assert applied.code is (Code.STEP_LOCKED if self.status is LegalRepStatus.NOT_CAPTURED else None)
        if self.status is LegalRepStatus.CAPTURED:
            self.status = LegalRepStatus.VERIFIED

    @rule(who=st.sampled_from(EVERYBODY), is_accepted=st.booleans())
    def the_registration_changes(self, who: str, is_accepted: bool) -> None:
        self.changes += 1
        key, new = f"k{self.changes}", of_person(Named(PEOPLE[who].number, PEOPLE[who].name))
        with self.database.write() as session:
            item = Item.LEGAL_REPRESENTATIVE
            registrations_rows.report(session, Reported(AWAY, "four-db", key, item, "", new), self.firms.now)
            change = session.scalars(select(BusinessRegChange.id).where(BusinessRegChange.key == key)).one()
            decide = registrations_rows.accept if is_accepted else registrations_rows.reject
            decide(session, change, "staff-1", self.firms.now)
        if is_accepted:
            self.rep, self.status, self.active = who, LegalRepStatus.NOT_CAPTURED, None

    @invariant()
    def the_registry_is_as_the_model(self) -> None:
        with self.database.read() as session:
            asked = select(Person.number).join(AgentRow, AgentRow.person_id == Person.id)
            in_office = session.scalars(asked.where(AgentRow.status == AgentStatus.ACTIVE)).all()
            assert len(session.scalars(select(AgentRow.id)).all()) == self.terms  # history stays
        assert list(in_office) == ([] if self.active is None else [PEOPLE[self.active[0]].number])
        if self.firms.now > self.firms.begun:
            assert self.firms.row().legal_rep_status is self.status

    def teardown(self) -> None:
        self.database.close()


TestAgents = Agents.TestCase
TestAgents.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
