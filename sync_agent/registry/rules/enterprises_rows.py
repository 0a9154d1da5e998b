"""Loads and writes for enterprises: their legal representative, those who sign for them, their profile."""

from __future__ import annotations

from sync_agent.contract.kinds import Capture, CardHolder, Verification
from sync_agent.contract.requests import ProfileUpdate
from sync_agent.registry.rules import enterprises, firm_rows, requests_rows, tickets_rows
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.enterprises import SaveProfile, SetLegalRep
from sync_agent.registry.rules.firm import Firm
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import Enterprise, EnterpriseProfile


def capture_legal_rep(work: Work) -> Decision:
    """S05, S07: the legal representative's card was read."""
    facts = work.facts(Capture)
    firm = _firm(work, facts.enterprise)
    work.about()
    decision = enterprises.capture(firm, facts, work.sealed(CardHolder), work.on)
    return work.settle(decision, lambda change: _write(work, facts.enterprise, change))


def verify_legal_rep(work: Work) -> Decision:
    """S08, S11, S15: the legal representative was compared with their card."""
    facts = work.facts(Verification)
    firm = _firm(work, facts.enterprise)
    work.about()
    work.keep_verification()
    ticket = tickets_rows.use(work)
    decision = enterprises.verify(firm, ticket, facts, work.sealed(CardHolder), work.on, work.now)
    return work.settle(decision, lambda change: _write(work, facts.enterprise, change))


def sign(work: Work) -> Decision:
    """S41: somebody proves who they are before they sign for an enterprise."""
    facts = work.facts(Verification)
    firm = _firm(work, facts.enterprise)
    work.about()
    work.keep_verification()
    ticket = tickets_rows.use(work)
    return work.settle(enterprises.sign(firm, ticket, facts, work.sealed(CardHolder), work.on, work.now))


def update_profile(work: Work) -> Decision:
    """S18, S21: the profile is updated."""
    asked = requests_rows.receive(work, ProfileUpdate)
    if isinstance(asked, Decision):
        return asked
    decision = enterprises.update_profile(asked.firm, asked.body, work.on, work.now)
    return requests_rows.settle(work, asked, decision, lambda change: _write(work, asked.firm.uscc, change))


def _firm(work: Work, uscc: str | None) -> Firm | None:
    return None if uscc is None else firm_rows.load(work, uscc)


def _write(work: Work, uscc: str | None, change: Change) -> None:
    row = work.session.get_one(Enterprise, uscc)
    row.changed_at = work.now
    match change:
        case SetLegalRep(status=status, fails=fails, is_holder=is_holder):
            if status is not row.legal_rep_status:
                row.legal_rep_status, row.legal_rep_at = status, work.now
            row.legal_rep_fails = fails
            if is_holder and work.person is not None:
                row.legal_rep_person_id = work.person.id
        case SaveProfile(version=version, content=content):
            kept = content.model_dump_json()
            record = work.record.event.id
            work.session.add(EnterpriseProfile(uscc=row.uscc, version=version, content=kept, record_id=record, at=work.now))
            row.profile, row.activity_kinds = version, list(content.activity_kinds)
        case other:
            raise TypeError(f"nobody here writes a {type(other).__name__}")
