"""The Raspberry Pi's own camera: the image processor makes preview and model picture itself. The door to picamera2."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from kiosk.cameras.base import CameraGone, Image
from kiosk.cameras.preview import HEIGHT, WIDTH

MODEL_PX: Final = (640, 480)
"""Width and height of the picture for the model; a width divisible by 64 has no padding at the end of its rows."""

RATE: Final = 30


class PiCamera:
    """The first camera of the board. A `Source`.

    Two streams come from the same exposure: ``main`` at the preview's exact size as XRGB8888, whose bytes lie as B, G, R, X, and
    ``lores`` as YUV420, the only format a Pi 4 has for it. Both are mirrored at once, so the model's picture is turned back.
    """

    def __init__(self) -> None:
        self._camera: Any = None

    def set_up(self) -> None:
        """Start the camera.

        Raises:
            CameraGone: no camera is attached, or picamera2 is not installed.
        """
        try:
            # Tied to the system's libcamera: comes from Debian's python3-picamera2, and only on a Pi.
            from libcamera import Transform
            from picamera2 import Picamera2
        except ImportError as err:
            raise CameraGone("picamera2 is not installed; run: apt install python3-picamera2") from err
        try:
            self._camera = Picamera2()
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": (WIDTH, HEIGHT), "format": "XRGB8888"},
                    lores={"size": MODEL_PX, "format": "YUV420"},
                    transform=Transform(hflip=True),
                    controls={"FrameRate": RATE},
                    buffer_count=4,
                    queue=False,
                )
            )
            self._camera.start()
        except (RuntimeError, IndexError) as err:
            raise CameraGone(f"the board's camera does not start ({type(err).__name__}); check its ribbon cable") from err

    def picture(self) -> tuple[Image, Image]:
        """Wait for the next exposure."""
        (preview, lores), _ = self._camera.capture_arrays(["main", "lores"])
        width, height = MODEL_PX
        planes = np.ascontiguousarray(lores[: height * 3 // 2, :width])
        image = cv2.flip(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), 1)
        return np.asarray(image, dtype=np.uint8), np.ascontiguousarray(preview)

    def tear_down(self) -> None:
        """Stop the camera and let go of it."""
        if self._camera is not None:
            self._camera.close()
        self._camera = None
