"""A film or a still as a camera: for demonstrations, tests and benches without one. The path may be a link that is repointed."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from kiosk.cameras.base import CameraGone, Image
from kiosk.cameras.preview import preview_of
from kiosk.clock import Clock


class Film:
    """Plays a film at its own rate, again and again. A `Source`.

    Every frame looks whether the path still leads to the same file: another one is played from its next frame on, which is how
    the person in front of the camera changes; none is a camera that was unplugged.
    """

    def __init__(self, path: Path, clock: Clock, *, loops: bool = True) -> None:
        """Name the film.

        Args:
            path: motion JPEG in AVI, or anything else OpenCV plays.
            clock: for the rate.
            loops: begin again at the end; otherwise the end is a camera that was unplugged.
        """
        self._path = path
        self._clock = clock
        self._loops = loops
        self._film: cv2.VideoCapture | None = None
        self._file: tuple[int, int] | None = None
        self._interval_s = 0.0
        self._due = 0.0

    def set_up(self) -> None:
        """Open the film.

        Raises:
            CameraGone: there is none, or it cannot be played.
        """
        self._load(self._look())

    def picture(self) -> tuple[Image, Image]:
        """Return the next picture when it is due.

        Raises:
            CameraGone: the film vanished, ended, or is damaged.
        """
        if (file := self._look()) != self._file:
            self.tear_down()
            self._load(file)
        image = self._next()
        self._due = max(self._due + self._interval_s, self._clock.monotonic() - self._interval_s)
        time.sleep(max(0.0, self._due - self._clock.monotonic()))
        return image, preview_of(image)

    def tear_down(self) -> None:
        """Close the film."""
        if self._film is not None:
            self._film.release()
        self._film = self._file = None

    def _look(self) -> tuple[int, int]:
        """Return which file the path leads to."""
        try:
            found = self._path.stat()
        except OSError as err:
            raise CameraGone(f"film {str(self._path)!r} cannot be played: {err.strerror}") from err
        return found.st_dev, found.st_ino

    def _load(self, file: tuple[int, int]) -> None:
        film = cv2.VideoCapture(str(self._path))
        rate = film.get(cv2.CAP_PROP_FPS)
        if not film.isOpened() or not 1 <= rate <= 240:
            film.release()
            raise CameraGone(f"film {str(self._path)!r} is no film that OpenCV plays")
        self._film, self._file = film, file
        self._interval_s, self._due = 1 / rate, self._clock.monotonic()

    def _next(self) -> Image:
        if self._film is None:
            raise CameraGone("the film is not open")
        there, image = self._film.read()
        if not there and self._loops:
            self._film.set(cv2.CAP_PROP_POS_FRAMES, 0)
            there, image = self._film.read()
        if not there:
            raise CameraGone(f"film {str(self._path)!r} has ended")
        return np.asarray(image, dtype=np.uint8)
