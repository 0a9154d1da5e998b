"""YuNet against OpenCV's own decoding of it, on the same pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face.align import arcface
from kiosk.face.detect import PointsKind
from kiosk.face.recogniser import Recogniser
from kiosk.face.result import QualityCause
from kiosk.face.yunet import Yunet
from models.load import Pack
from sync_agent.contract.kinds import Condition
from tests.kiosk.face.given_packs import YUNET, of_yunet, of_zoo, part, sface_like, yunet
from tests.shared import shared

Image = NDArray[np.uint8]
PICTURES = ("biden_1", "biden_2", "biden_obama_group", "collins_1", "obama_1", "obama_2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def detector(folder: Path) -> Yunet:
    spec = yunet(folder)
    return Yunet((folder / YUNET).read_bytes(), 1, spec)


def picture(name: str, side: int) -> Image:
    image = np.asarray(cv2.imread(str(shared("faces") / f"{name}.jpg")), dtype=np.uint8)
    scale = side / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def of_opencv(image: Image) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    peer = cv2.FaceDetectorYN.create(str(shared("models") / YUNET), "", (width, height), 0.6, 0.3)
    return np.asarray(peer.detect(image)[1], dtype=np.float32)


@pytest.mark.parametrize("side", [300, 640])
@pytest.mark.parametrize("name", PICTURES)
def test_every_face_of_opencv_is_found_with_its_box_points_and_score(detector: Yunet, name: str, side: int) -> None:
    """OpenCV gives the surest place of each face; ours hold it among them, and give as many faces."""
    image = picture(name, side)
    places, peer = detector.places(image), of_opencv(image)
    assert len(detector.find(image, 32, side)) == len(peer) >= 1
    for face in peer:
        nearest = np.abs(places.boxes - face[:4]).sum(axis=1).argmin()
        assert places.boxes[nearest] == pytest.approx(face[:4], abs=0.02)
        assert places.points[nearest].ravel() == pytest.approx(face[4:14], abs=0.02)
        assert places.scores[nearest] == pytest.approx(face[14], abs=1e-4)
    assert places.boxes[0] != pytest.approx(peer[0][:4] + 1, abs=0.02)  # the control: a pixel beside is seen


def test_points_put_together_move_less_than_those_of_the_surest_place(detector: Yunet) -> None:
    """The same face, moved by parts of the grid: where its points lie must not depend on the grid."""
    image = picture("obama_1", 500)
    merged, surest = [], []
    for shift in np.linspace(0, 31, 14):
        moved = cv2.warpAffine(image, np.array([[1, 0, shift], [0, 1, 0.6 * shift]]), (500, 500), borderMode=cv2.BORDER_REPLICATE)
        face = detector.find(np.asarray(moved, dtype=np.uint8), 32, 500)[0]
        assert face.points is not None
        back = np.array([shift, 0.6 * shift])
        merged.append(face.points - back)
        surest.append(detector.places(np.asarray(moved, dtype=np.uint8)).points[0] - back)
    assert np.std(merged, axis=0).mean() < 0.8 * np.std(surest, axis=0).mean()


def test_the_box_is_of_the_kind_that_the_other_detector_gives(pack: Pack, detector: Yunet) -> None:
    """Sizes and places in a pack's thresholds mean the same with either."""
    other = Recogniser(pack, 1)
    for name in ("biden_2", "obama_1", "obama_2", "collins_1"):
        image = picture(name, 480)
        ours, peer = detector.find(image, 32, 480)[0], other.faces(image)[0]
        assert ours.overlap(peer) > 0.6
        assert 0.8 < ours.size / peer.size < 1.25


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (7, 5), (33, 31), (320, 240)])
def test_pictures_of_any_size_without_a_face_give_none(detector: Yunet, shape: tuple[int, int]) -> None:
    assert detector.find(np.full((*shape, 3), 90, dtype=np.uint8), 80, 200) == []


def test_the_arcface_cut_out_is_that_of_opencv(detector: Yunet, folder: Path) -> None:
    part(folder, "sface.onnx", sface_like())
    peer = cv2.FaceRecognizerSF.create(str(folder / "sface.onnx"), "")
    for name in PICTURES:
        image = picture(name, 600)
        row = of_opencv(image)[:1]
        theirs = peer.alignCrop(image, row)
        ours = arcface(image, row[0, 4:14].reshape(5, 2))
        assert np.abs(ours.astype(int) - theirs).mean() < 0.6
        moved = arcface(image, row[0, 4:14].reshape(5, 2) + 3)
        assert np.abs(moved.astype(int) - theirs).mean() > 0.6  # the control


def test_sface_is_fed_as_opencv_feeds_it_and_its_vectors_have_length_one(pack: Pack, folder: Path) -> None:
    zoo = Recogniser(of_zoo(pack, folder), 1)
    assert zoo.points_kind is PointsKind.EYES_NOSE_MOUTH
    peer = cv2.FaceRecognizerSF.create(str(folder / "sface.onnx"), "")
    image = picture("obama_1", 500)
    points, chip = zoo.describe(image, zoo.faces(image)[0])
    both = np.stack([peer.feature(np.ascontiguousarray(c))[0] for c in (chip, chip[:, ::-1])])
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    wanted = both.mean(axis=0) / np.linalg.norm(both.mean(axis=0))
    assert zoo.vector(chip) == pytest.approx(wanted, abs=1e-5)
    assert np.linalg.norm(zoo.vector(chip)) == pytest.approx(1, abs=1e-5)
    blue = np.ascontiguousarray(chip[..., ::-1])
    assert zoo.vector(blue) != pytest.approx(wanted, abs=1e-5)  # the control: colours exchanged
    assert points.shape == (5, 2)


def test_the_default_embedder_behind_yunet_tells_people_apart(pack: Pack, folder: Path) -> None:
    both = Recogniser(of_yunet(pack, folder), 1)
    vectors = {name: both.reference(picture(name, 600), Condition.DOCUMENT) for name in PICTURES if name != "biden_obama_group"}
    assert not any(isinstance(vector, QualityCause) for vector in vectors.values())

    def apart(one: str, other: str) -> float:
        return float(np.linalg.norm(np.subtract(vectors[one], vectors[other])))

    assert max(apart("obama_1", "obama_2"), apart("biden_1", "biden_2")) < 0.5
    assert min(apart("obama_1", "biden_1"), apart("collins_1", "obama_2"), apart("collins_1", "biden_2")) > 0.6
