"""Whether the way from one pose of a head to the next was seen: a head moves through what is between, a changed picture does not.

Degrees here are towards the side that is asked for, from how the head was held in the straight frames.
"""

from __future__ import annotations

from typing import Final

APART_DEG: Final = 4.0
"""A reading further than this from looking straight ahead is no straight face with noise on it: those of a still picture that
sways spread by 0.8 degrees (standard deviation), 2.3 at most (40 frames, synthetic, dlib's points and YuNet's)."""

_SHORT: Final = 0.75
"""And one below this part of a turn is not the turned face: turned stills, whose readings spread by 2.3 degrees (likewise), read
0.74 of their mean at least, YuNet's 0.79."""


class Way:
    """One movement, from the prompt on: to a side, or back from it.

    A turn of 28 degrees within 0.6 s spends 0.26 s on what counts as its way (`APART_DEG` to 21 degrees), within 1 s 0.43 s: at
    5 judged frames a second a frame or two show it. Who turns faster than that, on a slow machine, is asked on until they did it
    again. A limit on degrees a second would not do: what people do in 0.2 s, changed pictures do not exceed.
    """

    def __init__(self, turn_deg: float, turned_deg: float | None = None) -> None:
        """Begin.

        Args:
            turn_deg: from here on a head is turned.
            turned_deg: so far it is turned when it is to come back; None when it is to turn.
        """
        self._turn_deg = turn_deg
        self._from_deg = turned_deg
        self._between: list[float] = []

    def add(self, at_deg: float) -> None:
        """Take note of a frame; one that shows where the movement began begins it again."""
        if at_deg >= self._turn_deg if self._from_deg is not None else at_deg <= APART_DEG:
            self._between.clear()
        else:
            self._between.append(at_deg)

    def leads_to(self, at_deg: float) -> bool:
        """Return whether a frame before this one lies between where the movement began and where the head is now."""
        if self._from_deg is None:
            near, far = 0.0, at_deg
        else:
            near, far = max(0.0, at_deg), self._from_deg
        return any(near + APART_DEG < seen < min(self._turn_deg, _SHORT * far) for seen in self._between)
