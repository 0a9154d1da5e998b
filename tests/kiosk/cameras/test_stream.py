"""The thread around a source: stalls, drivers that hang or raise, and a start that takes too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest

from kiosk.cameras import stream
from kiosk.cameras.base import CameraGone, Image
from kiosk.cameras.stream import Stream
from sync_agent.contract.kinds import PartState
from tests.kiosk.cameras.watching import CLOCK, camera_threads, frame_that, until

BLACK = np.zeros((480, 640, 3), dtype=np.uint8)


class Driver:
    """A driver that a test can hold up: it gives a picture for each permit."""

    def __init__(self, at_picture: Callable[[], None] | None = None) -> None:
        self.permits = threading.Semaphore(0)
        self.may_start = threading.Event()
        self.may_start.set()
        self.asked = threading.Event()
        self.torn_down = 0
        self._at_picture = at_picture

    def set_up(self) -> None:
        self.may_start.wait(20)

    def picture(self) -> tuple[Image, Image]:
        self.asked.set()
        self.permits.acquire(timeout=20)
        if self._at_picture is not None:
            self._at_picture()
        return BLACK, BLACK

    def tear_down(self) -> None:
        self.torn_down += 1


async def test_a_driver_that_stops_giving_pictures_is_a_camera_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STALL_S", 0.1)
    driver = Driver()
    camera = Stream("test", driver, CLOCK)
    await camera.open()
    driver.permits.release()
    await frame_that(camera, lambda frame: frame.number == 1)  # the control: with pictures it is well
    with pytest.raises(CameraGone, match=r"gave no picture for 0\.\d s"):
        await frame_that(camera, lambda frame: frame.number == 2)
    assert (camera.health.state, camera.health.code) == (PartState.FAILED, "CAM-01")
    driver.permits.release()
    await camera.close()
    assert driver.torn_down == 1


async def test_a_driver_that_hangs_does_not_hold_up_closing_and_is_not_opened_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "JOIN_S", 0.05)
    driver = Driver()
    camera = Stream("test", driver, CLOCK)
    await camera.open()
    await until(driver.asked.is_set)
    await camera.close()
    assert camera_threads() == ["camera-test"]
    with pytest.raises(CameraGone, match="still hangs"):
        await camera.open()
    driver.permits.release()
    await until(lambda: not camera_threads())
    monkeypatch.undo()
    await camera.open()  # the control: after it let go, it opens
    driver.permits.release(5)
    await frame_that(camera, lambda _: True)
    driver.permits.release(5)
    await camera.close()
    assert camera_threads() == []


async def test_a_driver_that_raises_what_it_likes_is_a_camera_that_is_gone() -> None:
    def fail() -> None:
        raise OSError("device is busy")

    camera = Stream("test", driver := Driver(fail), CLOCK)
    await camera.open()
    driver.permits.release()
    with pytest.raises(CameraGone, match="failed: OSError"):
        await frame_that(camera, lambda _: True)
    await camera.close()


async def test_a_driver_that_does_not_start_in_time_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "OPEN_S", 0.05)
    driver = Driver()
    driver.may_start.clear()
    camera = Stream("test", driver, CLOCK)
    with pytest.raises(CameraGone, match="did not start"):
        await camera.open()
    assert camera.health.state is PartState.ABSENT
    driver.may_start.set()
    driver.permits.release()
    await camera.close()
    assert camera_threads() == []


async def test_opening_that_is_given_up_leaves_no_thread() -> None:
    driver = Driver()
    driver.may_start.clear()
    camera = Stream("test", driver, CLOCK)
    opening = asyncio.ensure_future(camera.open())
    await until(camera_threads)
    opening.cancel()
    driver.may_start.set()
    driver.permits.release()
    await camera.close()
    assert camera_threads() == []
    await asyncio.wait({opening}, timeout=5)
    assert opening.cancelled()


async def test_opening_twice_is_a_mistake_of_the_program() -> None:
    driver = Driver()
    camera = Stream("test", driver, CLOCK)
    await camera.open()
    with pytest.raises(RuntimeError, match="open already"):
        await camera.open()
    driver.permits.release()
    await camera.close()
