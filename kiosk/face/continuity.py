"""Whether it is one face from frame to frame: never out of sight, never two, never suddenly somewhere else."""

from __future__ import annotations

import math
from typing import Final

from kiosk.face.result import Box, Glimpse, LivenessCause, QualityCause

ABSENT_S: Final = 0.35
"""So long frames may show no face, from the first that does not to the last: the detector misses one now and then, at 5 frames a
second two, and whoever holds another picture up needs longer."""

UNSEEN_S: Final = 1.0
"""So long a face may be there without a frame that can be compared: motion blur, bad light."""

UNJUDGED_S: Final = 2.0
"""So long it may be that no frame was compared at all, whatever came meanwhile. A busy machine judges none for up to a second;
that no frame was judged says nothing of what stood there."""

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
        self._absent_since: float | None = None
        self._unseen_since: float | None = None

    def add(self, glimpse: Glimpse, at: float) -> LivenessCause | None:
        """Follow the face into a frame; return what broke the track, or None.

        Args:
            glimpse: what the frame gave.
            at: when it was taken.
        """
        if glimpse.cause is QualityCause.TWO_FACES:
            return LivenessCause.TWO_FACES
        if self._is_lost(glimpse, at):
            return LivenessCause.LOST
        if glimpse.box is None:
            return None
        if self._last is not None and _jumped(self._last, glimpse.box, at - self._last_at):
            return LivenessCause.JUMPED
        self._last, self._last_at = glimpse.box, at
        if glimpse.plain is not None:
            self._compared_at = at
        return None

    def _is_lost(self, glimpse: Glimpse, at: float) -> bool:
        """Return whether it was out of sight for too long; only frames that were judged can tell."""
        if math.isinf(self._compared_at):
            return False
        self._absent_since = None if glimpse.box is not None else at if self._absent_since is None else self._absent_since
        self._unseen_since = None if glimpse.plain is not None else at if self._unseen_since is None else self._unseen_since
        return (
            at - self._compared_at > UNJUDGED_S
            or (self._absent_since is not None and at - self._absent_since > ABSENT_S)
            or (self._unseen_since is not None and at - self._unseen_since > UNSEEN_S)
        )


def _jumped(one: Box, other: Box, passed_s: float) -> bool:
    width, height = (one.width + other.width) / 2, (one.height + other.height) / 2
    across = (one.x + one.width / 2 - other.x - other.width / 2) / width
    down = (one.y + one.height / 2 - other.y - other.height / 2) / height
    grown = max(one.width / other.width, other.width / one.width)
    return math.hypot(across, down) > _REACH + _SPEED * passed_s or grown > _GROWS
