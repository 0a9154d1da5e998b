"""The seam between journeys and cameras: open only while a visitor has agreed, newest frame only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sync_agent.contract.kinds import PartHealth

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the camera.

    Attributes:
        number: counts from 1 since the camera was opened.
        at: monotonic seconds when it was taken.
        image: (height, width, 3) uint8, BGR, not mirrored; for the face worker.
        preview: (height, width, 4) uint8, BGRX, mirrored; for the screen.
    """

    number: int
    at: float
    image: Image
    preview: Image


class CameraGone(Exception):
    """The camera is absent or stopped giving frames. Code CAM-01."""

    code = "CAM-01"
    message = "camera.gone"


class Camera(Protocol):
    """A pair of eyes. Frames exist only between `open` and `close` (P18)."""

    @property
    def health(self) -> PartHealth:
        """How the camera is; of a closed one, how it was last."""

    async def open(self) -> None:
        """Start the stream.

        Raises:
            CameraGone: there is no camera or no film.
        """

    def newest(self) -> Frame | None:
        """Return the newest frame, or None before the first.

        Raises:
            CameraGone: the stream broke, or gave no frame for 2 s.
        """

    async def close(self) -> None:
        """Stop the stream and drop every frame."""
