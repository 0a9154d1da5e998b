"""Error rates worked out by hand, and what must hold for every set of scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.face import rates
from kiosk.face.rates import Errors, Trials, exact_bound, measurable, rate

Numbers = list[float]

SOME = st.lists(st.integers(0, 40).map(lambda number: number / 10), min_size=2, max_size=30)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "RESAMPLES", 40)


def trials(genuine: Numbers, impostor: Numbers) -> Trials:
    """Each pair of people of its own."""
    strangers = np.arange(2 * len(impostor)).reshape(-1, 2) + len(genuine)
    return Trials(np.array(genuine), np.arange(len(genuine)), np.array(impostor), strangers)


def test_rates_worked_out_by_hand() -> None:
    errors = Errors(trials([0.1, 0.2, 0.3, 0.4, 0.8], [0.25, 0.5, 0.6, 0.7, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]))
    cost = errors.at_fmr(0.25)  # three of twelve strangers, so up to just below the fourth
    assert cost is not None
    assert cost.threshold == pytest.approx(0.6999) and cost.threshold < 0.7
    assert (cost.fmr.events, cost.fmr.trials) == (3, 12)
    assert (cost.fnmr.events, cost.fnmr.trials) == (1, 5)
    at = errors.at(0.25)
    assert (at.fmr.events, at.fnmr.events) == (1, 3)  # a score that is the threshold is accepted
    just_below = errors.at(0.2499)
    assert (just_below.fmr.events, just_below.fnmr.events) == (0, 3)


@pytest.mark.parametrize(
    ("genuine", "impostor", "eer"),
    [
        ([1, 2], [3, 4], 0.0),
        ([3, 4], [1, 2], 1.0),
        ([1, 2, 3, 4], [4.5, 3.5, 5, 6], 0.25),  # at 3.5 a quarter of each lies on the wrong side
        ([1, 1], [1, 1], 0.5),
        ([1, 3], [2, 4], 0.5),
    ],
)
def test_equal_error_rates_worked_out_by_hand(genuine: Numbers, impostor: Numbers, eer: float) -> None:
    assert Errors(trials(genuine, impostor)).eer()[0] == pytest.approx(eer)


@given(scores=SOME)
def test_two_equal_sets_cannot_be_told_apart(scores: Numbers) -> None:
    assert Errors(trials(scores, scores)).eer()[0] == pytest.approx(0.5)


@given(genuine=SOME, impostor=SOME)
def test_along_the_thresholds_one_rate_rises_and_the_other_falls(genuine: Numbers, impostor: Numbers) -> None:
    errors = Errors(trials(genuine, impostor))
    assert (np.diff(errors.thresholds) > 0).all()
    assert (np.diff(errors.fmr) >= 0).all() and (np.diff(errors.fnmr) <= 0).all()
    assert errors.fmr[-1] == 1 and errors.fnmr[-1] == 0


@given(genuine=SOME, impostor=SOME)
def test_the_equal_error_rate_of_the_sets_exchanged_is_what_is_left_to_one(genuine: Numbers, impostor: Numbers) -> None:
    one, other = Errors(trials(genuine, impostor)).eer()[0], Errors(trials(impostor, genuine)).eer()[0]
    assert one + other == pytest.approx(1.0)


@given(genuine=SOME, impostor=st.lists(st.integers(0, 40).map(float), min_size=12, max_size=30), fmr=st.floats(0.25, 0.9))
def test_a_threshold_keeps_its_rate_and_no_larger_one_does(genuine: Numbers, impostor: Numbers, fmr: float) -> None:
    errors = Errors(trials(genuine, impostor))
    cost = errors.at_fmr(fmr)
    assert cost is not None
    assert cost.fmr.value <= fmr
    beyond = min((score for score in impostor if score > cost.threshold), default=None)
    assert beyond is None or errors.at(beyond).fmr.value > fmr


@pytest.mark.parametrize(("impostors", "fmr", "is_enough"), [(300, 1e-2, True), (299, 1e-2, False), (2999, 1e-3, False)])
def test_a_rate_that_stands_for_fewer_than_three_strangers_is_not_told(impostors: int, fmr: float, is_enough: bool) -> None:
    assert measurable(fmr, impostors) is is_enough
    errors = Errors(trials([0.0, 0.1], [float(number) for number in range(1, impostors + 1)]))
    assert (errors.at_fmr(fmr) is not None) is is_enough


def test_a_picture_without_a_face_counts_as_refused_and_not_as_unlike() -> None:
    errors = Errors(trials([0.1, 0.2, np.inf, 0.9], [0.5] * 12))
    cost = errors.at(0.3)
    assert (cost.fnmr.events, cost.fnmr.trials) == (1, 3)
    assert (cost.frr.events, cost.frr.trials) == (2, 4)


@pytest.mark.parametrize(("genuine", "impostor"), [([], [1.0]), ([np.inf], [1.0]), ([1.0], [])])
def test_without_pairs_of_both_kinds_there_are_no_rates(genuine: Numbers, impostor: Numbers) -> None:
    with pytest.raises(ValueError, match="pairs of strangers"):
        Errors(trials(genuine, impostor))
    Errors(trials([1.0], [1.0]))  # the control


def test_intervals_agree_with_their_closed_forms() -> None:
    assert exact_bound(1) == pytest.approx(0.975)
    assert exact_bound(100) == pytest.approx(0.036217, abs=1e-6)  # Clopper-Pearson tables, 0 of 100
    wilson = rate(10, 100)
    assert [wilson.low, wilson.high] == pytest.approx([0.05523, 0.17437], abs=1e-5)
    assert rate(0, 10).low == 0 and rate(0, 10).high == pytest.approx(0.27753, abs=1e-5)
    assert rate(10, 10).high == 1


def test_nothing_seen_to_go_wrong_is_no_proof_that_nothing_does() -> None:
    cost = Errors(trials([0.1] * 10, [0.5] * 20)).at(0.3)
    assert [cost.fnmr.low, cost.fnmr.high] == pytest.approx([0, exact_bound(10)])
    assert [cost.fmr.low, cost.fmr.high] == pytest.approx([0, exact_bound(20)])
    everything = Errors(trials([0.9] * 10, [0.2] * 20)).at(0.3)
    assert [everything.fnmr.low, everything.fnmr.high] == pytest.approx([1 - exact_bound(10), 1])


def test_with_few_people_an_interval_is_that_of_so_many_trials_however_many_pairs_they_have() -> None:
    scores = np.repeat([0.1, 0.9], 50)
    few = Errors(Trials(scores, np.repeat([0, 1], 50), np.array([0.5]), np.array([[0, 1]]))).at(0.3).fnmr
    assert [few.low, few.high] == pytest.approx([rate(1, 2).low, rate(1, 2).high])


def test_pairs_of_few_people_give_a_wider_interval_than_pairs_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "RESAMPLES", 400)
    chance = np.random.default_rng(1)
    failing = chance.random(40) < 0.2
    scores = np.repeat(np.where(failing, 0.9, 0.1), 10)
    strangers = np.stack([np.arange(0, 40), (np.arange(0, 40) + 1) % 40], axis=1)
    hang_together = Trials(scores, np.repeat(np.arange(40), 10), np.full(40, 0.5), strangers)
    on_their_own = Trials(scores, np.arange(400), np.full(40, 0.5), strangers)
    few, many = (Errors(each).at(0.3).fnmr for each in (hang_together, on_their_own))
    assert few.value == many.value
    assert few.high - few.low > 2 * (many.high - many.low)


@pytest.mark.slow
def test_an_interval_holds_the_true_rate_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 people with 5 pairs each, all of a person's pairs failing together in one case of five."""
    monkeypatch.setattr(rates, "RESAMPLES", 200)
    chance = np.random.default_rng(2)
    strangers = np.stack([np.arange(60), (np.arange(60) + 1) % 60], axis=1)
    held = 0
    for _ in range(100):
        scores = np.repeat(np.where(chance.random(60) < 0.2, 0.9, 0.1), 5)
        fnmr = Errors(Trials(scores, np.repeat(np.arange(60), 5), np.full(60, 0.5), strangers)).at(0.3).fnmr
        held += fnmr.low <= 0.2 <= fnmr.high
    assert 88 <= held <= 100


def test_the_same_trials_always_give_the_same_intervals() -> None:
    given = trials([0.1, 0.2, 0.5, 0.6], [0.3, 0.4, 0.7, 0.8])
    assert Errors(given).at(0.45) == Errors(given).at(0.45)
    assert Errors(given).eer() == Errors(given).eer()
