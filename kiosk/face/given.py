"""What the face match is given by its neighbours, by shape alone: it imports neither cards nor cameras."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class Likeness(Protocol):
    """A portrait from a card."""

    @property
    def image(self) -> Image:
        """(height, width, 3) uint8, BGR."""


class Pictured(Protocol):
    """A frame of a camera."""

    @property
    def number(self) -> int:
        """Counts up."""

    @property
    def at(self) -> float:
        """Monotonic seconds when it was taken."""

    @property
    def image(self) -> Image:
        """(height, width, 3) uint8, BGR, not mirrored."""


class Eyes(Protocol):
    """An open camera."""

    def newest(self) -> Pictured | None:
        """Return the newest frame, or None before the first; raises the camera's own error when there will be none."""
