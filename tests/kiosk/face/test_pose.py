"""Turned heads, synthetic: which way, and about how far, by either kind of points; and that they are followed and compared."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face import pose
from kiosk.face.detect import PointsKind
from kiosk.face.matcher import Matcher
from kiosk.face.recogniser import Recogniser
from kiosk.face.result import QualityCause
from kiosk.face.track import WHOLE_EVERY
from models.load import Pack
from system.simulate.film import still_of
from system.simulate.head import Head, Turn
from tests.kiosk.face.conftest import Chip
from tests.kiosk.face.given_packs import of_yunet

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def yunet(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return of_yunet(pack, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def head(yunet: Pack) -> Head:
    still = still_of("right")
    points = Recogniser(yunet, 1).faces(still)[0].points
    assert points is not None
    return Head(still, points)


@pytest.mark.parametrize("which", ["dlib", "yunet"])
def test_a_turn_reads_to_its_side_and_grows(pack: Pack, yunet: Pack, head: Head, which: str) -> None:
    parts = Recogniser(pack if which == "dlib" else yunet, 1)

    def read(yaw_deg: float) -> float:
        seen = head.turned(Turn(yaw_deg))
        return pose.of_points(parts.describe(seen, parts.faces(seen)[0])[0], parts.points_kind).yaw_deg

    straight, *turned = (read(yaw_deg) for yaw_deg in (0, -28, -14, 14, 28))
    assert abs(straight) < 8
    assert turned == sorted(turned)
    for said, real in zip(turned, (-28, -14, 14, 28), strict=True):
        assert 0.4 < (said - straight) / real < 1.7


def test_points_without_a_turn_read_none_and_those_that_coincide_do_not_fail() -> None:
    straight = np.array([[40, 50], [60, 50], [50, 62], [43, 75], [57, 75]], dtype=np.float32)
    assert pose.of_points(straight, PointsKind.EYES_NOSE_MOUTH) == pose.Pose(0.0, 0.0)
    tilted = np.array([[40, 40], [60, 60], [50, 62], [20, 60], [35, 75]], dtype=np.float32)
    assert pose.of_points(tilted, PointsKind.EYES_NOSE_MOUTH).tilt_deg == pytest.approx(45)
    for kind in PointsKind:
        assert np.isfinite(pose.of_points(np.zeros((5, 2), dtype=np.float32), kind).yaw_deg)
    nose_right = straight + np.array([[0, 0], [0, 0], [6, 0], [0, 0], [0, 0]], dtype=np.float32)
    assert pose.of_points(nose_right, PointsKind.EYES_NOSE_MOUTH).yaw_deg > 10


def test_a_head_turned_too_far_is_turned_and_compared_all_the_same(yunet: Pack, head: Head, chip: Chip) -> None:
    matcher = Matcher(yunet, 1)
    assert matcher.refer(chip("right").image) is None
    straight = matcher.look(1, head.turned(Turn()))
    far = next(g for yaw in (30, 34, 38, 42) if (g := matcher.look(yaw, head.turned(Turn(yaw)))).cause is not None)
    assert straight.cause is None
    assert far.cause is QualityCause.TURNED
    assert far.distance is not None
    assert far.plain is not None
    assert straight.distance is not None
    assert straight.distance < far.plain


def test_a_second_person_is_seen_within_a_few_frames_and_until_then_the_first_is_followed(yunet: Pack) -> None:
    matcher = Matcher(yunet, 1)
    alone = still_of("right")
    joined = alone.copy()
    joined[:, :170] = still_of("impostor")[:, 235:405]
    assert [matcher.look(number, alone).cause for number in range(3)] == [None] * 3
    causes = [matcher.look(3 + number, joined).cause for number in range(WHOLE_EVERY)]
    assert causes[0] is None  # the control: between whole searches only the neighbourhood of the first is looked at
    assert QualityCause.TWO_FACES in causes


def test_points_of_a_followed_face_are_those_of_the_whole_frame(yunet: Pack) -> None:
    parts, still = Recogniser(yunet, 1), still_of("right")
    whole = parts.faces(still)[0]
    for shift in ((0, 0), (9, -7), (-15, 12)):
        moved = np.asarray(
            cv2.warpAffine(still, np.array([[1, 0, shift[0]], [0, 1, shift[1]]], dtype=float), (640, 480)), dtype=np.uint8
        )
        near = parts.near(moved, whole)
        assert near is not None
        assert near.points is not None
        assert whole.points is not None
        assert np.abs(near.points - whole.points - np.array(shift)).max() < 0.06 * whole.size  # its grid lies elsewhere
