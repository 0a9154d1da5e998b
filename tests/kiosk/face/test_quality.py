from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face import quality
from kiosk.face.detect import Found
from kiosk.face.matcher import Matcher
from kiosk.face.result import QualityCause
from models.load import Pack
from models.spec import QualitySpec
from system.simulate.film import HEIGHT, WIDTH, still_of

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def spec(pack: Pack) -> QualitySpec:
    return pack.spec.quality


def moved(image: Image, *, dx: float = 0, dy: float = 0, scale: float = 1, angle: float = 0) -> Image:
    """The picture moved, enlarged and turned around the face in its middle."""
    matrix = np.array(cv2.getRotationMatrix2D((WIDTH / 2, 0.48 * HEIGHT), angle, scale), dtype=np.float64)
    matrix[:, 2] += np.array([dx, dy])
    return np.asarray(cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


def lit(image: Image, factor: float, plus: float = 0) -> Image:
    return np.asarray(np.clip(image * factor + plus, 0, 255), dtype=np.uint8)


def out_of_focus(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


@pytest.mark.parametrize("who", ["right", "impostor"])
def test_ok__a_plain_frame_is_of_use(matcher: Matcher, who: str) -> None:
    glimpse = matcher.look(1, still_of(who))
    assert glimpse.cause is None
    assert glimpse.box is not None


@pytest.mark.parametrize(
    ("frame", "cause"),
    [
        (still_of("nobody"), QualityCause.NO_FACE),
        (still_of("two-people"), QualityCause.TWO_FACES),
        (still_of("far"), QualityCause.TOO_FAR),
        (moved(still_of("right"), scale=2.7), QualityCause.TOO_NEAR),
        (moved(still_of("right"), dx=210), QualityCause.OFF_CENTRE),
        (moved(still_of("right"), dy=130), QualityCause.OFF_CENTRE),
        (lit(still_of("right"), 0.2), QualityCause.TOO_DARK),
        (lit(still_of("right"), 0.0), QualityCause.TOO_DARK),
        (lit(still_of("right"), 0.4, 150), QualityCause.TOO_BRIGHT),
        (lit(still_of("right"), 0.0, 255), QualityCause.TOO_BRIGHT),
        (moved(still_of("right"), angle=-30), QualityCause.TURNED),
        (out_of_focus(still_of("right"), 5), QualityCause.BLURRED),
        (still_of("blurred"), QualityCause.BLURRED),
    ],
)
def test_fail__a_frame_that_is_of_no_use_says_what_to_change(matcher: Matcher, frame: Image, cause: QualityCause) -> None:
    glimpse = matcher.look(1, frame)
    assert glimpse.cause is cause
    assert glimpse.distance is None


@pytest.mark.parametrize(
    "frame",
    [
        moved(still_of("right"), scale=1.6),
        moved(still_of("right"), scale=0.7),
        moved(still_of("right"), dx=110),
        moved(still_of("right"), dy=-50),
        lit(still_of("right"), 0.45),
        lit(still_of("right"), 1.1),
        moved(still_of("right"), angle=12),
        out_of_focus(still_of("right"), 1.5),
    ],
)
def test_ok__what_people_do_within_reason_is_of_use(matcher: Matcher, frame: Image) -> None:
    assert matcher.look(1, frame).cause is None


def test_a_second_face_counts_only_when_its_size_is_comparable(spec: QualitySpec) -> None:
    image = still_of("right")
    first = Found(250, 150, 150, 1)
    assert quality.of_faces([first, Found(10, 10, 60, 1)], image, spec) is None
    assert quality.of_faces([first, Found(10, 10, 80, 1)], image, spec) is QualityCause.TWO_FACES


def test_noise_of_the_sensor_does_not_pass_for_sharpness(matcher: Matcher) -> None:
    noise = np.random.default_rng(1).normal(0, 5, (HEIGHT, WIDTH, 3))
    noisy = np.asarray(np.clip(out_of_focus(still_of("right"), 5) + noise, 0, 255), dtype=np.uint8)
    assert matcher.look(1, noisy).cause is QualityCause.BLURRED
