"""Every page in every language: nothing over its box, over another box or over the edge; large enough to touch and to read."""

from __future__ import annotations

from itertools import combinations
from typing import TypeVar

import pytest

from kiosk.screens import layout, theme
from kiosk.screens.arrange import arrange
from kiosk.screens.fonts import Fonts
from kiosk.screens.layout import (
    HEIGHT,
    WIDTH,
    Bar,
    Button,
    CardPlace,
    Control,
    Label,
    Lamp,
    Preview,
    Reader,
    Rect,
    Scene,
    Sheet,
    Spinner,
    Step,
    TickBox,
    Turn,
    touchables,
)
from kiosk.screens.pages import Consent, Face, Page, PresentCard, Prompt, Result, Sign, Text, Touch, Way, Word, Working
from kiosk.screens.theme import Look, Style
from kiosk.screens.words import Language, Words, offered
from tests.kiosk.screens.every_page import NUMBER, WHO, pages

SCREEN = Rect(0, 0, WIDTH, HEIGHT)
PADDING = {Label: 0, Button: 32, TickBox: 112, Step: 56, Lamp: 92}
"""How much of a control's width its text may not have."""


def faults(scene: Scene, fonts: Fonts) -> list[str]:
    """Say what is wrong with a layout."""
    found = [f"{control} over the edge" for control in scene if not SCREEN.holds(control.rect)]
    solid = [control for control in scene if not isinstance(control, Sheet)]
    found += [f"{one} over {other}" for one, other in combinations(solid, 2) if one.rect.meets(other.rect)]
    for sheet in (control for control in scene if isinstance(control, Sheet)):
        found += [f"{c} over the edge of {sheet}" for c in scene if c.rect.meets(sheet.rect) and not sheet.rect.holds(c.rect)]
    for control in scene:
        if isinstance(control, Label | Button | TickBox | Step | Lamp):
            room = control.rect.width - PADDING[type(control)]
            words = control.words
            found += [f"{line!r} too wide" for line in words.lines if fonts.width(line, words.style) > room]
            if words.height > control.rect.height:
                found.append(f"{words.lines} too high")
            if words.style.size < theme.SMALL.size:
                found.append(f"{words.lines} too small")
    found += [f"{c} too small to touch" for c in touchables(scene) if min(c.rect.width, c.rect.height) < theme.TARGET]
    return found


@pytest.mark.parametrize("language", offered())
@pytest.mark.parametrize(("name", "page"), [pytest.param(name, page, id=name) for name, page in pages()])
def test_every_page_is_well_laid_out(name: str, page: Page, language: Language, fonts: Fonts) -> None:
    ages = (0.0, 1.0, 4.0) if isinstance(page, Working) else (0.0,)
    assert [fault for age in ages for fault in faults(arrange(page, Words(language), fonts, age), fonts)] == []


def test_bad_layouts_would_be_found(fonts: Fonts) -> None:
    words = layout.Words(Text("card.place"), ("请把身份证平放在读卡区",), theme.BODY)
    label = Label(Rect(100, 100, 600, 42), words, theme.INK)
    assert faults((label,), fonts) == []
    assert len(faults((label, Label(Rect(690, 130, 500, 42), words, theme.INK)), fonts)) == 1
    assert len(faults((Label(Rect(100, 790, 600, 42), words, theme.INK),), fonts)) == 1
    assert len(faults((Label(Rect(100, 100, 200, 42), words, theme.INK),), fonts)) == 1
    assert len(faults((Label(Rect(100, 100, 600, 40), words, theme.INK),), fonts)) == 1
    assert len(faults((Sheet(Rect(0, 0, 300, 300), theme.SHEET, theme.LINE), label), fonts)) == 1
    assert len(faults((Button(Rect(0, 0, 600, 80), Touch.START, words, Look.MAIN),), fonts)) == 1
    tiny = layout.Words(Text("card.place"), ("请",), Style(27))
    assert len(faults((Label(Rect(100, 100, 600, 42), tiny, theme.INK),), fonts)) == 1


def test_everything_is_readable_on_its_ground() -> None:
    inks = (theme.INK, theme.QUIET, theme.ACTION, theme.GOOD, theme.WAIT, theme.BAD)
    pairs = {(ink, ground) for ink in inks for ground in (theme.PAGE, theme.SHEET)}
    pairs |= {(look.words, ground) for look in Look for ground in (look.fill, look.pressed)}
    pairs |= {(theme.SHEET, ground) for ground in (theme.ACTION, theme.GOOD, theme.WAIT, theme.BAD)}
    assert {pair for pair in pairs if theme.contrast(*pair) < 4.5} == set()


def test_contrast_is_that_of_the_published_formula() -> None:
    assert theme.contrast(theme.Colour(0, 0, 0), theme.Colour(255, 255, 255)) == pytest.approx(21)
    assert theme.contrast(theme.Colour(119, 119, 119), theme.Colour(255, 255, 255)) == pytest.approx(4.48, abs=0.01)


def scene_of(page: Page, fonts: Fonts, age_s: float = 0.0) -> Scene:
    return arrange(page, Words(Language.CHINESE), fonts, age_s)


T = TypeVar("T", bound=Control)


def of(scene: Scene, kind: type[T]) -> list[T]:
    return [control for control in scene if isinstance(control, kind)]


def test_agreeing_waits_for_the_tick_and_refusing_does_not(fonts: Fonts) -> None:
    for ticked in (False, True):
        buttons = {c.touch: c for c in of(scene_of(Consent(ticked, False, "某局", "0891"), fonts), Button)}
        assert buttons[Touch.AGREE].is_enabled is ticked
        assert buttons[Touch.OTHER_WAY].is_enabled


def test_both_ways_of_the_consent_are_equally_large_and_equally_bright(fonts: Fonts) -> None:
    buttons = {c.touch: c for c in of(scene_of(Consent(True, False, "某局", "0891"), fonts), Button)}
    agree, other = buttons[Touch.AGREE], buttons[Touch.OTHER_WAY]
    assert (agree.rect.width, agree.rect.height, agree.rect.y) == (other.rect.width, other.rect.height, other.rect.y)
    assert agree.look is other.look


def test_the_notice_names_controller_and_contact_and_nothing_is_ticked_for_the_visitor(fonts: Fonts) -> None:
    scene = scene_of(Consent(False, False, "某市住房和城乡建设局", "0891-6320000"), fonts)
    said = "".join(line for words in layout.texts(scene) for line in words.lines)
    assert "某市住房和城乡建设局" in said
    assert "0891-6320000" in said
    assert [box.is_ticked for box in of(scene, TickBox)] == [False, False]


def test_only_true_words_are_lit(fonts: Fonts) -> None:
    page = Result(Sign.TICK, Text("result.received.headline"), Text("result.received.advice"), WHO, frozenset({Word.RECEIVED}))
    assert [(lamp.word, lamp.is_lit) for lamp in of(scene_of(page, fonts), Lamp)] == [
        (Word.RECEIVED, True),
        (Word.ACCEPTED, False),
        (Word.EFFECTIVE, False),
    ]


def test_help_and_leaving_keep_their_places(fonts: Fonts) -> None:
    offers = (Touch.AGAIN, Touch.HELP, Touch.LEAVE)
    failed = Result(Sign.CROSS, Text("result.no-match.headline"), Text("result.no-match.advice", {"n": "1"}), offers=offers)
    places = [
        {c.touch: c.rect for c in of(scene_of(page, fonts), Button)}
        for page in (PresentCard(Text("card.place")), Face(Text("face.hint.good"), 0), failed)
    ]
    assert len({(each[Touch.HELP], each[Touch.LEAVE]) for each in places}) == 1


def test_the_number_is_not_said_twice(fonts: Fonts) -> None:
    def count(advice: str) -> int:
        page = Result(Sign.CLOCK, Text("result.kept.headline"), Text(advice, {"id": NUMBER}), number=NUMBER)
        return "".join(line for words in layout.texts(scene_of(page, fonts)) for line in words.lines).count(NUMBER)

    assert count("result.kept.advice") == 1
    assert count("result.verified.advice") == 1


def test_the_working_page_says_more_the_longer_it_stands(fonts: Fonts) -> None:
    page = Working(Text("working.comparing"))
    keys = [[words.text.key for words in layout.texts(scene_of(page, fonts, age))] for age in (0.0, 0.5, 3.0)]
    assert [len(of(scene_of(page, fonts, age), Spinner)) for age in (0.0, 0.49, 0.5, 3.0)] == [0, 0, 1, 1]
    assert ["working.still" in each for each in keys] == [False, False, True]


def test_the_drawing_shows_where_the_card_should_go(fonts: Fonts) -> None:
    def drawing(page: PresentCard) -> tuple[CardPlace, bool]:
        (reader,) = of(scene_of(page, fonts), Reader)
        return reader.place, reader.is_fault

    assert drawing(PresentCard(Text("card.place"))) == (CardPlace.TO_PUT_DOWN, False)
    assert drawing(PresentCard(Text("card.reading"), reading=True)) == (CardPlace.READING, False)
    assert drawing(PresentCard(Text("card.again"), fault=Text("card.lifted"))) == (CardPlace.TO_LIFT, True)


def test_the_oval_is_green_only_with_the_good_hint(fonts: Fonts) -> None:
    for key, good in (("face.hint.good", True), ("face.hint.too-dark", False)):
        scene = scene_of(Face(Text(key), 0.4), fonts)
        assert [preview.is_good for preview in of(scene, Preview)] == [good]
        assert [bar.progress for bar in of(scene, Bar)] == [0.4]


def test_a_movement_is_asked_for_by_arrow_words_and_the_time_that_is_left(fonts: Fonts) -> None:
    scene = scene_of(Face(Text("face.ask.left"), 0.9, Prompt(Way.LEFT, 0.25)), fonts)
    assert [turn.way for turn in of(scene, Turn)] == [Way.LEFT]
    assert [bar.progress for bar in of(scene, Bar)] == [0.25]
    assert "face.ask.left" in {words.text.key for words in layout.texts(scene)}
    assert of(scene_of(Face(Text("face.hint.good"), 0.9), fonts), Turn) == []


def test_not_being_able_to_turn_is_a_choice_as_large_and_as_bright_as_the_others(fonts: Fonts) -> None:
    offers = (Touch.LEAVE, Touch.GENTLE, Touch.HELP)
    buttons = {c.touch: c for c in of(scene_of(Face(Text("face.ask.left"), 0, offers=offers), fonts), Button)}
    assert {buttons[touch].look for touch in offers} == {Look.PLAIN}
    assert len({(buttons[touch].rect.width, buttons[touch].rect.height, buttons[touch].rect.y) for touch in offers}) == 1
