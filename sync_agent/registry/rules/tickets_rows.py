"""Loads and writes verify tickets."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Verification
from sync_agent.registry.rules import tickets
from sync_agent.registry.rules.proof import is_match
from sync_agent.registry.rules.tickets import Bound, Held
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import TicketState, VerifyTicket


def issue(session: Session, ticket: str, bound: Bound, at: datetime) -> None:
    """Issue a ticket at the centre.

    Args:
        session: a write transaction.
        ticket: its id; never used before.
        bound: what it is for.
        at: when it is shown.
    """
    row = VerifyTicket(id=ticket, state=TicketState.ISSUED, issued_at=at, expires_at=at + tickets.HOLDS, **_columns(bound))
    session.add(row)


def use(work: Work) -> Code | None:
    """S10, S14: use up the ticket that a verification names, and return why it is refused; None: it holds, or none is named.

    The row stays, whatever became of it. `work.person` is the holder of the card.
    """
    facts = work.facts(Verification)
    if facts.ticket is None:
        return None
    person = work.person.id if work.person is not None else None
    bound = Bound(work.device.id, facts.purpose, facts.enterprise, person)
    work.session.flush()
    row = work.session.get(VerifyTicket, facts.ticket.id, with_for_update=True)
    held = None if row is None else Held(row.state, Bound(row.device_id, row.purpose, row.uscc, row.person_id), row.issued_at)
    state = tickets.present(held, bound, facts.ticket.issued_at, work.time, is_match=is_match(facts))
    if state is not None:
        if row is None:
            issued = facts.ticket.issued_at
            row = VerifyTicket(id=facts.ticket.id, issued_at=issued, expires_at=issued + tickets.HOLDS, **_columns(bound))
            work.session.add(row)
        row.state, row.record_id = state, work.record.event.id
    return None if state in (TicketState.USED, TicketState.FAILED) else Code.RECORD_NOT_FOUND


def _columns(bound: Bound) -> dict[str, object]:
    return {"device_id": bound.device, "purpose": bound.purpose, "uscc": bound.uscc, "person_id": bound.person}
