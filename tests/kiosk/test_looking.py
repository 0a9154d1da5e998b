"""What the visitor sees of a comparison: one thing to do at a time, the movement that is asked for, and where their face is."""

from __future__ import annotations

from datetime import datetime

import pytest

from kiosk.face.result import Ask, Box, Glimpse, QualityCause, Step
from kiosk.looking import BEGIN, Looking
from kiosk.screens.pages import GOOD_HINT, Touch, Way
from tests.kiosk.parts import NOW

TURN_S = 6.0


class Watch:
    """A clock that only the test moves."""

    now_s = 100.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.now_s

    def age_s(self) -> int | None:
        return None


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def looking(watch: Watch) -> Looking:
    return Looking(watch, turn_s=TURN_S, may_be_asked=True, is_gentle=False)


def step(ask: Ask = Ask.STRAIGHT, cause: QualityCause | None = None) -> Step:
    box = None if cause is QualityCause.NO_FACE else Box(0.2, 0.3, 0.25, 0.4)
    return Step(ask, Glimpse(1, box, cause, 0.2, points=((0.25, 0.4),)), 0.5)


@pytest.mark.parametrize("cause", [None, *QualityCause])
def test_what_is_wrong_with_the_picture_is_the_hint(looking: Looking, cause: QualityCause | None) -> None:
    page = looking.page(step(cause=cause))
    assert page.hint.key == (f"face.hint.{cause}" if cause else GOOD_HINT)
    assert (page.prompt, page.progress) == (None, 0.5)


def test_before_the_first_frame_the_face_is_to_come_into_the_oval(looking: Looking) -> None:
    page = looking.page(BEGIN)
    assert (page.hint.key, page.outline, page.progress) == ("face.hint.no-face", None, 0.0)


@pytest.mark.parametrize(("ask", "way"), [(Ask.LEFT, Way.LEFT), (Ask.RIGHT, Way.RIGHT)])
def test_a_turn_is_asked_for_with_the_time_that_is_left_and_then_straight_ahead_anew(
    looking: Looking, watch: Watch, ask: Ask, way: Way
) -> None:
    told = []
    for asked, after_s in ((ask, 0.0), (ask, 1.5), (ask, 9.0), (Ask.STRAIGHT, 0.0), (Ask.STRAIGHT, 3.0)):
        watch.now_s += after_s
        page = looking.page(step(asked, QualityCause.TURNED))
        assert page.prompt is not None
        assert page.hint.key == f"face.ask.{page.prompt.way}"
        told.append((page.prompt.way, page.prompt.left))
    assert told == [(way, 1.0), (way, 0.75), (way, 0.0), (Way.STRAIGHT, 1.0), (Way.STRAIGHT, 0.5)]


def test_while_a_turn_is_asked_for_only_a_second_person_is_more_important(looking: Looking) -> None:
    hints = {cause: looking.page(step(Ask.LEFT, cause)).hint.key for cause in QualityCause}
    assert hints.pop(QualityCause.TWO_FACES) == "face.hint.two-faces"
    assert set(hints.values()) == {"face.ask.left"}


def test_the_face_is_marked_where_the_mirror_shows_it(looking: Looking) -> None:
    outline = looking.page(step()).outline
    assert outline is not None
    edges = (outline.left, outline.top, outline.right, outline.bottom)
    assert edges == pytest.approx((0.55, 0.3, 0.8, 0.7))
    assert outline.points == ((0.75, 0.4),)


def test_the_marks_are_green_when_the_face_is_held_as_it_should_be(looking: Looking) -> None:
    def is_green(ask: Ask, cause: QualityCause | None) -> bool:
        outline = looking.page(step(ask, cause)).outline
        return outline is not None and outline.is_good

    assert (is_green(Ask.STRAIGHT, None), is_green(Ask.STRAIGHT, QualityCause.TURNED)) == (True, False)
    assert (is_green(Ask.LEFT, QualityCause.TURNED), is_green(Ask.LEFT, QualityCause.TOO_DARK)) == (True, False)


@pytest.mark.parametrize(
    ("may_be_asked", "is_gentle", "is_offered", "note"),
    [
        (True, False, True, "face.private"),
        (True, True, False, "face.gentle"),
        (False, False, False, "face.private"),
    ],
)
def test_the_gentle_way_is_offered_as_long_as_a_turn_may_be_asked_for(
    watch: Watch, may_be_asked: bool, is_gentle: bool, is_offered: bool, note: str
) -> None:
    looking = Looking(watch, turn_s=TURN_S, may_be_asked=may_be_asked, is_gentle=is_gentle)
    for each in (BEGIN, step(), step(Ask.LEFT)):
        page = looking.page(each)
        assert (Touch.GENTLE in page.offers, page.note.key) == (is_offered, note)
        assert {Touch.LEAVE, Touch.HELP} <= set(page.offers)
