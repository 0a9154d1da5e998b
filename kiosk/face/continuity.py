"""Whether it is one face from frame to frame: never out of sight, never two, never suddenly somewhere else."""

from __future__ import annotations

import math
from typing import Final

from kiosk.face.result import Box, Glimpse, LivenessCause, QualityCause

UNSEEN_S: Final = 1.0
"""A face may be without a frame that can be compared for this long: motion blur, a missed detection, a busy machine."""

_REACH: Final = 0.3
_SPEED: Final = 1.5
"""A face moves at most so many of its widths between two frames, plus so many in a second. Somebody who turns their head quickly
moves the box by less than half of that; holding up a picture beside it moves it by more."""

_GROWS: Final = 1.5
"""Its box grows or shrinks at most by this factor between two frames."""


class Continuity:
    """What is known of the face that is followed. Times are monotonic seconds of when frames were taken."""

    def __init__(self) -> None:
        self._last: Box | None = None
        self._last_at = -math.inf
        self._compared_at = math.inf  # before the first face there is nothing to lose

    def add(self, glimpse: Glimpse, at: float) -> LivenessCause | None:
        """Follow the face into a frame; return what broke the track, or None.

        Args:
            glimpse: what the frame gave.
            at: when it was taken.
        """
        if glimpse.cause is QualityCause.TWO_FACES:
            return LivenessCause.TWO_FACES
        if at - self._compared_at > UNSEEN_S:
            return LivenessCause.LOST
        if glimpse.box is None:
            return None
        if self._last is not None and _jumped(self._last, glimpse.box, at - self._last_at):
            return LivenessCause.JUMPED
        self._last, self._last_at = glimpse.box, at
        if glimpse.plain is not None:
            self._compared_at = at
        return None


def _jumped(one: Box, other: Box, passed_s: float) -> bool:
    width, height = (one.width + other.width) / 2, (one.height + other.height) / 2
    across = (one.x + one.width / 2 - other.x - other.width / 2) / width
    down = (one.y + one.height / 2 - other.y - other.height / 2) / height
    grown = max(one.width / other.width, other.width / one.width)
    return math.hypot(across, down) > _REACH + _SPEED * passed_s or grown > _GROWS
