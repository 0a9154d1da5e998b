"""Loads and writes chains and agents; what staff decides of them, too."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.kinds import Chain, ChainHolders
from sync_agent.contract.requests import AgentContact
from sync_agent.registry.rules import agents, firm_rows, requests_rows
from sync_agent.registry.rules.agents import Appoint, EditContact, KeepChain, Sitting
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import AgentRow, AgentStatus, AuditEvent, ChainState, Enterprise, Person, VerificationChain

SUCCEEDED = "succeeded"
"""Why a term ended: another began (S38)."""


class NotWaiting(Exception):
    """A decision about something that waits for none. Code REG-04: somebody else decided it, or it never waited."""

    code = "REG-04"


def authorise(work: Work) -> Decision:
    """S30-S38: a chain arrived. It is always whole, so half of one is never seen."""
    facts, holders = work.facts(Chain), work.sealed(ChainHolders)
    firm = firm_rows.load(work, facts.enterprise)
    is_used = work.session.get(VerificationChain, facts.chain) is not None
    sitting = Sitting(work.record.event.boot, work.time, work.on, is_used)
    decision = agents.authorise(firm, facts, holders, sitting, work.book, work.now)
    if not decision.changes:
        return decision
    people = _people(work, holders)
    work.person = people[1]
    return work.settle(decision, lambda change: _write(work, people, holders, change))


def edit_contact(work: Work) -> Decision:
    """S39: the contact of the agent in office is edited."""
    asked = requests_rows.receive(work, AgentContact)
    if isinstance(asked, Decision):
        return asked
    agent = asked.firm.agent

    def write(change: Change) -> None:
        match change:
            case EditContact(contact=contact) if agent is not None:
                work.session.get_one(AgentRow, agent.id).contact = contact.model_dump_json()
                work.audit("agent.contact", f"agent:{agent.id} of {asked.firm.uscc}")
            case other:
                raise TypeError(f"nobody here writes a {type(other).__name__}")

    return requests_rows.settle(work, asked, agents.edit_contact(asked.firm, asked.body, work.now), write)


def end_term(session: Session, uscc: str, status: AgentStatus, reason: str, now: datetime) -> None:
    """End the term of whoever is in office, if anybody is; the row stays as history. The caller has locked the enterprise.

    Args:
        session: a write transaction.
        uscc: whose agent.
        status: LEFT, SUSPENDED or REVOKED.
        reason: why, in a word; nothing personal.
        now: since when.
    """
    asked = select(AgentRow).where(AgentRow.uscc == uscc, AgentRow.status == AgentStatus.ACTIVE)
    row = session.scalar(asked.with_for_update())
    if row is not None:
        row.status, row.ended_at, row.end_reason = status, now, reason
        session.flush()  # before another row is in office: the database lets no two be, not for a moment


def decide(session: Session, chain: str, by: str, now: datetime, *, is_approved: bool) -> None:
    """P03: staff decides about a chain that a person had to look at; approved, its agent takes office (S38).

    Args:
        session: a write transaction.
        chain: its id.
        by: who decides.
        now: the time.
        is_approved: whether both people were there.

    Raises:
        NotWaiting: it is decided, or what it stood on is not so any more.
    """
    uscc = session.scalars(select(VerificationChain.uscc).where(VerificationChain.id == chain)).one()
    enterprise = session.get_one(Enterprise, uscc, with_for_update=True)
    row = session.get_one(VerificationChain, chain, with_for_update=True)
    agent = session.scalars(select(AgentRow).where(AgentRow.chain_id == chain).with_for_update()).one_or_none()
    if row.state is not ChainState.COMPLETE or agent is None:
        raise NotWaiting(f"chain {chain!r} waits for no decision. Look at the enterprise again.")
    firm = firm_rows.of(session, enterprise)
    if is_approved and not agents.still_holds(firm, row.legal_rep_person_id, agent.person_id, row.at):
        raise NotWaiting(f"chain {chain!r} does not hold any more: representative or agent changed since. Reject it.")
    if is_approved:
        end_term(session, uscc, AgentStatus.LEFT, SUCCEEDED, now)
        agent.status, agent.began_at, row.state = AgentStatus.ACTIVE, now, ChainState.USED
    else:
        agent.status, agent.ended_at, agent.end_reason = AgentStatus.REVOKED, now, "rejected"
        row.state, row.reason = ChainState.FAILED, "rejected"
    session.add(AuditEvent(at=now, actor=by, action="chain.decided", subject=f"{chain} of {uscc}: {row.state}"))


def _people(work: Work, holders: ChainHolders) -> tuple[Person, Person]:
    """Return legal representative and agent; they are locked in the order of their rows' keys where both are known."""
    return work.rows.person_of(holders.legal_representative), work.rows.person_of(holders.agent)


def _write(work: Work, people: tuple[Person, Person], holders: ChainHolders, change: Change) -> None:
    facts, (first, second) = work.facts(Chain), people
    match change:
        case KeepChain(state=state, reason=reason):
            row = VerificationChain(
                id=facts.chain,
                record_id=work.record.event.id,
                uscc=facts.enterprise,
                legal_rep_person_id=first.id,
                agent_person_id=second.id,
                state=state,
                reason=reason,
                at=facts.agent.at,
            )
            work.session.add(row)
            work.session.flush()
        case Appoint(contact=contact, letter=letter, is_in_office=is_in_office):
            work.keep_card(first, holders.legal_representative)
            work.keep_card(second, holders.agent)
            if is_in_office:
                end_term(work.session, facts.enterprise, AgentStatus.LEFT, SUCCEEDED, work.now)
            agent = AgentRow(
                uscc=facts.enterprise,
                person_id=second.id,
                legal_rep_person_id=first.id,
                status=AgentStatus.ACTIVE if is_in_office else AgentStatus.VERIFIED,
                chain_id=facts.chain,
                contact=contact.model_dump_json(),
                letter=letter,
                began_at=work.now if is_in_office else None,
            )
            work.session.add(agent)
            work.session.flush()
        case other:
            raise TypeError(f"nobody here writes a {type(other).__name__}")
