"""Follows a face from frame to frame: the whole frame is searched rarely, its neighbourhood always."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from kiosk.face.detect import Found, Points, PointsKind
from kiosk.face.given import Image
from kiosk.face.recogniser import Recogniser

WHOLE_EVERY: Final = 5
"""The whole frame is searched at least this often, so that a second person is seen within as many frames."""

_EYES: Final = 0.55
"""Distance of the outer corners of the eyes in the detector's box, as a fraction of its width (mean shape of the predictor)."""


class Tracker:
    """What is known of the face between two frames."""

    def __init__(self, recogniser: Recogniser) -> None:
        """Begin with nothing known."""
        self._recogniser = recogniser
        self._last: Found | None = None
        self._since_whole = 0

    def find(self, image: Image) -> list[Found]:
        """Return the faces in a frame, the widest first; between whole searches only the one that is followed.

        A face is followed into the next frame only when `follow` is told of it.

        Args:
            image: (height, width, 3) uint8, BGR.
        """
        self._since_whole += 1
        if self._last is not None and self._since_whole < WHOLE_EVERY and (near := self._recogniser.near(image, self._last)):
            return [near]
        faces = self._recogniser.faces(image)
        self._since_whole = 0
        self._last = None
        return faces

    def follow(self, face: Found, points: Points) -> Found:
        """Return the box at the size the eyes' distance gives, finer than the detector's few sizes, and look there next."""
        if self._recogniser.points_kind is PointsKind.EYE_CORNERS:
            face = _resized(face, float(np.linalg.norm(points[0] - points[2])) / _EYES)
        self._last = face
        return face

    def forget(self) -> None:
        """Know nothing again."""
        self._last = None


def _resized(face: Found, size: float) -> Found:
    """Return the box at another size around the same middle, at most a fifth away from what was found."""
    size = min(max(size, 0.83 * face.size), 1.2 * face.size)
    shift = (face.size - size) / 2
    return replace(face, left=face.left + shift, top=face.top + shift, size=size)
