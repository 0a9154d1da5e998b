"""The pilot presses through the real event loop; its socket is the owner's alone."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pygame
import pytest

from kiosk.screens.layout import HEIGHT, WIDTH
from kiosk.screens.pages import Attract, Consent, PresentCard, Result, Sign, Text, Touch, Word
from kiosk.screens.pilot import piloted
from kiosk.screens.stage import Stage
from system.simulate.pilot import Pilot, PilotRefused, Seen

T = TypeVar("T")
WHO = Text("result.who", {"name": "旦*卓玛", "number": "540102********0010"})


class Kiosk:
    """A stage that runs, with the socket of its pilot."""

    def __init__(self, stage: Stage, path: Path) -> None:
        self.stage = stage
        self.path = path

    async def hand(self, do: Callable[[Pilot], T]) -> T:
        """Let a visitor, in a thread of their own, do something."""

        def doing() -> T:
            with Pilot(self.path) as pilot:
                return do(pilot)

        async with asyncio.timeout(20):
            return await asyncio.to_thread(doing)


@pytest.fixture
async def kiosk(headless: None, tmp_path: Path) -> AsyncIterator[Kiosk]:
    stage = Stage(monotonic=time.monotonic)
    stage.open()
    running = asyncio.ensure_future(stage.run())
    stage.show(Attract())
    async with piloted(stage, tmp_path / "pilot.sock", time.monotonic):
        yield Kiosk(stage, tmp_path / "pilot.sock")
    stage.close()
    await running


async def test_a_press_arrives_as_the_touch_of_a_finger(kiosk: Kiosk) -> None:
    await kiosk.hand(lambda pilot: pilot.press("start"))
    async with asyncio.timeout(5):
        assert await kiosk.stage.touched() is Touch.START


async def test_a_place_can_be_pressed_whatever_is_there(kiosk: Kiosk) -> None:
    (button,) = (control for control in kiosk.stage.scene if getattr(control, "touch", None) is Touch.START)
    await kiosk.hand(lambda pilot: pilot.press_at(2, 2))
    await kiosk.hand(lambda pilot: pilot.press_at(button.rect.x + 5, button.rect.y + 5))
    async with asyncio.timeout(5):
        assert await kiosk.stage.touched() is Touch.START


async def test_what_is_not_there_or_not_enabled_cannot_be_pressed(kiosk: Kiosk) -> None:
    with pytest.raises(PilotRefused, match="nothing to press for 'agree'"):
        await kiosk.hand(lambda pilot: pilot.press("agree"))
    kiosk.stage.show(Consent(False, False, "某局", "0891"))
    with pytest.raises(PilotRefused, match="'agree' cannot be pressed now"):
        await kiosk.hand(lambda pilot: pilot.press("agree"))
    kiosk.stage.show(Consent(True, False, "某局", "0891"))
    await kiosk.hand(lambda pilot: pilot.press("agree"))
    async with asyncio.timeout(5):
        assert await kiosk.stage.touched() is Touch.AGREE


async def test_the_page_is_told_by_keys_and_nothing_personal(kiosk: Kiosk) -> None:
    kiosk.stage.show(
        Result(Sign.TICK, Text("result.verified.headline"), Text("result.verified.advice"), WHO, frozenset({Word.RECEIVED}))
    )
    seen: Seen = await kiosk.hand(Pilot.page)
    assert (seen.page, seen.language, seen.lit) == ("Result", "zh", ("received",))
    assert {"result.verified.headline", "result.who", "button.done"} <= set(seen.texts)
    assert seen.touches["done"] is True
    assert "卓玛" not in repr(seen)


async def test_the_language_can_be_changed_by_hand(kiosk: Kiosk) -> None:
    await kiosk.hand(lambda pilot: pilot.press("en"))
    async with asyncio.timeout(5):
        while kiosk.stage.language != "en":
            await asyncio.sleep(0)


async def test_waiting_ends_when_the_page_the_text_and_the_word_are_there(kiosk: Kiosk) -> None:
    waiting = asyncio.ensure_future(
        kiosk.hand(lambda pilot: pilot.wait("Result", text="result.verified.headline", lit="accepted", timeout_s=10))
    )
    await kiosk.hand(Pilot.page)
    for words in ({Word.RECEIVED}, {Word.RECEIVED, Word.ACCEPTED}):
        assert not waiting.done()
        kiosk.stage.show(
            Result(Sign.TICK, Text("result.verified.headline"), Text("result.verified.advice"), words=frozenset(words))
        )
    assert (await waiting).lit == ("received", "accepted")


async def test_waiting_in_vain_is_refused_with_what_is_there_instead(kiosk: Kiosk) -> None:
    with pytest.raises(PilotRefused, match=r"Result did not come within 0\.05 s.*Attract"):
        await kiosk.hand(lambda pilot: pilot.wait("Result", timeout_s=0.05))


async def test_a_shot_is_a_picture_of_the_screen(kiosk: Kiosk, tmp_path: Path) -> None:
    await kiosk.hand(lambda pilot: pilot.shot(tmp_path / "shot.png"))
    picture = pygame.image.load(tmp_path / "shot.png")
    assert picture.get_size() == (WIDTH, HEIGHT)
    kiosk.stage.show(PresentCard(Text("card.place")))
    await kiosk.hand(lambda pilot: pilot.shot(tmp_path / "other.png"))
    other = pygame.image.load(tmp_path / "other.png")
    assert pygame.image.tobytes(picture, "RGB") != pygame.image.tobytes(other, "RGB")


async def test_a_shot_that_cannot_be_written_is_refused(kiosk: Kiosk, tmp_path: Path) -> None:
    with pytest.raises(PilotRefused, match="cannot be written"):
        await kiosk.hand(lambda pilot: pilot.shot(tmp_path / "no-such-folder" / "shot.png"))


async def test_the_socket_is_open_to_its_owner_only_and_goes_with_the_kiosk(headless: None, tmp_path: Path) -> None:
    path = tmp_path / "pilot.sock"
    stage = Stage(monotonic=time.monotonic)
    async with piloted(stage, path, time.monotonic):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_socket_that_a_crash_left_is_replaced_and_a_file_is_not(headless: None, tmp_path: Path) -> None:
    path = tmp_path / "pilot.sock"
    stage = Stage(monotonic=time.monotonic)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with piloted(stage, path, time.monotonic):
        assert path.is_socket()
    path.write_text("a file")
    with pytest.raises(OSError, match="in use"):
        async with piloted(stage, path, time.monotonic):
            pass
    assert path.read_text() == "a file"


@pytest.mark.parametrize("line", [b"\n", b"noise\n", b"{}\n", b'{"do": "format-disk"}\n', b'{"do": "page", "more": 1}\n'])
async def test_noise_is_answered_and_does_no_harm(kiosk: Kiosk, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(kiosk.path)
    writer.write(line)
    assert b'"ok": false' in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert (await kiosk.hand(Pilot.page)).page == "Attract"


async def test_a_line_without_end_ends_the_talk_and_not_the_kiosk(kiosk: Kiosk) -> None:
    reader, writer = await asyncio.open_unix_connection(kiosk.path)
    writer.write(b"x" * 200_000)
    assert await reader.read() == b""
    writer.close()
    assert (await kiosk.hand(Pilot.page)).page == "Attract"
