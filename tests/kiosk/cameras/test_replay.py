from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from kiosk.cameras.base import Camera, CameraGone
from kiosk.cameras.preview import preview_of
from kiosk.cameras.replay import Film
from kiosk.cameras.stream import Stream
from kiosk.screens.layout import PREVIEW
from sync_agent.contract.kinds import PartState
from tests.kiosk.cameras.watching import CLOCK, RATE, camera_threads, colour_of, frame_that

Opening = Callable[..., AbstractAsyncContextManager[Camera]]


@pytest.fixture
def playing() -> Opening:
    @asynccontextmanager
    async def of(film: Path, *, loops: bool = True) -> AsyncIterator[Camera]:
        camera = Stream("replay", Film(film, CLOCK, loops=loops), CLOCK)
        await camera.open()
        try:
            yield camera
        finally:
            await camera.close()

    return of


async def test_a_film_gives_numbered_frames_at_its_own_rate_and_begins_again(playing: Opening, films: Path) -> None:
    async with playing(films / "green.avi") as camera:
        first = await frame_that(camera, lambda frame: True)
        later = await frame_that(camera, lambda frame: frame.number >= first.number + 15)  # the film has 6
    took_s = later.at - first.at
    assert took_s == pytest.approx((later.number - first.number) / RATE, rel=0.25)
    assert colour_of(later) == "green"


async def test_a_frame_is_not_mirrored_and_its_preview_is_at_the_size_of_the_screens_place(playing: Opening, films: Path) -> None:
    async with playing(films / "blue.avi") as camera:
        frame = await frame_that(camera, lambda _: True)
    assert frame.image.shape == (480, 640, 3)
    assert frame.preview.shape == (PREVIEW.height, PREVIEW.width, 4)
    assert frame.image[240, 100, 0] > frame.image[240, 540, 0]
    assert frame.preview[240, 100, 0] < frame.preview[240, 600, 0]  # mirrored: the darker half is on the left
    assert frame.preview.flags.c_contiguous


@pytest.mark.parametrize("shape", [(480, 640), (720, 1280), (640, 480), (100, 101)])
def test_a_preview_fills_its_place_whatever_the_cameras_shape(shape: tuple[int, int]) -> None:
    assert preview_of(np.zeros((*shape, 3), dtype=np.uint8)).shape == (PREVIEW.height, PREVIEW.width, 4)


async def test_a_link_that_is_repointed_changes_the_film_within_a_few_frames(
    playing: Opening, films: Path, tmp_path: Path
) -> None:
    link = tmp_path / "film.avi"
    link.symlink_to(films / "red.avi")
    async with playing(link) as camera:
        before = await frame_that(camera, lambda frame: frame.number >= 3)
        assert colour_of(before) == "red"
        new = tmp_path / "new"
        new.symlink_to(films / "blue.avi")
        newest = camera.newest()
        assert newest is not None
        new.replace(link)
        changed = await frame_that(camera, lambda frame: colour_of(frame) == "blue")
        assert changed.number - newest.number <= 3
        assert changed.number > before.number


@pytest.mark.parametrize("how", ["vanishes", "ends"])
async def test_a_film_that_vanishes_or_ends_is_a_camera_that_is_gone(
    playing: Opening, films: Path, tmp_path: Path, how: str
) -> None:
    film = tmp_path / "film.avi"
    film.write_bytes((films / "red.avi").read_bytes())
    async with playing(film, loops=how == "vanishes") as camera:
        await frame_that(camera, lambda frame: frame.number >= 3)  # the control: until then it plays
        if how == "vanishes":
            film.unlink()
        with pytest.raises(CameraGone):
            await frame_that(camera, lambda frame: False)
        assert (camera.health.state, camera.health.code) == (PartState.FAILED, "CAM-01")
    assert camera_threads() == []


@pytest.mark.parametrize("content", [None, b"", b"no film" * 1000])
async def test_a_film_that_is_absent_or_none_does_not_open(tmp_path: Path, films: Path, content: bytes | None) -> None:
    film = tmp_path / "film.avi"
    if content is not None:
        film.write_bytes(content)
    camera = Stream("replay", Film(film, CLOCK), CLOCK)
    with pytest.raises(CameraGone, match=r"film\.avi"):
        await camera.open()
    await camera.close()
    assert (camera.health.state, camera.health.code) == (PartState.ABSENT, "CAM-01")
    film.unlink(missing_ok=True)
    film.write_bytes((films / "red.avi").read_bytes())
    await camera.open()  # the control: once there is a film it opens
    await frame_that(camera, lambda _: True)
    await camera.close()
    assert camera.health.state is PartState.WELL


async def test_after_closing_there_is_no_frame_and_no_thread_and_it_opens_again(playing: Opening, films: Path) -> None:
    camera = Stream("replay", Film(films / "red.avi", CLOCK), CLOCK)
    assert camera.newest() is None
    for _ in range(2):
        await camera.open()
        assert (await frame_that(camera, lambda _: True)).number >= 1
        assert camera_threads() == ["camera-replay"]
        await camera.close()
        assert camera.newest() is None
        assert camera_threads() == []
    await camera.close()
