"""Cuts the picture of a face the embedder was trained on: eyes level, always the same size and place."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.face.detect import Points
from kiosk.face.given import Image
from models.spec import ArcfaceChipSpec, DlibChipSpec

DLIB_MEAN: Final = np.array(
    [
        0.8595674595992 + 0.2134981538014j,
        0.6460604764104 + 0.2289674387677j,
        0.1205750620789 + 0.2137274526848j,
        0.3340850613712 + 0.2290642403242j,
        0.4901123135679 + 0.6277975316475j,
    ]
)
"""Where the five points lie in the mean face, as fractions of its width (dlib, ``get_face_chip_details``)."""

YUNET_MEAN: Final = np.array([0.209 + 0.204j, 0.776 + 0.203j, 0.497 + 0.507j, 0.269 + 0.759j, 0.742 + 0.752j])
"""Where YuNet sees eyes, nose tip and mouth corners in the same face (measured on LFW: mean places in dlib's cut-outs)."""

_ARCFACE: Final = np.array([38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j, 70.7299 + 92.2041j])
"""Where eyes, nose tip and mouth corners lie in ArcFace's cut-out (InsightFace; OpenCV's FaceRecognizerSF has the same)."""

ARCFACE_PX: Final = 112

_LEAST_SPREAD_PX: Final = 1.0


class OnePlace(Exception):
    """Five points of a face that all fall into one place: nothing can be cut out by them."""


def inner(spec: DlibChipSpec | ArcfaceChipSpec) -> tuple[slice, slice]:
    """Return rows and columns of a cut-out that show the face from the brows to the chin, without hair and background."""
    if isinstance(spec, DlibChipSpec):
        places = (complex(spec.padding, spec.padding) + YUNET_MEAN) / (2 * spec.padding + 1) * spec.size_px
    else:
        places = _ARCFACE
    eyes, mouth = places[:2].mean(), places[3:].mean()
    wide, high = 0.95 * abs(places[1] - places[0]), mouth.imag - eyes.imag
    return slice(int(eyes.imag - 0.4 * high), int(mouth.imag + 0.5 * high)), slice(int(eyes.real - wide), int(eyes.real + wide))


def arcface(image: Image, points: Points) -> Image:
    """Return the face as (112, 112, 3) uint8, BGR, as OpenCV's `FaceRecognizerSF.alignCrop` cuts it; black outside the picture.

    Args:
        image: (height, width, 3) uint8, BGR.
        points: the image's left and right eye, tip of the nose, left and right corner of the mouth, pixels.

    Raises:
        OnePlace: the points do not lie apart.
    """
    seen = _apart(points)
    turn = turn_between(seen, _ARCFACE)
    shift = _ARCFACE.mean() - turn * seen.mean()
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    return np.asarray(cv2.warpAffine(image, matrix, (ARCFACE_PX, ARCFACE_PX), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def chip(image: Image, points: Points, spec: DlibChipSpec, mean: NDArray[np.complex128] = DLIB_MEAN) -> Image:
    """Return the face as (size, size, 3) uint8, BGR; black where it lies outside the picture.

    Args:
        image: (height, width, 3) uint8, BGR.
        points: the five points, pixels of the picture.
        spec: size in pixels and the border around the face as a fraction of its width.
        mean: where those points lie in the mean face, as fractions of its width.

    Raises:
        OnePlace: the points do not lie apart.
    """
    size = spec.size_px
    wanted = (complex(spec.padding, spec.padding) + mean) / (2 * spec.padding + 1) * size
    seen = _apart(points)
    turn = turn_between(wanted, seen)
    middle = seen.mean() + turn * (complex(size, size) / 2 - wanted.mean())
    # A much larger face is halved first with a smooth filter, or sampling it would give noise.
    while abs(turn) > 2:
        image, turn, middle = _halved(image, turn, middle, size)
    step = (
        turn / abs(turn) * (abs(turn) * size - 1) / (size - 1)
    )  # dlib counts from the middle of the first to that of the last pixel
    start = middle - step * complex(size - 1, size - 1) / 2
    matrix = np.array([[step.real, -step.imag, start.real], [step.imag, step.real, start.imag]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=flags), dtype=np.uint8)


def turn_between(places: NDArray[np.complex128], others: NDArray[np.complex128]) -> complex:
    """Return rotation and scale of the similarity that takes places nearest to others (least squares)."""
    centred = places - places.mean()
    return complex(np.vdot(centred, others - others.mean()) / np.vdot(centred, centred).real)


def _apart(points: Points) -> NDArray[np.complex128]:
    """Return points as complex numbers, if they spread by a pixel or more around their middle."""
    places = np.asarray(points[:, 0] + 1j * points[:, 1].astype(np.float64), dtype=np.complex128)
    if not np.linalg.norm(places - places.mean()) >= _LEAST_SPREAD_PX:
        raise OnePlace
    return places


def _halved(image: Image, turn: complex, middle: complex, size: int) -> tuple[Image, complex, complex]:
    """Return the neighbourhood of the face at half size, and what then takes the chip to it."""
    reach = abs(turn) * size  # half the diagonal of the chip is at most 0.71 of this
    left, top = max(0, int(middle.real - reach)) // 2 * 2, max(0, int(middle.imag - reach)) // 2 * 2
    part = image[top : max(top + 2, int(middle.imag + reach)), left : max(left + 2, int(middle.real + reach))]
    return np.asarray(cv2.pyrDown(part), dtype=np.uint8), turn / 2, (middle - complex(left, top)) / 2
