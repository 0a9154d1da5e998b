from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face import pose, quality
from kiosk.face.detect import Found, Points
from kiosk.face.matcher import Matcher
from kiosk.face.picture import read
from kiosk.face.recogniser import Recogniser
from kiosk.face.result import QualityCause
from models.load import Pack
from models.spec import QualitySpec
from system.simulate.film import HEIGHT, WIDTH, still_of
from tests.kiosk.face.given_packs import of_yunet
from tests.shared import shared

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


def back_lit(image: Image, gain: float, wall: float) -> Image:
    """The person as before, or dimmed, in front of a wall of light."""
    face = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    cv2.ellipse(face, (WIDTH // 2, round(0.48 * HEIGHT)), (80, 105), 0, 0, 360, 1.0, -1)
    cv2.rectangle(face, (WIDTH // 2 - 190, round(0.48 * HEIGHT) + 95), (WIDTH // 2 + 190, HEIGHT), 1.0, -1)
    person = cv2.GaussianBlur(face, (0, 0), 4)[..., None]
    return np.asarray(np.clip(image * gain * person + wall * (1 - person), 0, 255), dtype=np.uint8)


def test_a_face_that_gets_no_light_before_a_bright_wall_is_back_lit_and_a_lit_one_is_not(matcher: Matcher) -> None:
    assert matcher.look(1, back_lit(still_of("right"), 0.4, 245)).cause is QualityCause.BACK_LIT
    matcher.forget()
    assert matcher.look(1, back_lit(still_of("right"), 1.0, 245)).cause is None  # the control: the same wall
    matcher.forget()
    assert matcher.look(1, back_lit(still_of("right"), 0.5, 60)).cause is None  # the control: as dim, before a dark one


def covered(image: Image, points: Points, what: str) -> Image:
    """A face with something drawn over it; points as YuNet gives them."""
    across = points[1] - points[0]
    down = np.array([-across[1], across[0]])
    middle = (points[0] + points[1]) / 2

    def at(x: float, y: float) -> tuple[int, int]:
        place = middle + x * across + y * down
        return round(float(place[0])), round(float(place[1]))

    size = float(np.linalg.norm(across))
    shape, colour = np.zeros(image.shape[:2], dtype=np.float32), (40, 35, 35)
    match what:
        case "mask":
            colour = (200, 170, 120)
            left = [(-0.4, 1.65), (-0.85, 1.1), (-0.95, 0.35), (-0.5, 0.42), (0.0, 0.3)]
            edge = [at(x, y) for x, y in left] + [at(-x, y) for x, y in reversed(left[:-1])]
            cv2.fillPoly(shape, [np.array(edge)], 1.0)
        case "scarf":
            cv2.fillPoly(shape, [np.array([at(-1.2, 0.5), at(0, 0.4), at(1.2, 0.5), at(1.3, 2.2), at(-1.3, 2.2)])], 1.0)
        case "sunglasses":
            for x in (-0.5, 0.5):
                cv2.circle(shape, at(x, 0.08), round(0.38 * size), 1.0, -1)
            cv2.line(shape, at(-0.2, 0), at(0.2, 0), 1.0, max(1, round(0.07 * size)))
        case "hand":
            colour = tuple(int(c) for c in image[at(-0.5, 0.5)[1], at(-0.5, 0.5)[0]])  # type: ignore[assignment]  # three colours
            cv2.line(shape, at(-1.1, -0.1), at(0.1, 0.05), 1.0, round(0.5 * size))
    soft = cv2.GaussianBlur(shape, (0, 0), max(0.8, 0.015 * size))[..., None]
    return np.asarray(image * (1 - soft) + np.array(colour) * soft, dtype=np.uint8)


@pytest.fixture(scope="module")
def orl() -> list[Image]:
    """Every seventh picture of the ORL faces, beards, glasses and smiles among them, at the size of a camera's frame."""
    files = sorted(shared("faces/orl").glob("*.png"))[::7]
    return [np.asarray(cv2.resize(read(file), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), dtype=np.uint8) for file in files]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["dlib", "yunet"])
def test_covered_faces_are_mostly_refused_and_bare_ones_hardly_ever(
    pack: Pack, tmp_path: Path, orl: list[Image], which: str
) -> None:
    """Refused: as covered, or not found at all. Floors lie a little below what was measured on all ORL faces (model cards)."""
    yunet = Recogniser(of_yunet(pack, tmp_path), 1)
    parts = Recogniser(pack, 1) if which == "dlib" else yunet
    spec = pack.spec.quality if which == "dlib" else pack.spec.quality.model_copy(update={"covered": 0.55, "least_score": 0.9})

    def is_refused(image: Image) -> bool:
        faces = parts.faces(image)
        if not faces:
            return True
        points, chip = parts.describe(image, faces[0])
        if abs(pose.of_points(points, parts.points_kind).yaw_deg) > spec.turned_deg:
            return False
        grey = np.asarray(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        if quality.of_focus(grey, spec) is not None:
            return False
        return quality.of_cover(grey, faces[0].score, parts.inner, spec) is QualityCause.COVERED

    found = [(image, faces[0].points) for image in orl if (faces := yunet.faces(image))]
    assert len(found) > 50
    bare = np.mean([is_refused(image) for image, _ in found])
    assert bare < 0.08
    for what, least in {"mask": 0.7, "scarf": 0.7, "sunglasses": 0.5, "hand": 0.5}.items():
        share = np.mean([is_refused(covered(image, points, what)) for image, points in found[::2] if points is not None])
        assert share > least, what


def test_a_bare_face_is_as_even_as_it_should_be_and_a_masked_one_is_not(pack: Pack, matcher: Matcher) -> None:
    grey = np.zeros((64, 64), dtype=np.uint8)
    rows, columns = np.mgrid[:64, :64]
    texture = ((rows // 4 + columns // 4) % 2 * 80 + 90).astype(np.uint8)
    masked = texture.copy()
    masked[30:] = 120
    one_eye = texture.copy()
    one_eye[:28, :30] = 120
    assert quality.evenness(texture) > 0.8  # the control
    assert quality.evenness(masked) < 0.3
    assert quality.evenness(one_eye) < 0.5
    assert quality.evenness(grey) == 0
