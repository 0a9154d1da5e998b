"""Who may be used, who is lacking, who can lead; flags and who may clear them: by rule (S24, S28, S48, S50-S53, 4.5, 12.3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from sync_agent.contract.codes import Code
from sync_agent.contract.requests import EmploymentKind
from sync_agent.registry.rules import flags, library
from sync_agent.registry.rules.library import Bar, Employed, Paper, Requirement
from sync_agent.registry.tables import AbnormalCode, CertificateStatus, LibraryStatus

ON = date(2026, 3, 2)
PRACTICE = Paper("practice", "建筑", date(2020, 1, 1), ON)


def somebody(number: int = 1, kind: EmploymentKind = EmploymentKind.REGISTERED, *papers: Paper) -> Employed:
    """Return somebody in the library who may be used."""
    family = next(iter(sorted(library.NEEDED[kind])), "")
    held = papers or ((replace(PRACTICE, family=family),) if family else ())
    return Employed(number, number, kind, LibraryStatus.IN_LIBRARY, "four_db", papers=held)


ME = somebody()


@pytest.mark.parametrize("kind", EmploymentKind)
def test_4_5_somebody_in_the_library_with_a_certificate_of_that_day_may_be_used(kind: EmploymentKind) -> None:
    assert library.usable(somebody(1, kind), ON)


@pytest.mark.parametrize(
    ("person", "bar", "code"),
    [
        (replace(ME, status=LibraryStatus.SYNCED), Bar.NOT_IN_LIBRARY, Code.NOT_VERIFIED),
        (replace(ME, status=LibraryStatus.CAPTURED), Bar.NOT_IN_LIBRARY, Code.NOT_VERIFIED),
        (replace(ME, status=LibraryStatus.LEFT), Bar.NOT_IN_LIBRARY, Code.PERSON_NOT_EXPECTED),
        (replace(ME, is_locked=True), Bar.BID_LOCKED, Code.PERSON_BID_LOCKED),
        (replace(ME, flags=frozenset({AbnormalCode.OTHER})), Bar.ABNORMAL, Code.PERSON_ABNORMAL),
        (replace(ME, papers=()), Bar.CERT_EXPIRED, Code.PERSON_ABNORMAL),
        (replace(ME, papers=(replace(PRACTICE, family="title"),)), Bar.CERT_EXPIRED, Code.PERSON_ABNORMAL),
        (
            replace(ME, papers=(replace(PRACTICE, status=CertificateStatus.SUSPENDED),)),
            Bar.CERT_EXPIRED,
            Code.PERSON_ABNORMAL,
        ),
    ],
)
def test_4_5_each_bar_alone_is_enough(person: Employed, bar: Bar, code: Code) -> None:
    assert library.bars(person, ON) == (bar,)
    assert library.choice_fault(person, ON) is code
    assert library.choice_fault(ME, ON) is None


def test_4_5_a_certificate_is_valid_on_its_last_day_and_not_after() -> None:
    assert PRACTICE.holds(ON)
    assert not PRACTICE.holds(date(2026, 3, 3))
    assert not PRACTICE.holds(date(2019, 12, 31))
    assert Paper("practice").holds(ON)


def test_s24_all_gaps_are_named_with_how_many_are_lacking() -> None:
    wanted = [
        Requirement(EmploymentKind.REGISTERED, 2, "建筑"),
        Requirement(EmploymentKind.REGISTERED, 1, "市政公用"),
        Requirement(EmploymentKind.TITLED, 1),
        Requirement(EmploymentKind.POST, 1),
    ]
    locked = replace(somebody(2), is_locked=True)
    people = [ME, locked, somebody(3, EmploymentKind.POST)]
    assert library.gaps(wanted, people, ON) == ("registered/建筑:1", "registered/市政公用:1", "titled:1")
    enough = [*people, somebody(4), somebody(5, EmploymentKind.TITLED), somebody(6, EmploymentKind.REGISTERED, MUNICIPAL)]
    assert library.gaps(wanted, enough, ON) == ()
    assert library.gaps([], [], ON) == ()


MUNICIPAL = replace(PRACTICE, specialty="市政公用")


def test_s24_one_human_being_counts_once_for_a_requirement() -> None:
    twice = [ME, replace(ME, id=9)]
    assert library.gaps([Requirement(EmploymentKind.REGISTERED, 2)], twice, ON) == ("registered:1",)


@pytest.mark.parametrize("kind", EmploymentKind)
def test_s28_only_registered_and_titled_people_lead(kind: EmploymentKind) -> None:
    leads = kind in (EmploymentKind.REGISTERED, EmploymentKind.TITLED)
    assert library.technical_lead_fault([somebody(1, kind)], ON) is (None if leads else Code.TECH_LEAD_NOT_ELIGIBLE)


def test_s28_a_lead_is_verified_and_neither_locked_nor_abnormal() -> None:
    assert library.technical_lead_fault([], ON) is Code.TECH_LEAD_NOT_ELIGIBLE
    synced = replace(ME, status=LibraryStatus.SYNCED)
    assert library.technical_lead_fault([synced], ON) is Code.TECH_LEAD_NOT_ELIGIBLE
    assert library.technical_lead_fault([synced, somebody(1, EmploymentKind.TITLED)], ON) is None
    assert library.technical_lead_fault([replace(ME, is_locked=True)], ON) is Code.PERSON_BID_LOCKED
    flagged = replace(ME, flags=frozenset({AbnormalCode.MULTI_EMPLOYER}))
    assert library.technical_lead_fault([flagged], ON) is Code.PERSON_ABNORMAL


@pytest.mark.parametrize("code", AbnormalCode)
@pytest.mark.parametrize("by", ["staff:a", "training_centre", "four_db", "registry", ""])
def test_s51_s52_who_may_clear_what(code: AbnormalCode, by: str) -> None:
    may = flags.may_clear(code, "four_db", by)
    match code:
        case AbnormalCode.MULTI_EMPLOYER:
            assert may is (by == "training_centre")
        case AbnormalCode.RETRAIN_DUE:
            assert may is (by in ("training_centre", "staff:a"))
        case _:
            assert may is (by in ("four_db", "staff:a"))


@pytest.mark.parametrize(
    ("last", "on", "is_due"),
    [
        (date(2025, 3, 2), date(2026, 3, 1), False),
        (date(2025, 3, 2), date(2026, 3, 2), True),
        (date(2024, 2, 29), date(2025, 2, 28), False),
        (date(2024, 2, 29), date(2025, 3, 1), True),
        (date(2023, 2, 28), date(2024, 2, 28), True),
        (date(2023, 3, 1), date(2024, 2, 29), False),
    ],
)
def test_12_3_retraining_is_due_a_year_after_the_last_data(last: date, on: date, is_due: bool) -> None:
    assert (last <= flags.year_before(on)) is is_due
