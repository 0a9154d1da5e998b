"""The stage on SDL's dummy driver: draws on change only, takes touches, keeps nothing after the wipe."""

from __future__ import annotations

import asyncio
import gc
import os
import types
import weakref
from dataclasses import dataclass, replace

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray
from pygame.event import Event

from kiosk.screens import theme
from kiosk.screens.faults import DisplayMissing, MessageFault
from kiosk.screens.layout import HEIGHT, PREVIEW, WIDTH, Lamp, Rect, Spinner, touchables
from kiosk.screens.pages import (
    Attract,
    Consent,
    Face,
    Outline,
    Page,
    PresentCard,
    Result,
    Sign,
    StillThere,
    Text,
    Touch,
    Word,
    Working,
)
from kiosk.screens.stage import Stage
from kiosk.screens.touch import LOCK_S
from kiosk.screens.words import Language
from tests.kiosk.screens.conftest import StillClock
from tests.kiosk.screens.every_page import pages

PLANTED = "旦*卓玛"
RESULT = Result(
    Sign.TICK,
    Text("result.verified.headline"),
    Text("result.verified.advice"),
    who=Text("result.who", {"name": PLANTED, "number": "540102********0010"}),
    words=frozenset({Word.RECEIVED}),
)
FACE = Face(Text("face.hint.good"), 0.5)


@dataclass(frozen=True, slots=True)
class Still:
    """A frame of one colour, as the camera gives it: B, G, R and an X of 0."""

    preview: NDArray[np.uint8]


def still(blue: int, green: int, red: int, size: tuple[int, int] = (PREVIEW.height, PREVIEW.width)) -> Still:
    return Still(np.full((*size, 4), (blue, green, red, 0), np.uint8))


def pixels() -> NDArray[np.uint8]:
    """What is on the screen, (height, width, 3) RGB."""
    screen = pygame.display.get_surface()
    assert screen is not None
    return pygame.surfarray.array3d(screen).swapaxes(0, 1)


def middle(rect: Rect) -> tuple[float, float]:
    return rect.x + rect.width / 2, rect.y + rect.height / 2


def finger(kind: int, x: float, y: float, number: int = 0) -> None:
    pygame.event.post(Event(kind, touch_id=0, finger_id=number, x=x / WIDTH, y=y / HEIGHT, dx=0.0, dy=0.0, pressure=1.0))


def tap(stage: Stage, touch: Touch | Language) -> None:
    """Tap a control of the page that stands."""
    at = next(middle(control.rect) for control in touchables(stage.scene) if control.touch == touch)
    finger(pygame.FINGERDOWN, *at)
    finger(pygame.FINGERUP, *at)
    stage.tick()


def settled(stage: Stage, clock: StillClock) -> None:
    stage.tick()
    clock.go_on(LOCK_S)
    stage.tick()


# --- drawing --------------------------------------------------------------------------------------------------------


def test_a_page_is_drawn_once_and_again_only_when_something_changed(stage: Stage, clock: StillClock) -> None:
    stage.show(Attract())
    for _ in range(30):
        clock.go_on(1 / 30)
        stage.tick()
    assert stage.pace.presented == 1
    stage.show(Attract())
    stage.tick()
    assert stage.pace.presented == 1
    stage.show(PresentCard(Text("card.place")))
    stage.tick()
    assert stage.pace.presented == 2


def test_every_new_picture_is_drawn(stage: Stage) -> None:
    stage.show(FACE)
    for number in range(5):
        stage.preview(still(number, 0, 0))
        stage.tick()
    assert stage.pace.presented == 5


def test_a_picture_whose_fourth_byte_is_0_does_not_vanish(stage: Stage) -> None:
    stage.show(FACE)
    stage.tick()
    x, y = map(round, middle(PREVIEW))
    assert tuple(pixels()[y, x]) == theme.DIM
    stage.preview(still(blue=30, green=120, red=210))
    stage.tick()
    assert tuple(pixels()[y, x]) == (210, 120, 30)


def test_a_face_is_marked_where_it_is_green_when_it_is_good_and_nothing_of_the_marks_stays(stage: Stage) -> None:
    frame = still(30, 120, 210)
    x, y = PREVIEW.x + PREVIEW.width // 2, PREVIEW.y + PREVIEW.height // 2
    colours = []
    for outline in (None, Outline(0.5, 0.5, 0.6, 0.7), Outline(0.5, 0.5, 0.6, 0.7, is_good=True), None):
        stage.show(replace(FACE, outline=outline))
        stage.preview(frame)
        stage.tick()
        colours.append(tuple(pixels()[y, x + 6]))
    assert colours == [(210, 120, 30), theme.SHEET, theme.GOOD, (210, 120, 30)]


def test_marks_of_a_face_that_fills_the_picture_stay_in_it(stage: Stage) -> None:
    stage.show(FACE)
    stage.tick()
    before = pixels()
    stage.show(replace(FACE, outline=Outline(-0.01, 0.1, 0.5, 1.02, ((0.999, 0.5),), is_good=True)))
    stage.tick()
    rows, columns = np.nonzero((pixels() != before).any(axis=2))
    left, top, right, bottom = (int(edge) for edge in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    assert PREVIEW.holds(Rect(left, top, right - left, bottom - top))


def test_what_moves_is_drawn_alone_and_looks_as_if_all_had_been_drawn(stage: Stage) -> None:
    last = replace(FACE, progress=0.2, outline=Outline(0.3, 0.3, 0.5, 0.6))
    for page in (replace(FACE, progress=0.9, outline=Outline(0.4, 0.4, 0.7, 0.8, ((0.5, 0.5),))), last):
        stage.show(page)
        stage.tick()
    drawn = pixels()
    stage.wipe()
    stage.show(last)
    stage.tick()
    assert (pixels() == drawn).all()


def test_a_picture_of_another_size_fills_the_same_place(stage: Stage) -> None:
    stage.show(FACE)
    stage.preview(still(30, 120, 210, size=(480, 640)))
    stage.tick()
    x, y = map(round, middle(PREVIEW))
    assert tuple(pixels()[y, x]) == (210, 120, 30)
    assert tuple(pixels()[PREVIEW.bottom + 2, x]) == theme.PAGE


@pytest.mark.parametrize(
    "array", [np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10, 4)), np.zeros((10, 10, 4), np.uint8)[:, ::-1]]
)
def test_a_picture_of_another_form_is_refused(stage: Stage, array: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="a preview is"):
        stage.preview(Still(array))


def test_the_picture_is_dropped_with_its_page(stage: Stage) -> None:
    frame = still(30, 120, 210)
    watch = weakref.ref(frame.preview)
    stage.show(FACE)
    stage.preview(frame)
    stage.tick()
    del frame
    assert watch() is not None
    stage.show(Working(Text("working.comparing")))
    stage.tick()
    assert watch() is None


def test_the_working_page_moves_after_half_a_second(stage: Stage, clock: StillClock) -> None:
    def spinners() -> int:
        return sum(isinstance(control, Spinner) for control in stage.scene)

    stage.show(Working(Text("working.comparing")))
    stage.tick()
    assert (spinners(), stage.pace.presented) == (0, 1)
    clock.go_on(0.5)
    stage.tick()
    assert (spinners(), stage.pace.presented) == (1, 2)
    clock.go_on(0.1)
    stage.tick()
    assert stage.pace.presented == 3
    # Other words of the same page do not begin the wait anew.
    stage.show(Working(Text("working.sending")))
    assert spinners() == 1


def test_a_word_that_becomes_true_lights_up_at_once(stage: Stage) -> None:
    stage.show(RESULT)
    stage.tick()
    (lamp,) = (control for control in stage.scene if isinstance(control, Lamp) and control.word is Word.ACCEPTED)
    x, y = lamp.rect.x + 1, round(middle(lamp.rect)[1])
    assert tuple(pixels()[y, x]) == theme.LINE
    stage.show(Result(RESULT.sign, RESULT.headline, RESULT.advice, RESULT.who, frozenset({Word.RECEIVED, Word.ACCEPTED})))
    stage.tick()
    assert tuple(pixels()[y, x]) == theme.GOOD


def test_a_text_that_does_not_exist_fails_where_the_page_is_shown(stage: Stage) -> None:
    with pytest.raises(MessageFault):
        stage.show(Working(Text("no.such.text")))


@pytest.mark.parametrize(("name", "page"), [pytest.param(name, page, id=name) for name, page in pages()])
def test_everything_that_stands_on_a_page_is_seen(stage: Stage, clock: StillClock, name: str, page: Page) -> None:
    stage.show(page)
    clock.go_on(3)
    stage.tick()
    screen = pixels()
    for control in stage.scene:
        rect = control.rect
        assert (screen[rect.y : rect.bottom, rect.x : rect.right] != np.array(theme.PAGE)).any(), control


# --- touching -------------------------------------------------------------------------------------------------------


async def test_a_tap_is_told_to_who_waits_for_it(stage: Stage, clock: StillClock) -> None:
    stage.show(Attract())
    settled(stage, clock)
    tap(stage, Touch.START)
    async with asyncio.timeout(1):
        assert await stage.touched() is Touch.START


async def test_touches_meant_for_the_last_page_are_dropped(stage: Stage, clock: StillClock) -> None:
    stage.show(Attract())
    settled(stage, clock)
    tap(stage, Touch.START)
    stage.show(PresentCard(Text("card.place")))
    tap(stage, Touch.LEAVE)  # too early: the second tap of a double tap
    clock.go_on(LOCK_S)
    tap(stage, Touch.HELP)
    async with asyncio.timeout(1):
        assert await stage.touched() is Touch.HELP


async def test_a_page_that_only_changes_its_state_keeps_the_finger_and_the_touches(stage: Stage, clock: StillClock) -> None:
    stage.show(Consent(False, False, "某局", "0891"))
    settled(stage, clock)
    tap(stage, Touch.TICK_COMPARE)
    stage.show(Consent(True, False, "某局", "0891"))
    tap(stage, Touch.AGREE)
    async with asyncio.timeout(1):
        assert [await stage.touched(), await stage.touched()] == [Touch.TICK_COMPARE, Touch.AGREE]


async def test_a_disabled_button_is_not_told(stage: Stage, clock: StillClock) -> None:
    stage.show(Consent(False, False, "某局", "0891"))
    settled(stage, clock)
    tap(stage, Touch.AGREE)
    tap(stage, Touch.OTHER_WAY)
    async with asyncio.timeout(1):
        assert await stage.touched() is Touch.OTHER_WAY


def test_a_pressed_button_is_seen_pressed(stage: Stage, clock: StillClock) -> None:
    stage.show(Attract())
    settled(stage, clock)
    before = pixels()
    (button,) = (control for control in touchables(stage.scene) if control.touch is Touch.START)
    finger(pygame.FINGERDOWN, *middle(button.rect))
    stage.tick()
    assert (pixels() != before).any()
    finger(pygame.FINGERUP, 1, 1)
    stage.tick()
    assert (pixels() == before).all()


def test_a_touch_beside_everything_still_says_that_somebody_is_there(stage: Stage, clock: StillClock) -> None:
    stage.show(StillThere(9))
    clock.go_on(5)
    finger(pygame.FINGERDOWN, 1, 1)
    stage.tick()
    assert stage.touched_at == clock.now


def test_the_language_is_the_visitors_until_the_wipe(stage: Stage, clock: StillClock) -> None:
    stage.show(Attract())
    settled(stage, clock)
    chinese = pixels()
    tap(stage, Language.ENGLISH)
    stage.tick()
    languages = [stage.language]
    assert (pixels() != chinese).any()
    stage.wipe()
    stage.show(Attract())
    stage.tick()
    assert [*languages, stage.language] == [Language.ENGLISH, Language.CHINESE]
    assert (pixels() == chinese).all()


def test_closing_the_window_ends_the_loop(stage: Stage) -> None:
    assert stage.tick()
    pygame.event.post(Event(pygame.QUIT))
    assert not stage.tick()


async def test_the_loop_keeps_its_pace_and_ends_with_the_window(stage: Stage) -> None:
    stage.show(Attract())
    running = asyncio.ensure_future(stage.run())
    async with asyncio.timeout(5):
        while len(stage.pace.lags_s) < 3:
            await asyncio.sleep(0)
        stage.close()
        await running


# --- the wipe -------------------------------------------------------------------------------------------------------


def remembers(root: object, planted: str) -> bool:
    """Whether any string that can be reached from an object holds the planted text."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type | types.ModuleType | types.FunctionType | types.BuiltinFunctionType):
            continue
        seen.add(id(each))
        if isinstance(each, str) and planted in each:
            return True
        todo.extend(gc.get_referents(each))
    return False


def test_the_wipe_forgets_what_was_personal(stage: Stage, clock: StillClock) -> None:
    stage.show(RESULT)
    settled(stage, clock)
    tap(stage, Touch.DONE)
    assert remembers(stage, PLANTED)
    stage.wipe()
    assert not remembers(stage, PLANTED)
    assert (pixels() == np.array(theme.PAGE)).all()
    assert stage.page is None


def test_the_wipe_drops_the_picture(stage: Stage) -> None:
    frame = still(30, 120, 210)
    watch = weakref.ref(frame.preview)
    stage.show(FACE)
    stage.preview(frame)
    stage.tick()
    del frame
    assert watch() is not None
    stage.wipe()
    assert watch() is None


async def test_the_wipe_drops_touches_and_events_under_way(stage: Stage, clock: StillClock) -> None:
    stage.show(RESULT)
    settled(stage, clock)
    tap(stage, Touch.DONE)
    finger(pygame.FINGERDOWN, *middle(touchables(stage.scene)[-1].rect))
    stage.wipe()
    assert pygame.event.get(pump=False) == []
    stage.show(Attract())
    settled(stage, clock)
    tap(stage, Touch.START)
    async with asyncio.timeout(1):
        assert await stage.touched() is Touch.START


def test_fixed_texts_outlive_the_wipe(stage: Stage) -> None:
    stage.show(RESULT)
    stage.tick()
    stage.wipe()
    assert remembers(stage._ink, "核验通过")


# --- the window -----------------------------------------------------------------------------------------------------


def test_fail__a_driver_that_is_not_there_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, clock: StillClock) -> None:
    monkeypatch.setitem(os.environ, "SDL_VIDEODRIVER", "no-such-driver")
    stage = Stage(monotonic=clock)
    with pytest.raises(DisplayMissing, match=r"SCREEN-01.*SDL_VIDEODRIVER"):
        stage.open()


def test_fail__a_size_without_a_layout_is_refused(clock: StillClock) -> None:
    with pytest.raises(DisplayMissing, match=r"SCREEN-01.*800x480"):
        Stage(monotonic=clock, width=800, height=480)
