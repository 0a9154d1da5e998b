"""What the camera tests share: films of one colour, and waiting for a frame."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from kiosk.cameras.base import Camera, Frame
from kiosk.clock import SystemClock

CLOCK: Final = SystemClock()
COLOURS: Final = {"blue": (200, 30, 30), "green": (30, 200, 30), "red": (30, 30, 200)}
RATE: Final = 30


def film_of(path: Path, colour: tuple[int, int, int], *, frames: int = 6) -> None:
    """A film of one colour, 640 x 480, its right half darker."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE, (640, 480))
    picture = np.full((480, 640, 3), colour, dtype=np.uint8)
    picture[:, 320:] //= 2
    for _ in range(frames):
        writer.write(picture)
    writer.release()


def colour_of(frame: Frame) -> str:
    """Which of the films a frame is from."""
    return list(COLOURS)[int(frame.image[240, 100].argmax())]


async def until(true: Callable[[], object], within_s: float = 5.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


async def frame_that(camera: Camera, true: Callable[[Frame], bool], within_s: float = 5.0) -> Frame:
    """The first frame of which something is true."""
    end = time.monotonic() + within_s
    while True:
        frame = camera.newest()
        if frame is not None and true(frame):
            return frame
        assert time.monotonic() < end, "no such frame came in time"
        await asyncio.sleep(0.005)


def camera_threads() -> list[str]:
    """The threads of cameras that run now."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("camera-")]
