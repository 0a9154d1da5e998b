from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from kiosk.face import align
from kiosk.face.calibration import Calibration, Summary
from kiosk.face.landmarks import Landmarks
from kiosk.face.matcher import Matcher
from kiosk.face.rates import rate
from kiosk.face.result import QualityCause
from kiosk.face.scoring import EUCLIDEAN, NEAREST, Population
from kiosk.face.track import WHOLE_EVERY
from models.load import Pack
from sync_agent.contract.kinds import Condition, Scoring
from system.simulate.film import before_camera, head_of, still_of
from system.simulate.head import Turn
from system.simulate.people import chip_portrait
from tests.kiosk.face.conftest import Chip, Image, decoded, frames
from tests.shared import shared


def test_the_right_person_is_below_accept_and_the_impostor_above_review(
    pack: Pack, matcher: Matcher, films: Path, chip: Chip
) -> None:
    band = pack.spec.thresholds.chip
    for who, other in (("right", "impostor"), ("impostor", "right")):
        assert matcher.refer(chip(who).image) is None
        same = [matcher.look(n, frame).distance for n, frame in enumerate(frames(films / f"{who}.avi", 8))]
        assert all(distance is not None and distance <= band.accept_at for distance in same)
        matcher.refer(chip(who).image)
        strange = [matcher.look(n, frame).distance for n, frame in enumerate(frames(films / f"{other}.avi", 8))]
        assert all(distance is not None and distance > band.review_at for distance in strange)


@pytest.mark.parametrize(
    ("film", "cause"),
    [
        ("nobody", QualityCause.NO_FACE),
        ("two-people", QualityCause.TWO_FACES),
        ("far", QualityCause.TOO_FAR),
        ("dark", QualityCause.TOO_DARK),
        ("blurred", QualityCause.BLURRED),
    ],
)
def test_every_frame_of_a_film_that_is_of_no_use_says_the_same_cause(
    matcher: Matcher, films: Path, chip: Chip, film: str, cause: QualityCause
) -> None:
    matcher.refer(chip("right").image)
    assert {matcher.look(n, frame).cause for n, frame in enumerate(frames(films / f"{film}.avi", 12))} == {cause}


@pytest.mark.parametrize(("one", "other"), [("obama_1", "obama_2"), ("biden_1", "biden_2")])
def test_shared_portraits_of_the_same_person_are_nearer_than_review(pack: Pack, matcher: Matcher, one: str, other: str) -> None:
    folder = shared("faces")
    portrait = decoded(chip_portrait(cropped(cv2.imread(str(folder / f"{one}.jpg")), matcher)))
    assert matcher.refer(portrait) is None
    glimpse = matcher.look(1, framed(cv2.imread(str(folder / f"{other}.jpg"))))
    assert glimpse.distance is not None
    assert glimpse.distance <= pack.spec.thresholds.chip.review_at


@pytest.mark.parametrize(("one", "other"), [("obama_1", "biden_1"), ("biden_1", "obama_2"), ("collins_1", "obama_2")])
def test_shared_portraits_of_strangers_are_further_than_review(pack: Pack, matcher: Matcher, one: str, other: str) -> None:
    folder = shared("faces")
    assert matcher.refer(decoded(chip_portrait(cropped(cv2.imread(str(folder / f"{one}.jpg")), matcher)))) is None
    glimpse = matcher.look(1, framed(cv2.imread(str(folder / f"{other}.jpg"))))
    assert glimpse.distance is not None
    assert glimpse.distance > pack.spec.thresholds.chip.review_at


def test_a_portrait_without_a_face_cannot_be_a_reference(matcher: Matcher, chip: Chip) -> None:
    grey = np.full((126, 102, 3), 128, dtype=np.uint8)
    assert matcher.refer(grey) is QualityCause.NO_FACE
    assert matcher.look(1, still_of("right")).distance is None
    assert matcher.refer(chip("right").image) is None  # the control
    assert matcher.look(2, still_of("right")).distance is not None


def test_after_forgetting_nothing_is_compared_and_the_reference_is_zeros(matcher: Matcher, chip: Chip) -> None:
    matcher.refer(chip("right").image)
    assert matcher._reference is not None
    reference = matcher._reference._reference
    assert np.any(reference)
    matcher.forget()
    assert not np.any(reference)
    assert matcher.look(1, still_of("right")).distance is None


def test_a_second_person_is_seen_within_a_few_frames(matcher: Matcher) -> None:
    for number in range(3):
        assert matcher.look(number, still_of("right")).cause is None
    alone = moved_in(still_of("right"), 0)
    joined = moved_in(still_of("right"), 170)
    assert matcher.look(3, alone).cause is None
    assert QualityCause.TWO_FACES in [matcher.look(4 + n, joined).cause for n in range(WHOLE_EVERY)]


def test_a_turned_head_that_is_blurred_is_not_compared_and_a_sharp_one_is(matcher: Matcher, chip: Chip) -> None:
    matcher.refer(chip("right").image)
    head = head_of("right")
    sharp = before_camera(head.turned(Turn(30.0)), head.points)
    glimpse = matcher.look(1, sharp)
    assert (glimpse.cause, glimpse.plain is None) == (QualityCause.TURNED, False)
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 6.0), dtype=np.uint8)
    glimpse = matcher.look(2, blurred)
    assert (glimpse.cause, glimpse.plain) == (QualityCause.BLURRED, None)


def test_points_that_all_fall_into_one_place_are_no_face(matcher: Matcher, chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a frame and of a portrait; the control is the same with the points where they are."""
    assert matcher.refer(chip("right").image) is None
    assert matcher.look(1, still_of("right")).plain is not None
    with monkeypatch.context() as spoilt:
        spoilt.setattr(Landmarks, "__call__", lambda found, image, face: np.full((5, 2), 100.0, np.float32))
        assert matcher.look(2, still_of("right")).cause is QualityCause.NO_FACE
        assert matcher.refer(chip("right").image) is QualityCause.NO_FACE
    with pytest.raises(align.OnePlace):
        align.arcface(still_of("right"), np.full((5, 2), 100.0, np.float32))


def test_the_people_of_a_calibration_are_taken_over_once_and_not_by_every_visit(pack: Pack, chip: Chip) -> None:
    vectors = np.random.default_rng(1).normal(0, 0.1, (2, NEAREST, 128)).astype(np.float32)
    made = Calibration(
        datetime(2026, 1, 1, tzinfo=UTC),
        pack.sha256,
        Condition.CHIP,
        Scoring.COHORT,
        NEAREST,
        Population.of(*vectors),
        pack.spec.thresholds.chip,
        Summary(photos=1, failures=0, tried=(), fmr=rate(0, 1), frr=rate(0, 1)),
        "a" * 64,
    )
    matcher = Matcher(pack, 1, made)
    for condition, scale in ((Condition.CHIP, matcher._scale), (Condition.DOCUMENT, EUCLIDEAN)):
        assert matcher.refer(chip("right").image, condition) is None
        assert matcher._reference is not None
        assert matcher._reference._scale is scale
    assert matcher._scale.scoring is made.scoring


def moved_in(image: Image, width: int) -> Image:
    """The frame with somebody else stepping in from its left edge."""
    together = image.copy()
    if width:
        together[:, :width] = still_of("impostor")[:, 320 - width // 2 : 320 + width // 2]
    return together


def cropped(image: object, matcher: Matcher) -> Image:
    """The head at 102:126, as a card's portrait has it."""
    picture = np.asarray(image, dtype=np.uint8)
    box = matcher._recogniser.detector.find(picture, 80, 0.9 * min(picture.shape[:2]))[0]
    wide, middle = 1.9 * box.size, box.left + box.size / 2
    top, left = max(0, round(box.top - 0.5 * box.size)), max(0, round(middle - wide / 2))
    return picture[top : round(box.top + 1.85 * box.size), left : round(middle + wide / 2)]


def framed(image: object) -> Image:
    """A photograph as a camera frame: 480 rows, the face about in the middle."""
    picture = np.asarray(image, dtype=np.uint8)
    scale = 480 / picture.shape[0]
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
