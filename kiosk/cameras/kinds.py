"""The table of camera kinds: which class stands behind a name in the settings."""

from __future__ import annotations

from typing import assert_never

from kiosk.cameras.absent import AbsentCamera
from kiosk.cameras.base import Camera
from kiosk.cameras.picamera import PiCamera
from kiosk.cameras.replay import Film
from kiosk.cameras.stream import Stream
from kiosk.cameras.webcam import Webcam
from kiosk.clock import Clock
from kiosk.settings import CameraSettings


def open_camera(settings: CameraSettings, clock: Clock) -> Camera:
    """Build the camera of the settings; nothing is opened before its `open`.

    Args:
        settings: which kind, and its device or film.
        clock: for waiting and the age of a fault.
    """
    match settings.kind:
        case "picamera":
            return Stream("picamera", PiCamera(), clock)
        case "webcam":
            return Stream("webcam", Webcam(settings.device), clock)
        case "replay":
            return Stream("replay", Film(settings.film, clock), clock)
        case "absent":
            return AbsentCamera(clock)
        case _:
            assert_never(settings.kind)
