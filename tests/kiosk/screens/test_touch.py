"""The touch adaptor: one finger, release inside, lock after a change, mouse of a finger dropped."""

from __future__ import annotations

import pygame
import pytest
from pygame.event import Event

from kiosk.screens import layout, theme
from kiosk.screens.layout import HEIGHT, WIDTH, Button, Rect
from kiosk.screens.pages import Text, Touch
from kiosk.screens.theme import Look
from kiosk.screens.touch import HELD_TOO_LONG_S, LOCK_S, Contact, Motion, Press, contact

WORDS = layout.Words(Text("button.start"), ("开始",), theme.BUTTON)
START = Button(Rect(100, 100, 200, 100), Touch.START, WORDS, Look.MAIN)
HELP = Button(Rect(400, 100, 200, 100), Touch.HELP, WORDS, Look.PLAIN)
OFF = Button(Rect(700, 100, 200, 100), Touch.AGREE, WORDS, Look.OFF)
SCENE = (START, HELP, OFF)
ON_START, ON_HELP, ON_OFF, NOWHERE = (150.0, 150.0), (450.0, 150.0), (750.0, 150.0), (20.0, 700.0)
LATER = 1000.0


def followed(*path: tuple[Motion, int, tuple[float, float] | None], press: Press | None = None) -> list[Touch]:
    """Return what was pressed by fingers that go this way."""
    press = press or Press()
    taken = [press.take(Contact(motion, finger, *(at or (None, None))), SCENE, LATER) for motion, finger, at in path]
    return [Touch(control.touch) for control in taken if control is not None]


D, M, U = Motion.DOWN, Motion.MOVE, Motion.UP


def test_a_tap_on_a_control_presses_it() -> None:
    assert followed((D, 0, ON_START), (U, 0, ON_START)) == [Touch.START]


def test_nothing_happens_before_the_release() -> None:
    assert followed((D, 0, ON_START), (M, 0, (160.0, 150.0))) == []


def test_dragging_out_takes_it_back() -> None:
    assert followed((D, 0, ON_START), (M, 0, NOWHERE), (U, 0, NOWHERE)) == []


def test_dragging_onto_another_control_presses_neither() -> None:
    assert followed((D, 0, ON_START), (M, 0, ON_HELP), (U, 0, ON_HELP)) == []


def test_dragging_out_and_back_in_presses() -> None:
    assert followed((D, 0, ON_START), (M, 0, NOWHERE), (M, 0, ON_START), (U, 0, ON_START)) == [Touch.START]


def test_a_second_finger_does_nothing() -> None:
    assert followed((D, 0, ON_START), (D, 1, ON_HELP), (U, 1, ON_HELP), (U, 0, ON_START)) == [Touch.START]


def test_a_finger_whose_release_was_lost_does_not_block_for_ever() -> None:
    press = Press()
    press.take(Contact(D, 0, *ON_START), SCENE, LATER)
    press.take(Contact(D, 1, *ON_HELP), SCENE, LATER + HELD_TOO_LONG_S - 0.1)
    assert press.control is START
    press.take(Contact(D, 1, *ON_HELP), SCENE, LATER + HELD_TOO_LONG_S)
    assert press.control is HELP


def test_a_disabled_control_does_nothing() -> None:
    assert followed((D, 0, ON_OFF), (U, 0, ON_OFF)) == []


def test_a_new_page_ignores_presses_for_a_quarter_of_a_second() -> None:
    press = Press()
    press.lock(LATER)
    for after, pressed in ((LOCK_S - 0.01, None), (LOCK_S, START)):
        press.take(Contact(D, 0, *ON_START), SCENE, LATER + after)
        assert press.take(Contact(U, 0, *ON_START), SCENE, LATER + after) is pressed


def test_a_finger_that_lay_on_the_last_page_does_nothing_on_the_next() -> None:
    press = Press()
    press.take(Contact(D, 0, *ON_START), SCENE, LATER)
    press.lock(LATER)
    assert press.take(Contact(U, 0, *ON_START), SCENE, LATER + 1) is None


def test_positions_that_cannot_be_are_rejected_and_the_last_good_one_holds() -> None:
    assert followed((D, 0, ON_START), (M, 0, None), (U, 0, None)) == [Touch.START]
    assert followed((D, 0, ON_START), (M, 0, NOWHERE), (U, 0, None)) == []
    assert followed((D, 0, None), (U, 0, ON_START)) == []


def test_the_control_under_the_finger_is_drawn_pressed() -> None:
    press = Press()
    press.take(Contact(D, 0, *ON_START), SCENE, LATER)
    assert press.control is START
    press.take(Contact(M, 0, *NOWHERE), SCENE, LATER)
    assert press.control is None


@pytest.mark.parametrize(
    ("kind", "motion"), [(pygame.FINGERDOWN, D), (pygame.FINGERMOTION, M), (pygame.FINGERUP, U)], ids=["down", "move", "up"]
)
def test_fingers_are_translated_into_pixels(kind: int, motion: Motion) -> None:
    assert contact(Event(kind, finger_id=3, x=0.5, y=0.25), WIDTH, HEIGHT) == Contact(motion, 3, 640.0, 200.0)
    assert contact(Event(kind, finger_id=3, x=1.0, y=1.0), WIDTH, HEIGHT) == Contact(motion, 3, WIDTH - 1, HEIGHT - 1)


@pytest.mark.parametrize(("x", "y"), [(-0.01, 0.5), (1.01, 0.5), (0.5, -0.01), (0.5, 1.01), (float("nan"), 0.5)])
def test_a_finger_outside_the_panel_has_no_position(x: float, y: float) -> None:
    assert contact(Event(pygame.FINGERDOWN, finger_id=3, x=x, y=y), WIDTH, HEIGHT) == Contact(D, 3, None, None)


def test_a_real_mouse_presses_and_one_that_sdl_makes_of_a_finger_does_not() -> None:
    def mouse(*, touch: bool, button: int = 1) -> Contact | None:
        return contact(Event(pygame.MOUSEBUTTONDOWN, pos=(150, 150), button=button, touch=touch), WIDTH, HEIGHT)

    assert mouse(touch=False) == Contact(D, -1, 150.0, 150.0)
    assert mouse(touch=True) is None
    assert mouse(touch=False, button=3) is None


def test_other_events_say_nothing_of_fingers() -> None:
    assert contact(Event(pygame.KEYDOWN, key=pygame.K_a), WIDTH, HEIGHT) is None
