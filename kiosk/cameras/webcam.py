"""A USB camera through Video4Linux, by OpenCV."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from kiosk.cameras.base import CameraGone, Image
from kiosk.cameras.preview import preview_of

WIDTH: Final = 640
HEIGHT: Final = 480
RATE: Final = 30


class Webcam:
    """One device, ``/dev/videoN``. A `Source`."""

    def __init__(self, device: int) -> None:
        """Name the device.

        Args:
            device: N.
        """
        self._device = device
        self._capture: cv2.VideoCapture | None = None

    def set_up(self) -> None:
        """Open the device and ask for 640 x 480 motion JPEG at 30 frames a second, which every camera has.

        Raises:
            CameraGone: there is none, or something else uses it.
        """
        capture = cv2.VideoCapture(self._device, cv2.CAP_V4L2)
        self._capture = capture
        if not capture.isOpened():
            raise CameraGone(f"no camera answers at /dev/video{self._device}; check its cable and the setting camera.device")
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, WIDTH)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, HEIGHT)
        capture.set(cv2.CAP_PROP_FPS, RATE)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, not the oldest of a queue

    def picture(self) -> tuple[Image, Image]:
        """Wait for the next picture.

        Raises:
            CameraGone: the device gave none; it was unplugged or hangs.
        """
        if self._capture is None:
            raise CameraGone("the camera is not open")
        there, image = self._capture.read()
        if not there:
            raise CameraGone(f"/dev/video{self._device} gives no more pictures; check its cable")
        picture = np.asarray(image, dtype=np.uint8)
        return picture, preview_of(picture)

    def tear_down(self) -> None:
        """Let go of the device."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None
