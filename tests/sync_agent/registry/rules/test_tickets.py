from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Outcome, Purpose, Ticket
from sync_agent.registry.rules import tickets, tickets_rows
from sync_agent.registry.rules.tickets import Bound, Held
from sync_agent.registry.tables import LegalRepStatus, TicketState, VerifyTicket
from tests.sync_agent.registry.rules.firms import AWAY, HOME, MINUTE, Firms
from tests.sync_agent.world import DEVICE, NOW

MINE = Bound(DEVICE, Purpose.LEGAL_REPRESENTATIVE, AWAY, 1)


@pytest.mark.parametrize(("after_s", "state"), [(0, "used"), (59.9, "used"), (60.0, "expired"), (-0.1, "expired")])
@pytest.mark.parametrize("held", [None, Held(TicketState.ISSUED, MINE, NOW)])
def test_s10_a_ticket_holds_one_minute_by_the_devices_times(after_s: float, state: str, held: Held | None) -> None:
    at = NOW + timedelta(seconds=after_s)
    assert tickets.present(held, MINE, NOW, at, is_match=True) == TicketState(state)


@pytest.mark.parametrize(
    "other",
    [
        replace(MINE, device="kiosk-2"),
        replace(MINE, purpose=Purpose.SIGNING),
        replace(MINE, uscc=HOME),
        replace(MINE, person=2),
    ],
)
def test_s08_a_ticket_is_bound(other: Bound) -> None:
    held = Held(TicketState.ISSUED, MINE, NOW)
    assert tickets.present(held, other, NOW, NOW, is_match=True) is None
    assert tickets.present(held, MINE, NOW, NOW, is_match=True) is TicketState.USED


@pytest.mark.parametrize("state", [TicketState.USED, TicketState.EXPIRED, TicketState.FAILED])
def test_s14_what_has_ended_never_changes(state: TicketState) -> None:
    assert tickets.present(Held(state, MINE, NOW), MINE, NOW, NOW, is_match=True) is None


def test_s10_a_device_cannot_date_a_ticket_of_the_centre_anew() -> None:
    held = Held(TicketState.ISSUED, MINE, NOW - 2 * MINUTE)
    assert tickets.present(held, MINE, NOW, NOW, is_match=True) is TicketState.EXPIRED


def test_s10_s14_used_expired_and_anothers_ticket_are_answered_alike(firms: Firms) -> None:
    firms.admit()
    firms.capture()
    with firms.world.database.write() as session:
        bound = Bound(DEVICE, Purpose.SIGNING, AWAY, None)
        tickets_rows.issue(session, "of-another-purpose", bound, firms.now + MINUTE)
    late = Ticket(id="late", issued_at=firms.now)  # a minute before the verification that follows
    assert firms.verify(ticket=late).code is Code.RECORD_NOT_FOUND
    assert firms.verify(ticket=Ticket(id="of-another-purpose", issued_at=firms.now + MINUTE)).code is Code.RECORD_NOT_FOUND
    assert firms.row().legal_rep_status is LegalRepStatus.CAPTURED
    good = Ticket(id="good", issued_at=firms.now + timedelta(seconds=0.1))
    assert firms.verify(ticket=good).code is None
    again = firms.verify(ticket=good)
    assert (again.code, again.case_number) == (Code.RECORD_NOT_FOUND, None)
    with firms.world.database.read() as session:
        states = {row.id: row.state for row in session.scalars(select(VerifyTicket))}
    expected = {"late": TicketState.EXPIRED, "of-another-purpose": TicketState.ISSUED, "good": TicketState.USED}
    assert states == expected


def test_4_2_a_failed_face_burns_the_ticket(firms: Firms) -> None:
    firms.admit()
    firms.capture()
    ticket = Ticket(id="one", issued_at=firms.now + MINUTE)
    assert firms.verify(outcome=Outcome.NO_MATCH, ticket=ticket).code is Code.NOT_VERIFIED
    assert firms.verify(ticket=ticket).code is Code.RECORD_NOT_FOUND
    assert firms.verify(ticket=Ticket(id="two", issued_at=firms.now + MINUTE)).code is None
