"""Loads an enterprise for its rules, with its row locked, and the proof of whoever signs for it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Purpose, Request
from sync_agent.contract.requests import AgentContact, ProfileUpdate, RequestBody
from sync_agent.registry.rules import firm as rule
from sync_agent.registry.rules.firm import Firm, InOffice, Representative, Signature
from sync_agent.registry.rules.rows import device_of
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import (
    Account,
    AgentRow,
    AgentStatus,
    Enterprise,
    EnterpriseProfile,
    Person,
    RecordRow,
    VerificationChain,
    VerificationRow,
)


def load(work: Work, uscc: str) -> Firm | None:
    """Return an enterprise as it is now; its row is locked until the transaction ends. None: the registry does not know it.

    What the same transaction changed before, and did not flush, is flushed.
    """
    row = work.rows.enterprise(uscc)
    return None if row is None else of(work.session, row)


def of(session: Session, row: Enterprise) -> Firm:
    """Return the enterprise of a locked row, as it is now."""
    uscc = row.uscc
    session.flush()
    frozen = session.scalars(select(Account.frozen_at).where(Account.uscc == uscc)).all()
    return Firm(
        uscc=row.uscc,
        name=row.name,
        region=row.region,
        legal_rep=_representative(session, row),
        division=row.division,
        profile=row.profile,
        content=_content(session, row),
        agent=_in_office(session, uscc),
        activity_kinds=frozenset(row.activity_kinds),
        filed=row.filing_complete_at,
        is_frozen=row.frozen_at is not None or (len(frozen) > 0 and all(frozen)),
        has_account=len(frozen) > 0,
    )


def command(work: Work) -> tuple[Firm | None, Code | None]:
    """Return the enterprise of a request, and why the request is refused whatever it asks for; None: go on."""
    facts, body = work.facts(Request), work.sealed(RequestBody)
    firm = load(work, facts.enterprise)
    return firm, rule.command(firm, signature(work), body.signed_by, body.signatory_number, work.time)


def signature(work: Work) -> Signature | None:
    """Return the proof that a request names."""
    facts, event = work.facts(Request), work.record.event
    work.session.flush()
    proof = work.session.get(VerificationRow, facts.verification)
    record = work.session.get(RecordRow, facts.verification)
    if proof is None or record is None:
        return None
    is_for_signing = proof.facts.get("purpose") == Purpose.SIGNING and proof.facts.get("enterprise") == facts.enterprise
    here = (device_of(work.record), event.epoch, event.boot)
    return Signature(
        person=proof.person_id,
        standing=record.standing,
        is_for_signing=is_for_signing,
        is_same_visit=(record.device_id, record.epoch, record.boot) == here and record.seq < event.seq,
        at=proof.time,
    )


def _representative(session: Session, row: Enterprise) -> Representative:
    person = None if row.legal_rep_person_id is None else session.get_one(Person, row.legal_rep_person_id)
    if person is None:
        return Representative(row.legal_rep_status, fails=row.legal_rep_fails)
    return Representative(row.legal_rep_status, person.id, person.number, person.name, row.legal_rep_fails)


def _content(session: Session, row: Enterprise) -> ProfileUpdate | None:
    if not row.profile:
        return None
    profile = session.get_one(EnterpriseProfile, (row.uscc, row.profile))
    return ProfileUpdate.model_validate_json(profile.content)


def _in_office(session: Session, uscc: str) -> InOffice | None:
    asked = select(AgentRow, Person.number, VerificationChain.at)
    asked = asked.join(Person, Person.id == AgentRow.person_id).join(VerificationChain, VerificationChain.id == AgentRow.chain_id)
    found = session.execute(asked.where(AgentRow.uscc == uscc, AgentRow.status == AgentStatus.ACTIVE)).first()
    if found is None:
        return None
    row, number, at = found
    contact = None if row.contact is None else AgentContact.model_validate_json(row.contact)
    return InOffice(row.id, row.person_id, number, at, contact)
