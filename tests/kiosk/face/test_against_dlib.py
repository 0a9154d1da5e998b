"""Detection, points and cut-out against dlib itself, on package data and on the shared portraits."""

from __future__ import annotations

from typing import Any

import cv2
import dlib
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face import align
from kiosk.face.detect import Found
from kiosk.face.landmarks import Landmarks
from kiosk.face.mmod import Mmod
from kiosk.face.model import Model
from models.load import Pack
from system.simulate.film import still_of
from tests.models.packs import cut, five_points, mmod
from tests.shared import shared

Image = NDArray[np.uint8]
SHARED = {"biden_1": 320, "biden_2": 400, "biden_obama_group": 700, "collins_1": 480, "obama_1": 420, "obama_2": 480}
"""Portraits and the longer side they are reduced to: small, for dlib takes seconds, but no face under 80 pixels."""


@pytest.fixture(scope="module")
def detector(pack: Pack) -> Mmod:
    return Mmod(Model(pack.read(mmod(pack).weights), threads=2), mmod(pack))


@pytest.fixture(scope="module")
def landmarks(pack: Pack) -> Landmarks:
    return Landmarks(pack.read(five_points(pack).weights))


@pytest.fixture(params=["right", "impostor", *SHARED])
def picture(request: pytest.FixtureRequest) -> Image:
    if request.param not in SHARED:
        return np.asarray(cv2.resize(still_of(request.param), (426, 320), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    image = np.asarray(cv2.imread(str(shared("faces") / f"{request.param}.jpg")), dtype=np.uint8)
    scale = SHARED[request.param] / max(image.shape)
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def found(detector: Mmod, image: Image) -> list[Found]:
    return detector.find(image, 50, min(image.shape[:2]))


def rgb(image: Image) -> Image:
    return np.ascontiguousarray(image[..., ::-1])


def box(face: Found) -> Any:
    left, top, size = round(face.left), round(face.top), round(face.size)
    return dlib.rectangle(left, top, left + size - 1, top + size - 1)


@pytest.mark.slow
def test_every_face_that_dlib_finds_is_found_and_no_other(detector: Mmod, dlib_detector: Any, picture: Image) -> None:
    rects = [(answer.rect, answer.confidence) for answer in dlib_detector(rgb(picture), 0)]
    peer = [Found(rect.left(), rect.top(), rect.width(), confidence) for rect, confidence in rects]
    ours = detector.find(picture, 80, min(picture.shape[:2]))
    assert len(ours) == len(peer) >= 1
    for face in peer:
        assert max(face.overlap(other) for other in ours) > 0.5


def test_the_five_points_are_those_of_dlib(detector: Mmod, landmarks: Landmarks, dlib_landmarks: Any, picture: Image) -> None:
    for face in found(detector, picture):
        peer = np.array([(p.x, p.y) for p in dlib_landmarks(rgb(picture), box(face)).parts()])
        apart = np.abs(np.floor(landmarks(picture, face) + 0.5) - peer)
        assert apart.max() <= 1  # dlib rounds to whole pixels
        assert np.mean(apart > 0) < 0.2


@pytest.mark.parametrize("beyond", [(-60, 100), (250, -80), (600, 400)])
def test_the_points_of_a_box_over_the_edge_are_those_of_dlib(
    landmarks: Landmarks, dlib_landmarks: Any, beyond: tuple[int, int]
) -> None:
    picture = still_of("right")
    face = Found(*beyond, 150, 1)
    peer = np.array([(p.x, p.y) for p in dlib_landmarks(rgb(picture), box(face)).parts()])
    assert np.abs(np.floor(landmarks(picture, face) + 0.5) - peer).max() <= 1


@pytest.mark.parametrize("factor", [1.0, 2.6])
def test_the_cut_out_is_that_of_dlib(pack: Pack, detector: Mmod, dlib_landmarks: Any, picture: Image, factor: float) -> None:
    """Also for a face so large that the picture is halved first."""
    picture = np.asarray(cv2.resize(picture, None, fx=factor, fy=factor), dtype=np.uint8)
    face = found(detector, picture)[0]
    shape = dlib_landmarks(rgb(picture), box(face))
    peer = dlib.get_face_chip(rgb(picture), shape, size=150, padding=0.25)
    points = np.array([(p.x, p.y) for p in shape.parts()], dtype=np.float32)
    ours = align.chip(picture, points, cut(pack))
    assert np.abs(rgb(ours).astype(int) - peer).mean() < 3.0
    assert np.abs(ours.astype(int) - peer).mean() > 3.0 or np.ptp(picture, axis=2).max() < 30  # the control: colours exchanged
