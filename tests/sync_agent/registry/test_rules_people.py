from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from kiosk.face.result import LivenessCause
from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Finding, Liveness, Method, Outcome, Provenance, Scoring, Verification
from sync_agent.contract.receipts import Standing
from sync_agent.registry.rules import people
from sync_agent.registry.rules.decision import KeepCard, Member, OpenCase, SetStatus
from sync_agent.registry.tables import CaseKind, LibraryStatus
from tests.sync_agent.world import NOW, capture, card, holder, verification

ON = date(2026, 3, 2)
EXPECTED = Member(LibraryStatus.ADDED)
INSIDE = Member(LibraryStatus.IN_LIBRARY, NOW - timedelta(days=9))
TODAYS_CHILD = {"birth": date(2010, 3, 3)}
SIXTEEN_TODAY = {"birth": date(2010, 3, 2)}


def made(outcome: Outcome, compared: Outcome | None = None, **figures: Any) -> Verification:
    """A verification whose one comparison has these figures."""
    facts = verification(outcome)
    comparison = facts.comparisons[0].model_copy(update={"outcome": compared or outcome, **figures})
    return facts.model_copy(update={"comparisons": (comparison,)})


@pytest.mark.parametrize("before", [LibraryStatus.ADDED, LibraryStatus.SYNCED, LibraryStatus.CAPTURED])
def test_ok__an_expected_person_who_matches_enters_the_library_now(before: LibraryStatus) -> None:
    decision = people.verify(Member(before), verification(), holder("zhaxi"), ON, NOW)
    assert (decision.standing, decision.code, decision.effective_from) == (Standing.ACCEPTED, None, NOW)
    assert decision.changes == (KeepCard(), SetStatus(LibraryStatus.IN_LIBRARY, NOW))


def test_ok__who_is_in_the_library_already_stays_since_when_they_were() -> None:
    decision = people.verify(INSIDE, verification(), holder("zhaxi"), ON, NOW)
    assert (decision.standing, decision.effective_from) == (Standing.ACCEPTED, INSIDE.effective_from)
    assert SetStatus not in map(type, decision.changes)


@pytest.mark.parametrize("member", [None, Member(LibraryStatus.LEFT)])
def test_fail__nobody_enters_who_is_not_on_the_roster(member: Member | None) -> None:
    decision = people.verify(member, verification(), holder("zhaxi"), ON, NOW)
    assert (decision.standing, decision.code, decision.changes) == (Standing.REFUSED, Code.PERSON_NOT_EXPECTED, ())


@pytest.mark.parametrize(
    "outcome", [o for o in Outcome if o not in (Outcome.MATCH, Outcome.TO_CONFIRM)], ids=lambda outcome: outcome.value
)
def test_fail__a_comparison_that_is_no_match_is_decided_by_a_person(outcome: Outcome) -> None:
    decision = people.verify(EXPECTED, verification(outcome, distance=0.55), holder("zhaxi"), ON, NOW)
    assert (decision.standing, decision.code, decision.effective_from) == (Standing.IN_REVIEW, None, None)
    assert decision.changes[-1] == OpenCase(CaseKind.COMPARISON, cause=outcome)


def test_fail__who_refuses_the_face_is_checked_by_a_person() -> None:
    asked = verification(Outcome.TO_CONFIRM, method=Method.MANUAL, consents=False)
    decision = people.verify(EXPECTED, asked, holder("zhaxi"), ON, NOW)
    assert decision.standing is Standing.IN_REVIEW
    assert decision.changes[-1] == OpenCase(CaseKind.MANUAL_CHECK)


@pytest.mark.parametrize(
    "claim",
    [
        verification(Outcome.MATCH, distance=0.51),
        verification(Outcome.MATCH, distance=None),
        verification(Outcome.MATCH, consents=False),
        verification(Outcome.MATCH, method=Method.MANUAL),
        verification(Outcome.MATCH).model_copy(update={"comparisons": ()}),
        made(Outcome.MATCH, distance=-1.9, accept_at=-2.0),
        made(Outcome.MATCH, liveness=Liveness.FAILED),
        made(Outcome.MATCH, liveness=Liveness.ATTENDANT),
        made(Outcome.MATCH, Outcome.NOT_LIVE),
        made(Outcome.MATCH, Outcome.WRONG_PERSON),
        made(Outcome.MATCH, Outcome.TO_CONFIRM),
    ],
    ids=[
        "too far",
        "no distance",
        "no consent",
        "manual",
        "no comparison",
        "too far below zero",
        "not live",
        "attendant",
        "comparison not live",
        "comparison of another",
        "comparison to confirm",
    ],
)
def test_fail__a_match_that_the_figures_do_not_bear_out_opens_nothing(claim: object) -> None:
    decision = people.verify(EXPECTED, claim, holder("zhaxi"), ON, NOW)  # type: ignore[arg-type]  # parametrised values are objects
    assert decision.standing is Standing.IN_REVIEW
    assert SetStatus not in map(type, decision.changes)


@pytest.mark.parametrize("liveness", [Liveness.NOT_RUN, Liveness.CHALLENGE_ONLY, Liveness.PASSED])
def test_ok__a_distance_below_zero_is_as_good_as_any_when_the_scoring_is_calibrated(liveness: Liveness) -> None:
    claim = made(Outcome.MATCH, distance=-2.0, accept_at=-2.0, liveness=liveness, scoring=Scoring.COHORT, calibration="c" * 64)
    assert people.verify(EXPECTED, claim, holder("zhaxi"), ON, NOW).standing is Standing.ACCEPTED


@pytest.mark.parametrize(
    ("figures", "case"),
    [
        ({}, OpenCase(CaseKind.MANUAL_CHECK, cause=Liveness.ATTENDANT)),
        ({"distance": 0.51}, OpenCase(CaseKind.COMPARISON, cause=Outcome.TO_CONFIRM)),
        ({"distance": None}, OpenCase(CaseKind.COMPARISON, cause=Outcome.TO_CONFIRM)),
        ({"liveness": Liveness.FAILED}, OpenCase(CaseKind.COMPARISON, cause=Outcome.TO_CONFIRM)),
        ({"liveness": Liveness.CHALLENGE_ONLY}, OpenCase(CaseKind.COMPARISON, cause=Outcome.TO_CONFIRM)),
    ],
    ids=["alike", "unlike", "no distance", "not live", "turned"],
)
def test_fail__who_cannot_turn_their_head_is_confirmed_by_a_person(figures: dict[str, Any], case: OpenCase) -> None:
    """P15."""
    gentle = made(Outcome.TO_CONFIRM, **{"liveness": Liveness.ATTENDANT, **figures})
    decision = people.verify(EXPECTED, gentle, holder("zhaxi"), ON, NOW)
    assert (decision.standing, decision.effective_from, decision.changes) == (Standing.IN_REVIEW, None, (KeepCard(), case))


@pytest.mark.parametrize(
    ("first", "quality", "case"),
    [
        (Outcome.NOT_LIVE, "stranger", OpenCase(CaseKind.COMPARISON, cause="stranger")),
        (Outcome.NOT_LIVE, "flat", OpenCase(CaseKind.COMPARISON, cause="flat")),
        (Outcome.NOT_LIVE, "lifeless", OpenCase(CaseKind.COMPARISON, cause="lifeless")),
        (Outcome.NOT_LIVE, "face-jumped", OpenCase(CaseKind.COMPARISON, cause="face-jumped")),
        (Outcome.NOT_LIVE, "too-late", OpenCase(CaseKind.MANUAL_CHECK, cause=Liveness.ATTENDANT)),
        (Outcome.NO_MATCH, "", OpenCase(CaseKind.MANUAL_CHECK, cause=Liveness.ATTENDANT)),
    ],
)
def test_fail__who_seemed_to_deceive_and_then_cannot_turn_is_looked_at_for_the_former(
    first: Outcome, quality: str, case: OpenCase
) -> None:
    assert not quality or LivenessCause(quality)
    gentle = made(Outcome.TO_CONFIRM, liveness=Liveness.ATTENDANT)
    (last,) = gentle.comparisons
    before = last.model_copy(update={"outcome": first, "liveness": Liveness.FAILED, "quality": quality})
    decision = people.verify(EXPECTED, gentle.model_copy(update={"comparisons": (before, last)}), holder("zhaxi"), ON, NOW)
    assert decision.changes == (KeepCard(), case)


@pytest.mark.parametrize(("until", "code"), [(date(2026, 3, 1), Code.CARD_EXPIRED), (ON, None), (None, None)])
def test_a_card_counts_until_the_end_of_its_last_day(until: date | None, code: Code | None) -> None:
    decision = people.verify(EXPECTED, verification(), holder("zhaxi", valid_until=until), ON, NOW)
    assert decision.code == code


@pytest.mark.parametrize(("card_holder", "code"), [(TODAYS_CHILD, Code.UNDER_AGE), (SIXTEEN_TODAY, None)])
def test_nobody_works_before_their_sixteenth_birthday(card_holder: dict[str, object], code: Code | None) -> None:
    decision = people.verify(EXPECTED, verification(), holder("zhaxi", **card_holder), ON, NOW)
    assert decision.code == code


@pytest.mark.parametrize(
    ("read", "card_holder"),
    [
        (card(Finding.NUMBER_CHECK), {}),
        (card(Finding.BIRTH_DIFFERS), {}),
        (card(Finding.SEX_DIFFERS), {}),
        (card(provenance=Provenance.ICAO_UNVERIFIED), {}),
        (card(), {"valid_from": date(2026, 3, 3)}),
    ],
    ids=["number", "birth", "sex", "unproven", "begins later"],
)
def test_fail__a_doubtful_card_is_looked_at_by_a_person(read: object, card_holder: dict[str, object]) -> None:
    facts = verification().model_copy(update={"card": read})
    decision = people.verify(EXPECTED, facts, holder("zhaxi", **card_holder), ON, NOW)
    assert decision.standing is Standing.IN_REVIEW
    assert decision.changes[-1] == OpenCase(CaseKind.DOUBTFUL_CARD)


def test_ok__a_rare_name_on_a_card_is_no_doubt() -> None:
    assert people.verify(EXPECTED, verification(read=card(Finding.RARE_NAME)), holder("li-rare"), ON, NOW).effective_from == NOW


@pytest.mark.parametrize("before", [LibraryStatus.ADDED, LibraryStatus.SYNCED, LibraryStatus.CAPTURED])
def test_ok__a_capture_is_accepted_and_waits_for_the_face(before: LibraryStatus) -> None:
    decision = people.capture(Member(before), capture(), holder("zhaxi"), ON)
    assert (decision.standing, decision.effective_from) == (Standing.ACCEPTED, None)
    assert decision.changes == (KeepCard(), SetStatus(LibraryStatus.CAPTURED))


def test_ok__a_capture_does_not_take_anybody_out_of_the_library() -> None:
    assert people.capture(INSIDE, capture(), holder("zhaxi"), ON).changes == (KeepCard(),)


def test_fail__a_card_that_is_not_on_the_roster_is_not_captured() -> None:
    assert people.capture(None, capture(), holder("zhaxi"), ON).code is Code.PERSON_NOT_EXPECTED


def test_fail__a_doubtful_card_is_not_captured_without_a_person() -> None:
    decision = people.capture(EXPECTED, capture(Finding.NUMBER_CHECK), holder("zhaxi"), ON)
    assert decision.standing is Standing.IN_REVIEW
