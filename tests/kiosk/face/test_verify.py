"""The decision, frame by frame, without a process; `test_worker` has the same with one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from kiosk.face.calibration import Calibration, Summary
from kiosk.face.liveness import Verdict
from kiosk.face.rates import rate
from kiosk.face.result import Box, FaceFault, Glimpse, LivenessCause, QualityCause
from kiosk.face.scoring import Population
from kiosk.face.tally import Found, Standard, Tally, concluded, no_reference
from models.load import Pack
from sync_agent.contract.kinds import Comparison, Condition, Liveness, LivenessCheck, Outcome, Scoring


def seen(distance: float | None = None, cause: QualityCause | None = None) -> Glimpse:
    return Glimpse(1, None, cause, distance)


def decided(pack: Pack, *glimpses: Glimpse) -> Comparison:
    """The decision that the last of the glimpses brings, and none of those before it."""
    tally = Tally(standard(pack))
    answers = [tally.add(glimpse, at / 10) for at, glimpse in enumerate(glimpses)]
    assert answers[:-1] == [None] * (len(answers) - 1)
    assert answers[-1] is not None
    return concluded(answers[-1], standard(pack))


def standard(pack: Pack, condition: Condition = Condition.CHIP) -> Standard:
    return Standard.of(pack, condition, None)


@pytest.mark.parametrize(
    ("distance", "outcome"),
    [
        (0.0, Outcome.MATCH),
        (0.40, Outcome.MATCH),
        (0.4002, Outcome.REVIEW),
        (0.50, Outcome.REVIEW),
        (0.5002, Outcome.NO_MATCH),
        (1.4, Outcome.NO_MATCH),
    ],
)
def test_the_mean_distance_falls_into_one_of_three_bands(pack: Pack, distance: float, outcome: Outcome) -> None:
    count = pack.spec.thresholds.chip.frames
    comparison = decided(pack, *[seen(distance)] * count)
    assert comparison.outcome is outcome
    assert comparison.distance == pytest.approx(distance, abs=1e-4)
    assert (comparison.accept_at, comparison.review_at) == (0.40, 0.50)
    assert (comparison.pack, comparison.pack_sha256) == ("dlib", pack.sha256)
    assert (comparison.frames, comparison.quality, comparison.liveness) == (count, "", Liveness.NOT_RUN)


def test_one_good_frame_among_bad_ones_does_not_decide(pack: Pack) -> None:
    assert decided(pack, seen(0.1), *[seen(0.7)] * 4).outcome is Outcome.NO_MATCH
    assert decided(pack, seen(0.7), *[seen(0.2)] * 4).outcome is Outcome.MATCH


@pytest.mark.parametrize("cause", [QualityCause.BLURRED, QualityCause.TURNED, QualityCause.TOO_DARK])
def test_a_poor_frame_in_between_does_not_count_and_does_no_harm(pack: Pack, cause: QualityCause) -> None:
    assert decided(pack, *[seen(0.3)] * 3, seen(cause=cause), *[seen(0.3)] * 2).frames == 5


@pytest.mark.parametrize("cause", [QualityCause.NO_FACE, QualityCause.TWO_FACES])
def test_after_somebody_left_or_came_the_count_begins_again(pack: Pack, cause: QualityCause) -> None:
    """Otherwise one person could lend the first frames and another the rest."""
    tally = Tally(standard(pack))
    for glimpse in (*[seen(0.2)] * 4, seen(cause=cause)):
        tally.add(glimpse, 0.0)
    assert tally.progress == 0
    assert decided(pack, *[seen(0.2)] * 4, seen(cause=cause), *[seen(0.7)] * 5).outcome is Outcome.NO_MATCH


def test_at_the_deadline_the_cause_seen_most_is_named(pack: Pack) -> None:
    tally = Tally(standard(pack))
    for cause in (QualityCause.TOO_FAR, QualityCause.BLURRED, QualityCause.BLURRED):
        assert tally.add(seen(cause=cause), 0.0) is None
    tally.add(seen(0.2), 0.0)
    comparison = concluded(tally.at_deadline(20.0), standard(pack))
    assert (comparison.outcome, comparison.quality) == (Outcome.POOR_QUALITY, "blurred")
    assert comparison.distance is None


def test_a_machine_too_slow_to_judge_is_a_fault_and_not_the_visitors_poor_quality(pack: Pack) -> None:
    tally = Tally(standard(pack))
    tally.add(seen(0.2), 0.0)
    with pytest.raises(FaceFault, match=r"FACE-01: 1 of 5 frames were judged in 20 s"):
        tally.at_deadline(20.0)


def test_without_a_usable_portrait_there_is_nothing_to_compare_with(pack: Pack) -> None:
    assert concluded(no_reference(None), standard(pack)).outcome is Outcome.NO_REFERENCE
    assert concluded(no_reference(QualityCause.NO_FACE), standard(pack)).quality == "no-face"


def test_progress_counts_good_frames(pack: Pack) -> None:
    tally = Tally(standard(pack))
    tally.add(seen(0.2), 0.0)
    tally.add(seen(cause=QualityCause.BLURRED), 0.0)
    assert tally.progress == pytest.approx(1 / 5)


# --- what it is held against, and what becomes of it ----------------------------------------------------------------------


def found(outcome: Outcome) -> Found:
    return Found(outcome, 0.3)


def test_a_box_that_jumps_begins_the_count_again(pack: Pack) -> None:
    """The control: the same frames without the jump decide."""

    def at(x: float) -> Glimpse:
        return Glimpse(1, Box(x, 0.3, 0.2, 0.27), None, 0.3, plain=0.3)

    still, jumping = Tally(standard(pack)), Tally(standard(pack))
    for n in range(4):
        assert still.add(at(0.4), n / 10) is None
        assert jumping.add(at(0.4), n / 10) is None
    assert still.add(at(0.41), 0.4) is not None
    assert jumping.add(at(0.7), 0.4) is None
    assert jumping.progress == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("distance", "other", "outcome"),
    [
        (0.60, 0.30, Outcome.WRONG_PERSON),
        (0.39, 0.30, Outcome.WRONG_PERSON),
        (0.30, 0.39, Outcome.MATCH),
        (0.45, 0.42, Outcome.REVIEW),
        (0.60, 0.45, Outcome.NO_MATCH),
    ],
)
def test_who_fits_the_other_person_of_a_chain_better_and_well_enough_is_the_wrong_person(
    pack: Pack, distance: float, other: float, outcome: Outcome
) -> None:
    assert decided(pack, *[replace(seen(distance), other=other)] * 5).outcome is outcome


@pytest.mark.parametrize(
    ("before", "liveness", "after"),
    [
        (Outcome.MATCH, Liveness.CHALLENGE_ONLY, Outcome.MATCH),
        (Outcome.REVIEW, Liveness.CHALLENGE_ONLY, Outcome.REVIEW),
        (Outcome.MATCH, Liveness.FAILED, Outcome.NOT_LIVE),
        (Outcome.REVIEW, Liveness.FAILED, Outcome.NOT_LIVE),
        (Outcome.MATCH, Liveness.ATTENDANT, Outcome.TO_CONFIRM),
        (Outcome.REVIEW, Liveness.ATTENDANT, Outcome.REVIEW),
        (Outcome.NO_MATCH, Liveness.NOT_RUN, Outcome.NO_MATCH),
    ],
)
def test_liveness_can_take_a_match_away_and_never_gives_one(
    pack: Pack, before: Outcome, liveness: Liveness, after: Outcome
) -> None:
    cause = LivenessCause.LATE if liveness is Liveness.FAILED else None
    comparison = concluded(found(before), standard(pack), Verdict(liveness, (LivenessCheck.CHALLENGE,), cause))
    assert (comparison.outcome, comparison.liveness, comparison.quality) == (after, liveness, cause or "")
    assert comparison.checks == (LivenessCheck.CHALLENGE,)


@pytest.mark.parametrize("use", ["attended", "unattended"])
@pytest.mark.parametrize("liveness", [Liveness.NOT_RUN, Liveness.CHALLENGE_ONLY, Liveness.PASSED])
def test_unattended_a_match_stands_only_with_a_pack_for_that_and_liveness_passed(
    pack: Pack, use: str, liveness: Liveness
) -> None:
    other = Pack(pack.spec.model_copy(update={"use": use}), pack.sha256, pack.folder)
    stands = use == "unattended" and liveness is Liveness.PASSED
    unattended = concluded(found(Outcome.MATCH), standard(other), Verdict(liveness, ()), is_attended=False)
    assert unattended.outcome is (Outcome.MATCH if stands else Outcome.REVIEW)
    attended = concluded(found(Outcome.MATCH), standard(other), Verdict(liveness, ()))
    assert attended.outcome is Outcome.MATCH


def test_each_kind_of_portrait_has_its_band_and_a_rate_that_was_not_measured_is_not_told(pack: Pack) -> None:
    for condition, band in (
        (Condition.CHIP, pack.spec.thresholds.chip),
        (Condition.DOCUMENT, pack.spec.thresholds.document),
    ):
        comparison = concluded(found(Outcome.MATCH), standard(pack, condition))
        assert (comparison.condition, comparison.accept_at) == (condition, band.accept_at)
        assert comparison.accept_fmr == (band.accept_fmr if band.measured else None)


def test_a_calibration_is_in_force_for_its_own_pack_and_kind_of_portrait_only(pack: Pack) -> None:
    band = pack.spec.thresholds.chip.model_copy(update={"accept_at": -0.2, "review_at": 0.1})
    vector = np.zeros(128, dtype=np.float32)
    calibration = Calibration(
        datetime(2026, 1, 1, tzinfo=UTC),
        pack.sha256,
        Condition.CHIP,
        Scoring.CENTRED,
        200,
        Population(vector, vector),
        band,
        Summary(
            photos=1,
            failures=0,
            tried=(),
            fmr=rate(0, 1),
            frr=rate(0, 1),
        ),
        "a" * 64,
    )
    own = concluded(found(Outcome.MATCH), Standard.of(pack, Condition.CHIP, calibration))
    assert (own.accept_at, own.scoring, own.calibration) == (-0.2, Scoring.CENTRED, "a" * 64)
    of_document = concluded(found(Outcome.MATCH), Standard.of(pack, Condition.DOCUMENT, calibration))
    of_other_pack = concluded(
        found(Outcome.MATCH), Standard.of(Pack(pack.spec, "b" * 64, pack.folder), Condition.CHIP, calibration)
    )
    for other in (of_document, of_other_pack):
        assert (other.scoring, other.calibration) == (Scoring.EUCLIDEAN, "")
        assert other.accept_at > 0
