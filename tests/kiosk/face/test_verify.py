"""The decision, frame by frame, without a process; `test_worker` has the same with one."""

from __future__ import annotations

import pytest

from kiosk.face.result import FaceFault, Glimpse, QualityCause
from kiosk.face.tally import Standard, Tally, concluded, no_reference
from models.load import Pack
from sync_agent.contract.kinds import Comparison, Condition, Liveness, Outcome


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
