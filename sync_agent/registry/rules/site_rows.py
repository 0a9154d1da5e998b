"""Loads and writes for the rules of a site: its workers' cards, comparisons and passages, calls for help, the device's parts."""

from __future__ import annotations

from sync_agent.contract.kinds import Attendance, Capture, CardHolder, Case, Health, Verification
from sync_agent.registry.rules import attendance, cases, health, people
from sync_agent.registry.rules.decision import Change, Decision, KeepAttendance, Member, SetParts, SetStatus
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import AttendanceRow, Personnel


def capture(work: Work) -> Decision:
    """S49: a worker's card was read."""
    place = _place(work)
    decision = people.capture(_member(place), work.facts(Capture), work.sealed(CardHolder), work.on)
    return work.settle(decision, lambda change: _move(work, place, change))


def verify(work: Work) -> Decision:
    """S48, S49: a worker was compared with their card."""
    place = _place(work)
    work.keep_verification()
    decision = people.verify(_member(place), work.facts(Verification), work.sealed(CardHolder), work.on, work.now)
    return work.settle(decision, lambda change: _move(work, place, change))


def attend(work: Work) -> Decision:
    """U4: a worker passes the gate."""
    decision = attendance.attend(_member(_place(work)), work.now)
    return work.settle(decision, lambda change: _attend(work, change))


def ask(work: Work) -> Decision:
    """S63: somebody asks for a person."""
    return work.settle(cases.ask(work.facts(Case)))


def report(work: Work) -> Decision:
    """S06, S13: the device tells how it is."""
    status = work.rows.status(work.device)

    def write(change: Change) -> None:
        match change:
            case SetParts(parts=parts, version=version):
                status.parts, status.parts_at, status.version = dict(parts), work.time, version
            case other:
                raise TypeError(f"nobody here writes a {type(other).__name__}")

    return work.settle(health.report(status.parts_at, work.facts(Health), work.time, work.now), write)


def _place(work: Work) -> Personnel | None:
    person = work.about()
    return None if person is None else work.rows.place(work.site_id, person)


def _member(place: Personnel | None) -> Member | None:
    return None if place is None else Member(place.status, place.effective_from)


def _move(work: Work, place: Personnel | None, change: Change) -> None:
    match change, place:
        case SetStatus(status=status, effective_from=since), Personnel() as row:
            row.status, row.changed_at, row.effective_from = status, work.now, since
        case other, _:
            raise TypeError(f"nobody here writes a {type(other).__name__}")


def _attend(work: Work, change: Change) -> None:
    facts = work.facts(Attendance)
    match change, work.person:
        case KeepAttendance(), person if person is not None:
            row = AttendanceRow(
                record_id=work.record.event.id,
                site_id=facts.site,
                person_id=person.id,
                time=work.time,
                direction=facts.direction,
                method=facts.method,
            )
            work.session.add(row)
        case other, _:
            raise TypeError(f"nobody here writes a {type(other).__name__}")
