"""Scorings against their definitions, written out face by face."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk.face.embed import Vector
from kiosk.face.scoring import EUCLIDEAN, LIMIT, NEAREST, Population, Scale, Scorer, Vectors
from sync_agent.contract.kinds import Scoring

NEED_PEOPLE = [Scoring.COHORT, Scoring.CENTRED_COHORT]


def faces(count: int, seed: int) -> Vectors:
    return np.random.default_rng(seed).normal(0.1, 0.1, (count, 128)).astype(np.float32)


CROWD = Population.of(faces(40, 1), faces(30, 2))
ONE, OTHER = faces(2, 3)


def cosine(one: Vector, other: Vector) -> float:
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


def nearest(distances: list[float]) -> list[float]:
    return sorted(distances)[:20]


def by_definition(scoring: Scoring, portrait: Vector, probe: Vector) -> float:
    p, q = portrait.astype(float), probe.astype(float)
    assert CROWD.portraits is not None and CROWD.probes is not None
    p0, q0 = p - CROWD.portrait_mean, q - CROWD.probe_mean
    match scoring:
        case Scoring.EUCLIDEAN:
            return float(np.linalg.norm(p - q))
        case Scoring.CENTRED:
            return 1 - cosine(p0, q0)
        case Scoring.COHORT:
            left = np.mean(nearest([float(np.linalg.norm(p - other)) for other in CROWD.probes]))
            right = np.mean(nearest([float(np.linalg.norm(q - other)) for other in CROWD.portraits]))
            return float(np.linalg.norm(p - q) - (left + right) / 2)
        case Scoring.CENTRED_COHORT:
            raw = 1 - cosine(p0, q0)
            sides = (
                nearest([1 - cosine(p0, other - CROWD.probe_mean) for other in CROWD.probes]),
                nearest([1 - cosine(q0, other - CROWD.portrait_mean) for other in CROWD.portraits]),
            )
            return float(np.mean([(raw - np.mean(side)) / np.std(side) for side in sides]))


@pytest.mark.parametrize("scoring", Scoring)
def test_a_score_is_what_its_definition_gives(scoring: Scoring) -> None:
    score = Scorer(ONE, Scale(scoring, CROWD))(OTHER)
    assert score == pytest.approx(by_definition(scoring, ONE, OTHER), abs=1e-5)
    assert score != pytest.approx(by_definition(scoring, ONE, -OTHER), abs=1e-3)  # the control: another face


@pytest.mark.parametrize("scoring", Scoring)
def test_many_at_once_score_like_one_at_a_time(scoring: Scoring) -> None:
    portraits, probes = faces(7, 4), faces(7, 5)
    scale = Scale(scoring, CROWD)
    together = scale.scores(portraits, scale.of_portraits(portraits), probes, scale.of_probes(probes))
    singly = [Scorer(portrait, Scale(scoring, CROWD))(probe) for portrait, probe in zip(portraits, probes, strict=True)]
    assert together == pytest.approx(singly)


@pytest.mark.parametrize("scoring", Scoring)
@given(amount=st.floats(0.0, 0.9), step=st.floats(0.05, 0.5))
def test_the_nearer_a_face_comes_the_smaller_is_its_score(scoring: Scoring, amount: float, step: float) -> None:
    scorer = Scorer(ONE, Scale(scoring, CROWD))
    nearer = min(1.0, amount + step)
    far, near = (scorer((ONE * part + OTHER * (1 - part)).astype(np.float32)) for part in (amount, nearer))
    assert near < far or near == far == -LIMIT


def test_without_a_calibration_the_score_is_the_plain_distance() -> None:
    scorer = Scorer(ONE, EUCLIDEAN)
    assert scorer(OTHER) == pytest.approx(scorer.plain(OTHER)) == pytest.approx(float(np.linalg.norm(ONE - OTHER)))
    assert Scorer(ONE, Scale(Scoring.COHORT, CROWD)).plain(OTHER) == pytest.approx(scorer(OTHER))


def test_a_score_never_leaves_what_a_record_can_hold() -> None:
    alike = np.repeat(faces(1, 6), NEAREST, axis=0)
    crowd = Population(np.zeros(128, np.float32), np.zeros(128, np.float32), alike, alike)
    scorer = Scorer(ONE, Scale(Scoring.CENTRED_COHORT, crowd))
    assert scorer(ONE) == -LIMIT
    assert scorer(-ONE) == LIMIT


@pytest.mark.parametrize("scoring", NEED_PEOPLE)
def test_a_scoring_that_needs_people_refuses_a_population_without(scoring: Scoring) -> None:
    only_means = Population(CROWD.portrait_mean, CROWD.probe_mean)
    with pytest.raises(ValueError, match="people"):
        Scale(scoring, only_means)
    with pytest.raises(ValueError, match="20 people"):
        Scale(scoring, Population.of(faces(NEAREST - 1, 1), faces(NEAREST, 2)))
    Scale(Scoring.CENTRED, only_means)  # the controls
    Scale(scoring, Population.of(faces(NEAREST, 1), faces(NEAREST, 2)))


def test_a_scorer_that_forgot_holds_zeros() -> None:
    scorer = Scorer(ONE, Scale(Scoring.COHORT, CROWD))
    before = scorer.plain(np.zeros(128, np.float32))
    scorer.forget()
    assert scorer.plain(np.zeros(128, np.float32)) == 0 < before
    assert np.linalg.norm(ONE) > 0  # what it was given is its giver's


def test_a_population_shows_no_numbers() -> None:
    assert repr(CROWD) == "Population(portrait_mean, probe_mean, portraits, probes)"
