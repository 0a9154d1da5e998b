"""Every kind of the settings, on a machine that has none of the devices."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from kiosk.cameras.base import CameraGone
from kiosk.cameras.kinds import open_camera
from kiosk.settings import CameraSettings
from sync_agent.contract.kinds import PartState
from tests.kiosk.cameras.watching import CLOCK, frame_that


async def test_replay_plays_the_film_of_the_settings(films: Path) -> None:
    camera = open_camera(CameraSettings(kind="replay", film=films / "red.avi"), CLOCK)
    await camera.open()
    await frame_that(camera, lambda _: True)
    await camera.close()
    assert camera.health.state is PartState.WELL


async def test_absent_refuses_truthfully_and_closes() -> None:
    camera = open_camera(CameraSettings(kind="absent"), CLOCK)
    assert (camera.health.state, camera.health.code) == (PartState.ABSENT, "CAM-01")
    with pytest.raises(CameraGone, match=r"camera\.kind"):
        await camera.open()
    assert camera.newest() is None
    await camera.close()


async def test_a_webcam_that_is_not_there_is_gone_and_says_which() -> None:
    if Path("/dev/video63").exists():
        pytest.skip("this machine has a /dev/video63")
    camera = open_camera(CameraSettings(kind="webcam", device=63), CLOCK)
    with pytest.raises(CameraGone, match="/dev/video63"):
        await camera.open()
    await camera.close()
    assert camera.health.state is PartState.ABSENT


async def test_a_webcam_that_is_there_gives_pictures() -> None:
    if not Path("/dev/video0").exists():
        pytest.skip("needs a camera at /dev/video0")
    camera = open_camera(CameraSettings(kind="webcam"), CLOCK)
    await camera.open()
    frame = await frame_that(camera, lambda frame: frame.number > 3)
    assert frame.image.shape == (480, 640, 3)
    await camera.close()


async def test_a_pi_camera_without_its_library_is_gone_and_says_what_to_install() -> None:
    if importlib.util.find_spec("picamera2") is not None:
        pytest.skip("picamera2 is installed here")
    camera = open_camera(CameraSettings(kind="picamera"), CLOCK)
    with pytest.raises(CameraGone, match="apt install python3-picamera2"):
        await camera.open()
    await camera.close()


async def test_a_pi_camera_gives_both_pictures() -> None:
    pytest.importorskip("picamera2", reason="needs a Raspberry Pi with picamera2")
    camera = open_camera(CameraSettings(kind="picamera"), CLOCK)
    try:
        await camera.open()
    except CameraGone as gone:
        pytest.skip(f"no camera is attached: {gone}")
    frame = await frame_that(camera, lambda frame: frame.number > 3)
    assert frame.image.shape == (480, 640, 3)
    assert frame.preview.shape == (528, 704, 4)
    await camera.close()
