"""Waiting for a visitor: touches, help and leaving at any time, and the question whether anybody is there."""

from __future__ import annotations

import asyncio

import pytest

from kiosk.screens.pages import Attract, Result, Sign, StillThere, Text, Touch
from kiosk.settings import VisitSettings
from kiosk.waiting import BrokenOff, HelpWanted, Left, Waiting
from tests.kiosk.screen import Sheet

PAGE = Attract()
PATIENT = VisitSettings(idle_s=60, still_there_s=3)
HASTY = VisitSettings(idle_s=0.01, still_there_s=0.02)


@pytest.fixture
def sheet() -> Sheet:
    return Sheet()


async def nothing_happens() -> None:
    await asyncio.Event().wait()


async def test_a_touch_answers_the_page(sheet: Sheet) -> None:
    sheet.touch(Touch.AGAIN)
    assert await Waiting(sheet, PATIENT).ask(PAGE) is Touch.AGAIN
    assert sheet.shown == [PAGE]


@pytest.mark.parametrize(("touch", "raised"), [(Touch.LEAVE, Left), (Touch.HELP, HelpWanted)])
async def test_leaving_and_help_work_while_a_page_asks(sheet: Sheet, touch: Touch, raised: type[Exception]) -> None:
    sheet.touch(touch)
    with pytest.raises(raised):
        await Waiting(sheet, PATIENT).ask(PAGE)


@pytest.mark.parametrize(("touch", "raised"), [(Touch.LEAVE, Left), (Touch.HELP, HelpWanted)])
async def test_leaving_and_help_work_while_something_is_awaited(sheet: Sheet, touch: Touch, raised: type[Exception]) -> None:
    sheet.touch(touch)
    with pytest.raises(raised):
        await Waiting(sheet, PATIENT).until(PAGE, nothing_happens())


async def test_what_is_awaited_ends_the_waiting(sheet: Sheet) -> None:
    async def happens() -> str:
        return "card"

    assert await Waiting(sheet, PATIENT).until(PAGE, happens()) == "card"


async def test_what_is_awaited_may_fail_and_the_failure_comes_through(sheet: Sheet) -> None:
    async def fails() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        await Waiting(sheet, PATIENT).until(PAGE, fails())


async def test_nobody_there_is_asked_counted_down_and_gone(sheet: Sheet) -> None:
    with pytest.raises(Left):
        await Waiting(sheet, HASTY).ask(PAGE)
    assert sheet.shown == [PAGE, StillThere(seconds_left=1)]


async def test_whoever_is_still_there_finds_the_page_again(sheet: Sheet) -> None:
    asking = asyncio.ensure_future(Waiting(sheet, VisitSettings(idle_s=0.01, still_there_s=5)).ask(PAGE))
    await sheet.until(StillThere)
    sheet.touch(Touch.CONTINUE)
    await sheet.until(Attract)
    sheet.touch(Touch.DONE)
    assert await asking is Touch.DONE


async def test_a_card_put_down_during_the_countdown_counts_as_an_answer(sheet: Sheet) -> None:
    card = asyncio.Event()
    waiting = asyncio.ensure_future(Waiting(sheet, VisitSettings(idle_s=0.01, still_there_s=5)).until(PAGE, card.wait()))
    await sheet.until(StillThere)
    card.set()
    assert await waiting is True


async def test_a_result_goes_by_itself(sheet: Sheet) -> None:
    page = Result(Sign.TICK, Text("result.match.headline"), Text("result.verified.advice"))
    await Waiting(sheet, VisitSettings(result_s=0.01)).until_seen(page)
    assert sheet.shown == [page]


@pytest.mark.parametrize(("still_there_s", "counted"), [(0.02, [1]), (1.02, [2, 1])])
async def test_a_countdown_of_a_fraction_of_a_second_is_asked_all_the_same(
    sheet: Sheet, still_there_s: float, counted: list[int]
) -> None:
    with pytest.raises(Left):
        await Waiting(sheet, VisitSettings(idle_s=0.01, still_there_s=still_there_s)).ask(PAGE)
    assert sheet.shown[1:] == [StillThere(seconds_left=left) for left in counted]


@pytest.mark.parametrize("touch", [Touch.LEAVE, Touch.HELP])
async def test_what_was_awaited_has_ended_when_the_visitor_breaks_off(sheet: Sheet, touch: Touch) -> None:
    ended = []

    async def slow_to_end() -> None:
        try:
            await nothing_happens()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    waiting, heard = Waiting(sheet, PATIENT), list[Touch]()
    for wait in (waiting.until(PAGE, slow_to_end()), waiting.while_looking(slow_to_end(), heard.append)):
        sheet.touch(touch)
        with pytest.raises(BrokenOff):
            await wait
    assert (ended, heard) == ([True, True], [])


async def test_who_looks_on_is_told_of_touches_that_end_nothing(sheet: Sheet) -> None:
    seen = asyncio.Event()
    heard: list[Touch] = []

    def told(touch: Touch) -> None:
        heard.append(touch)
        if len(heard) == 2:
            seen.set()

    sheet.touch(Touch.GENTLE, Touch.DONE)
    async with asyncio.timeout(5):
        assert await Waiting(sheet, PATIENT).while_looking(seen.wait(), told) is True
    assert heard == [Touch.GENTLE, Touch.DONE]


async def test_a_second_touch_that_comes_too_early_is_there_for_the_page_that_follows(sheet: Sheet) -> None:
    waiting = Waiting(sheet, VisitSettings(idle_s=0.01, still_there_s=60))
    asking = asyncio.ensure_future(waiting.ask(PAGE))
    await sheet.until(StillThere)
    sheet.touch(Touch.CONTINUE, Touch.DONE)
    async with asyncio.timeout(5):
        assert await asking is Touch.DONE
