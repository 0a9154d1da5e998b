"""What tests of the rules of enterprises share: an enterprise as it is in the rules, and one in a world's registry."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from sync_agent.contract.kinds import (
    Capture,
    Chain,
    ChainHolders,
    Consent,
    Leg,
    Method,
    Outcome,
    Purpose,
    Request,
    Ticket,
    Verification,
)
from sync_agent.contract.numbers import uscc_check
from sync_agent.contract.parts import Part
from sync_agent.contract.requests import AgentContact, Body, ProfileUpdate, RequestBody, RequestKind, Signatory
from sync_agent.registry.rules import Applied, accounts_rows
from sync_agent.registry.rules.accounts import Admission, Assertion, Named
from sync_agent.registry.rules.firm import Firm, InOffice, Representative
from sync_agent.registry.tables import AgentRow, AgentStatus, Enterprise, LegalRepStatus, RecordRow, Region
from system.simulate.people import PEOPLE
from tests.sync_agent.world import NOW, SITE, World, card, comparison, holder

INSIDE: Final = "91540100MA6T1" + "0000"
OUTSIDE: Final = "91510100MA6T1" + "0000"
HOME: Final = INSIDE + uscc_check(INSIDE)
AWAY: Final = OUTSIDE + uscc_check(OUTSIDE)
NAME: Final = "示例建设有限公司"
REP: Final = "zhaxi"
AGENT: Final = "wang"
OTHER: Final = "losang"
MINUTE: Final = timedelta(minutes=1)


def representative(status: LegalRepStatus = LegalRepStatus.VERIFIED, who: str = REP, fails: int = 0) -> Representative:
    return Representative(status, 1, PEOPLE[who].number, PEOPLE[who].name, fails)


def in_office(who: str = AGENT, at: datetime = NOW - timedelta(days=30), mobile: str = "13800000000") -> InOffice:
    return InOffice(1, 2, PEOPLE[who].number, at, AgentContact(number=PEOPLE[who].number, mobile=mobile))


def firm(
    region: Region = Region.OUT,
    *,
    rep: Representative | None = None,
    agent: InOffice | None = None,
    profile: int = 1,
    kinds: tuple[str, ...] = (),
    is_frozen: bool = False,
    has_account: bool = True,
    filed: datetime | None = None,
) -> Firm:
    return Firm(
        uscc=HOME if region is Region.IN else AWAY,
        name=NAME,
        region=region,
        legal_rep=rep or representative(),
        profile=profile,
        content=profile_update() if profile else None,
        agent=agent,
        activity_kinds=frozenset(kinds),
        filed=filed,
        is_frozen=is_frozen,
        has_account=has_account,
    )


def profile_update(based_on: int = 0, **other: object) -> ProfileUpdate:
    return ProfileUpdate.model_validate({"based_on": based_on, "name": NAME} | other)


def capture_for(uscc: str) -> Capture:
    return Capture(site=SITE, purpose=Purpose.LEGAL_REPRESENTATIVE, enterprise=uscc, card=card())


def verification_for(
    uscc: str,
    purpose: Purpose = Purpose.LEGAL_REPRESENTATIVE,
    outcome: Outcome = Outcome.MATCH,
    *,
    tries: int = 1,
    ticket: Ticket | None = None,
    method: Method = Method.FACE,
) -> Verification:
    distance = 0.3 if outcome is Outcome.MATCH else 0.9
    return Verification(
        site=SITE,
        purpose=purpose,
        enterprise=uscc,
        ticket=ticket,
        card=card(),
        consent=Consent(notice="1", compare=True, keep_photo=False, at=NOW),
        method=method,
        outcome=outcome,
        comparisons=(comparison(outcome, distance),) * tries if method is Method.FACE else (),
    )


def leg(at: datetime, outcome: Outcome = Outcome.MATCH, boot: int = 1) -> Leg:
    distance = 0.3 if outcome is Outcome.MATCH else 0.9
    manual = outcome is Outcome.TO_CONFIRM
    return Leg(
        card=card(),
        consent=Consent(notice="1", compare=not manual, keep_photo=False, at=NOW),
        method=Method.MANUAL if manual else Method.FACE,
        outcome=outcome,
        comparisons=() if manual else (comparison(outcome, distance),),
        at=at,
        boot=boot,
    )


def chain(name: str = "chain-1", uscc: str = AWAY, *, end: datetime = NOW, gap_s: float = 30, total_s: float = 60) -> Chain:
    """Return a chain whose agent is verified at `end`."""
    return Chain(
        site=SITE,
        enterprise=uscc,
        chain=name,
        begun=end - timedelta(seconds=total_s),
        legal_representative=leg(end - timedelta(seconds=gap_s)),
        agent=leg(end),
    )


def both(agent: str = AGENT, rep: str = REP, mobile: str = "13800000000") -> ChainHolders:
    return ChainHolders(legal_representative=holder(rep), agent=holder(agent), agent_mobile=mobile)


class Firms:
    """Enterprises in a world's registry: the portal admits them, and each step is taken at the kiosk."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.begun = self.now = NOW

    def admit(self, uscc: str = AWAY, **other: object) -> Admission:
        """Let the portal assert an account."""
        values: dict[str, object] = {"account": f"a-{uscc}", "uscc": uscc, "name": NAME, "assurance": "3"}
        values |= {"legal_rep": Named(PEOPLE[REP].number, PEOPLE[REP].name)}
        with self.world.database.write() as session:
            return accounts_rows.admit(session, Assertion(**(values | other)), self.now)  # type: ignore[arg-type]  # by name

    def happens(self, facts: object, personal: Part) -> Applied:
        """Let something happen at the kiosk, a minute after what happened before."""
        self.now += MINUTE
        return self.world.happens(facts, personal, time=self.now)  # type: ignore[arg-type]  # facts of any kind

    def capture(self, uscc: str = AWAY, who: str = REP) -> Applied:
        return self.happens(capture_for(uscc), holder(who))

    def verify(self, uscc: str = AWAY, who: str = REP, outcome: Outcome = Outcome.MATCH, **other: object) -> Applied:
        return self.happens(verification_for(uscc, outcome=outcome, **other), holder(who))  # type: ignore[arg-type]  # by name

    def ask(self, body: Body, uscc: str = AWAY, who: str = REP, by: Signatory = Signatory.LEGAL_REPRESENTATIVE) -> Applied:
        """Prove who signs, and ask."""
        self.happens(verification_for(uscc, Purpose.SIGNING), holder(who))
        with self.world.database.read() as session:
            proof = session.scalars(select(RecordRow.id).order_by(RecordRow.seq.desc()).limit(1)).one()
        return self.request(body, uscc, who, by, proof)

    def request(self, body: Body, uscc: str, who: str, by: Signatory, proof: str) -> Applied:
        facts = Request(site=SITE, enterprise=uscc, about=RequestKind(body.kind), verification=proof)
        return self.happens(facts, RequestBody(signed_by=by, signatory_number=PEOPLE[who].number, body=body))

    def verified(self, uscc: str = AWAY, **other: object) -> Firms:
        """Bring an enterprise past its legal representative."""
        assert self.admit(uscc, **other).code is None
        assert self.capture(uscc).code is None
        assert self.verify(uscc).code is None
        return self

    def profiled(self, uscc: str = AWAY) -> Firms:
        """Bring an enterprise past its profile."""
        self.verified(uscc)
        assert self.ask(profile_update(), uscc).code is None
        return self

    def authorise(self, name: str = "chain-1", agent: str = AGENT, uscc: str = AWAY) -> Applied:
        self.now += MINUTE
        facts = chain(name, uscc, end=self.now)
        return self.world.happens(facts, both(agent), time=self.now)

    def row(self, uscc: str = AWAY) -> Enterprise:
        with self.world.database.read() as session:
            return session.get_one(Enterprise, uscc)

    def agents(self, status: AgentStatus | None = None) -> list[AgentRow]:
        with self.world.database.read() as session:
            rows = session.scalars(select(AgentRow).order_by(AgentRow.id)).all()
        return [row for row in rows if status in (None, row.status)]
