"""What a detector gives, whatever finds the faces."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kiosk.face.given import Image

Points = NDArray[np.float32]
"""(5, 2) float32, x before y, pixels. Which five they are says `PointsKind`."""


class PointsKind(Enum):
    """Which five points a pack shows."""

    EYE_CORNERS = "the person's left eye's outer and inner corner, the right eye's outer and inner corner, base of the nose"
    EYES_NOSE_MOUTH = "the image's left and right eye, tip of the nose, the mouth's left and right corner"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A square box around a face, pixels of the picture.

    Whatever the detector, the box is of the kind dlib's are, about as wide as the head, from above the brows to below the mouth:
    the points are refined from it, and sizes mean the same in every pack.

    Attributes:
        left: of the box.
        top: of the box.
        size: its width and height.
        score: how sure the detector is, by its own measure.
        points: the five points, where the detector gives them: the image's left and right eye, tip of the nose, the mouth's
            left and right corner.
    """

    left: float
    top: float
    size: float
    score: float
    points: Points | None = None

    def overlap(self, other: Found) -> float:
        """Return how much of both boxes together they share, 0 to 1."""
        width = min(self.left + self.size, other.left + other.size) - max(self.left, other.left)
        height = min(self.top + self.size, other.top + other.size) - max(self.top, other.top)
        shared = max(0.0, width) * max(0.0, height)
        return shared / (self.size**2 + other.size**2 - shared)

    def shifted(self, x: float, y: float) -> Found:
        """Return the same face in a picture of which this one was a part, whose first pixel lies at (x, y)."""
        points = None if self.points is None else self.points + np.array([x, y], dtype=np.float32)
        return Found(self.left + x, self.top + y, self.size, self.score, points)


class Detector(Protocol):
    """Finds faces."""

    def find(self, image: Image, smallest: float, largest: float) -> list[Found]:
        """Return the faces in a picture, the surest first.

        Args:
            image: (height, width, 3) uint8, BGR; of any size, also so small that there can be none.
            smallest: narrowest face that must be found, pixels.
            largest: widest face that must be found, pixels; equal to `smallest` where the size is known.

        Raises:
            NotNumbers: the network gave something else.
        """
