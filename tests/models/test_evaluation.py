from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from models.evaluation import Attack, Band, Evaluation, Group, Incomparable, LivenessFigures, Point, Rate, worse
from sync_agent.contract.kinds import Condition, Scoring


def rate(events: int, trials: int = 1000) -> Rate:
    value = events / trials
    return Rate(events=events, trials=trials, low=max(0.0, value - 0.02), high=min(1.0, value + 0.02))


def fewer(events: int, trials: int = 100_000) -> Rate:
    """One that needs a narrower interval: strangers accepted."""
    value = events / trials
    return Rate(events=events, trials=trials, low=max(0.0, value - 0.001), high=value + 0.001)


def points(refused: int, *fmrs: float) -> tuple[Point, ...]:
    return tuple(Point(fmr=fmr, threshold=0.4, fnmr=rate(refused), frr=rate(refused)) for fmr in fmrs)


def band(accepted: int = 100) -> Band:
    return Band(accept_at=0.4, fmr=fewer(accepted), frr=rate(100))


def evaluation(refused: int = 200, /, **changes: object) -> Evaluation:
    values = {
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "pack": "some",
        "pack_sha256": "a" * 64,
        "condition": Condition.CHIP,
        "scoring": Scoring.EUCLIDEAN,
        "pairs_sha256": "b" * 64,
        "genuine": 1000,
        "impostor": 1000,
        "identities": 90,
        "failure_to_acquire": rate(3),
        "eer": 0.05,
        "intervals": "made up",
        "points": points(refused, 1e-2, 1e-3),
        "band": band(),
    }
    return Evaluation.model_validate(values | changes)


def test_an_evaluation_is_read_as_it_was_written() -> None:
    made = evaluation(groups=(Group(name="some", genuine=1, impostor=0, points=()),))
    assert Evaluation.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(("refused", "is_worse"), [(100, False), (200, False), (220, False), (221, True), (900, True)])
def test_a_pack_that_refuses_more_than_chance_explains_is_worse(refused: int, is_worse: bool) -> None:
    assert bool(worse(evaluation(refused), evaluation(200), 1e-3)) == is_worse


def test_a_more_lenient_threshold_makes_a_pack_worse_however_many_it_lets_through() -> None:
    (found,) = worse(evaluation(50, band=band(accepted=201)), evaluation(200), 1e-3)
    assert found.startswith("strangers accepted")
    assert not worse(evaluation(50, band=band(accepted=200)), evaluation(200), 1e-3)


def test_the_rate_of_the_pack_in_force_decides_and_the_next_laxer_one_where_pairs_are_few() -> None:
    old = evaluation(points=points(200, 1e-2) + points(500, 1e-3))
    new = evaluation(points=points(300, 1e-2) + points(400, 1e-3))
    assert not worse(new, old, 1e-3)
    assert "FMR 0.01" in worse(new, old, 1e-2)[0]
    assert not worse(new, old, 8e-4)
    assert "FMR 0.01" in worse(evaluation(points=points(300, 1e-2)), old, 1e-3)[0]


def test_a_group_for_which_it_is_worse_is_enough() -> None:
    def groups(refused: int, accepted: int) -> tuple[Group, ...]:
        return (Group(name="over 60", genuine=1000, impostor=1000, points=points(refused, 1e-3), band=band(accepted)),)

    old = evaluation(groups=groups(200, 100))
    assert not worse(evaluation(groups=groups(200, 100)), old, 1e-3)
    assert worse(evaluation(100, groups=groups(300, 100)), old, 1e-3)[0].startswith("group over 60: right people refused")
    assert worse(evaluation(100, groups=groups(200, 900)), old, 1e-3)[0].startswith("group over 60: strangers accepted")
    with pytest.raises(Incomparable, match="over 60"):
        worse(evaluation(), old, 1e-3)


def test_pairs_too_few_to_tell_anything_do_not_compare() -> None:
    def banded(fmr_high: float, frr_high: float) -> Evaluation:
        accepted = Rate(events=0, trials=1000, low=0, high=fmr_high)
        refused = Rate(events=400, trials=1000, low=0.1, high=frr_high)
        return evaluation(band=Band(accept_at=0.4, fmr=accepted, frr=refused))

    assert not worse(evaluation(), banded(0.003, 0.65), 1e-3)  # the control
    with pytest.raises(Incomparable, match=r"strangers accepted may be anything up to 0\.40%"):
        worse(evaluation(), banded(0.004, 0.65), 1e-3)
    with pytest.raises(Incomparable, match=r"right people refused may be anything up to 66\.00%"):
        worse(evaluation(), banded(0.003, 0.66), 1e-3)


def test_liveness_counts_where_the_pack_in_force_has_figures() -> None:
    def figures(refused: int, passed: int, kind: str = "flat") -> LivenessFigures:
        return LivenessFigures(synthetic=True, people_refused=rate(refused), attacks=(Attack(kind=kind, passed=rate(passed)),))

    old = evaluation(liveness=figures(10, 10))
    assert not worse(evaluation(liveness=figures(10, 10)), old, 1e-3)
    assert not worse(evaluation(liveness=figures(10, 10)), evaluation(), 1e-3)
    with pytest.raises(Incomparable, match="no figures for the liveness test"):
        worse(evaluation(), old, 1e-3)
    with pytest.raises(Incomparable, match="no figures for the attacks flat"):
        worse(evaluation(liveness=figures(10, 10, "bent")), old, 1e-3)
    assert worse(evaluation(liveness=figures(50, 10)), old, 1e-3)[0].startswith("living people refused")
    assert "'flat'" in worse(evaluation(liveness=figures(10, 50)), old, 1e-3)[0]


@pytest.mark.parametrize(
    "changes", [{"calibration": "d" * 64}, {"scoring": Scoring.CENTRED}, {"scoring": Scoring.COHORT, "calibration": "d" * 64}]
)
def test_an_evaluation_under_a_calibration_does_not_stand_for_a_pack_without(changes: dict[str, object]) -> None:
    calibrated = evaluation(**changes)
    assert not worse(calibrated, calibrated, 1e-3)  # the control
    for new, old in ((calibrated, evaluation()), (evaluation(), calibrated)):
        with pytest.raises(Incomparable, match="score differently"):
            worse(new, old, 1e-3)


@pytest.mark.parametrize(
    "changes", [{"pairs_sha256": "c" * 64}, {"condition": Condition.DOCUMENT}, {"points": points(1, 0.5)}, {"points": ()}]
)
def test_other_pairs_or_other_rates_cannot_be_compared(changes: dict[str, object]) -> None:
    worse(evaluation(), evaluation(), 1e-3)
    with pytest.raises(Incomparable):
        worse(evaluation(**changes), evaluation(), 1e-3)


def test_a_rate_outside_its_interval_is_refused() -> None:
    Rate(events=1, trials=10, low=0.1, high=0.1)
    with pytest.raises(ValidationError):
        Rate(events=2, trials=10, low=0.3, high=0.4)
