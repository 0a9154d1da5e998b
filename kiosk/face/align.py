"""Cuts the picture of a face the embedder was trained on: eyes level, always the same size and place."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from kiosk.face.given import Image
from kiosk.face.landmarks import Points
from models.spec import DlibChipSpec

_MEAN: Final = np.array(
    [
        0.8595674595992 + 0.2134981538014j,
        0.6460604764104 + 0.2289674387677j,
        0.1205750620789 + 0.2137274526848j,
        0.3340850613712 + 0.2290642403242j,
        0.4901123135679 + 0.6277975316475j,
    ]
)
"""Where the five points lie in the mean face, as fractions of its width (dlib, ``get_face_chip_details``)."""


def chip(image: Image, points: Points, spec: DlibChipSpec) -> Image:
    """Return the face as (size, size, 3) uint8, BGR; black where it lies outside the picture.

    Args:
        image: (height, width, 3) uint8, BGR.
        points: the five points, pixels of the picture.
        spec: size in pixels and the border around the face as a fraction of its width.
    """
    size = spec.size_px
    wanted = (complex(spec.padding, spec.padding) + _MEAN) / (2 * spec.padding + 1) * size
    seen = points[:, 0] + 1j * points[:, 1].astype(np.float64)
    turn = complex(np.vdot(wanted - wanted.mean(), seen - seen.mean()) / np.sum(np.abs(wanted - wanted.mean()) ** 2))
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


def _halved(image: Image, turn: complex, middle: complex, size: int) -> tuple[Image, complex, complex]:
    """Return the neighbourhood of the face at half size, and what then takes the chip to it."""
    reach = abs(turn) * size  # half the diagonal of the chip is at most 0.71 of this
    left, top = max(0, int(middle.real - reach)) // 2 * 2, max(0, int(middle.imag - reach)) // 2 * 2
    part = image[top : max(top + 2, int(middle.imag + reach)), left : max(left + 2, int(middle.real + reach))]
    return np.asarray(cv2.pyrDown(part), dtype=np.uint8), turn / 2, (middle - complex(left, top)) / 2
