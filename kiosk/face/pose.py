"""How a head is turned, from five points: a nose stands out of the face, so turning carries it to one side of the eyes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

import numpy as np

from kiosk.face.detect import Points, PointsKind

_BASE_OUT: Final = 0.26
"""How far the base of the nose stands out of the plane of the eyes' corners, in distances of the eyes' middles (measured on five
heads turned synthetically by up to 36 degrees, as dlib's points see it)."""

_TIP_OUT: Final = 0.36
"""How far its tip stands out of the plane of eyes and mouth, likewise, as YuNet's points see it. Noses of real people stand out
further than those of the synthetic heads: their turns read larger, never smaller."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How a head is held.

    Attributes:
        yaw_deg: turn to a side, positive when the nose goes towards the picture's right (the person's left).
        tilt_deg: slope of the line of the eyes, 0 or more.
    """

    yaw_deg: float
    tilt_deg: float


def of_points(points: Points, kind: PointsKind) -> Pose:
    """Return how a head is held.

    Turned by an angle a, eyes of distance d seem d cos a apart and the nose has moved by p d sin a to the side, if it stands out
    by p d: their ratio is p tan a.

    Args:
        points: the five points, in square pixels.
        kind: which they are.
    """
    given = points[:, 0] + 1j * points[:, 1].astype(np.float64)
    match kind:
        case PointsKind.EYE_CORNERS:
            left, right, nose, out = given[2:4].mean(), given[0:2].mean(), given[4], _BASE_OUT
        case PointsKind.EYES_NOSE_MOUTH:
            left, right, nose, out = given[0], given[1], given[2], _TIP_OUT
        case unknown:
            assert_never(unknown)
    line = complex(right - left)
    if not abs(line):
        return Pose(0.0, 0.0)
    middle = (left + right) / 2
    aside = complex((nose - middle) / line)  # along the line of the eyes and across it, in distances of the eyes
    if kind is PointsKind.EYES_NOSE_MOUTH:
        mouth = complex((given[3:].mean() - middle) / line)
        # A face that leans, or whose points do, has its midline from the eyes to the mouth, not across the eyes.
        aside -= mouth.real * aside.imag / mouth.imag if abs(mouth.imag) > 0.1 else 0
    return Pose(float(np.degrees(np.arctan2(aside.real, out))), abs(float(np.degrees(np.angle(line)))))
