"""The wide layout, 1280x800, placed by hand: a page becomes the controls that stand on the screen. No pygame, no window."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kiosk.screens import layout, theme
from kiosk.screens.layout import (
    HEIGHT,
    PREVIEW,
    WIDTH,
    Bar,
    Button,
    CardPlace,
    Code,
    Control,
    Countdown,
    Label,
    Lamp,
    Mark,
    Preview,
    Reader,
    Rect,
    Scene,
    Sheet,
    Spinner,
    Step,
    TickBox,
    Turn,
)
from kiosk.screens.pages import (
    GOOD_HINT,
    LIFT,
    TAKE_BACK,
    Attract,
    Consent,
    Face,
    OutOfService,
    Page,
    PresentCard,
    Result,
    Sign,
    Squares,
    StillThere,
    Text,
    Touch,
    Word,
    Working,
)
from kiosk.screens.theme import Colour, Look, Style
from kiosk.screens.words import OWN_NAME, Words, offered
from kiosk.screens.wrapping import Measure, wrap

MOVING_S: Final = 0.5
"""After this the working page shows a moving sign."""
STILL_WORKING_S: Final = 3.0
"""After this it says that it is still working."""

_EDGE: Final = 48
_HEADER: Final = 104
_FOOT = Rect(_EDGE, 672, WIDTH - 2 * _EDGE, 96)
_MIDDLE = Rect(_EDGE, _HEADER, WIDTH - 2 * _EDGE, _FOOT.y - 24 - _HEADER)
_SIDE: Final = 208
_SLIP: Final = Rect(WIDTH - _EDGE - 420, 108, 420, 552)
_GAP: Final = 24
_ARROW: Final = 136
_STEPS: Final = (("step.card", PresentCard), ("step.consent", Consent), ("step.face", Face), ("step.result", Result))
_COLOURS: Final = {
    Sign.TICK: theme.GOOD,
    Sign.CROSS: theme.BAD,
    Sign.CLOCK: theme.WAIT,
    Sign.PERSON: theme.ACTION,
    Sign.WARNING: theme.WAIT,
}
_NOTICE: Final = ("who", "purpose", "what", "where", "keep", "refuse", "withdraw")


def arrange(page: Page, words: Words, measure: Measure, age_s: float = 0.0) -> Scene:
    """Place everything of a page.

    Args:
        page: what to show.
        words: the language.
        measure: measures with the fonts that will be drawn.
        age_s: how long the page has been shown; the working page grows with it.

    Raises:
        MessageFault: a text the message files do not have.
    """
    sketch = _Sketch(words, measure)
    sketch.header(page)
    match page:
        case Attract():
            _attract(sketch)
        case Consent():
            _consent(sketch, page)
        case PresentCard():
            _present_card(sketch, page)
        case Face():
            _face(sketch, page)
        case Working():
            _working(sketch, page, age_s)
        case Result():
            _result(sketch, page)
        case StillThere():
            _still_there(sketch, page)
        case OutOfService():
            _out_of_service(sketch, page)
        case _:
            raise TypeError(f"no layout for {type(page).__name__}")
    return tuple(sketch.controls)


class _Sketch:
    """The controls of one page as they are placed."""

    def __init__(self, words: Words, measure: Measure) -> None:
        self.controls: list[Control] = []
        self._words = words
        self._measure = measure

    def add(self, control: Control) -> None:
        self.controls.append(control)

    def set(self, text: Text, style: Style, width: int) -> layout.Words:
        return layout.Words(text, wrap(self._words.say(text), style, width, self._measure), style)

    def says(self, text: Text, what: str) -> bool:
        """Whether a text already contains something."""
        return what in self._words.say(text)

    def label(
        self, text: Text, at: tuple[int, int], width: int, style: Style, colour: Colour = theme.INK, *, centred: bool = False
    ) -> int:
        """Place a text from `at` (left, top) and return where it ends."""
        words = self.set(text, style, width)
        rect = Rect(*at, width, words.height)
        self.add(Label(rect, words, colour, centred))
        return rect.bottom

    def button(self, rect: Rect, touch: Touch, look: Look = Look.PLAIN, key: str = "") -> None:
        words = self.set(Text(key or f"button.{touch}"), theme.BUTTON, rect.width - 32)
        self.add(Button(rect, touch, words, look))

    def header(self, page: Page) -> None:
        self.add(Mark(Rect(_EDGE, 24, 56, 56), Sign.PERSON, theme.ACTION))
        self.label(Text("app.name"), (_EDGE + 72, 32), 170, theme.BUTTON)
        right = WIDTH - _EDGE
        for language in reversed([each for each in offered() if each is not self._words.language]):
            rect = Rect(right - 144, 8, 144, theme.TARGET)
            own = layout.Words(Text(f"language.{language}"), (OWN_NAME[language],), theme.SMALL_BOLD)
            self.add(Button(rect, language, own, Look.LIGHT))
            right = rect.x - 12
        left = 310
        if page.banner is not None:
            self._banner(page.banner, Rect(left, 8, right - 12 - left, theme.TARGET))
        elif not isinstance(page, Attract | OutOfService | StillThere):
            self._steps(page, left)

    def _banner(self, text: Text, rect: Rect) -> None:
        self.add(Sheet(rect, theme.SHEET, theme.WAIT))
        self.add(Mark(Rect(rect.x + 16, rect.y + 22, 44, 44), Sign.WARNING, theme.WAIT))
        words = self.set(text, theme.SMALL, rect.width - 96)
        place = Rect(rect.x + 76, rect.y + (rect.height - words.height) // 2, rect.width - 92, words.height)
        self.add(Label(place, words, theme.INK))

    def _steps(self, page: Page, x: int) -> None:
        kinds: list[type[Page]] = [kind for _, kind in _STEPS]
        # Work is done between face and result and belongs to the face.
        at = kinds.index(Face if isinstance(page, Working) else type(page))
        for index, (key, _) in enumerate(_STEPS):
            words = self.set(Text(key), theme.SMALL_BOLD if index == at else theme.SMALL, 110)
            self.add(Step(Rect(x, 28, 168, 48), words, index + 1, index < at, index == at))
            x += 184

    def foot(self, offers: tuple[Touch, ...], main: Touch | None = None, keys: dict[Touch, str] | None = None) -> None:
        """Place the buttons: leaving always on the left, help always on the right, the others between."""
        order = sorted(offers, key=lambda touch: (touch is Touch.HELP) - (touch is Touch.LEAVE))
        # Two ways of equal standing share the width.
        places = 2 if len(order) == 2 and not {Touch.LEAVE, Touch.HELP} & set(order) else max(3, len(order))
        width = (_FOOT.width - (places - 1) * _GAP) // places
        free = [
            n for n in range(places) if not (n == 0 and Touch.LEAVE in order) and not (n == places - 1 and Touch.HELP in order)
        ]
        rest = [touch for touch in order if touch not in (Touch.LEAVE, Touch.HELP)]
        # A single one stands in the middle.
        free = free if len(rest) > 1 else [1]
        slots = dict(zip(rest, free, strict=False)) | {Touch.LEAVE: 0, Touch.HELP: places - 1}
        for touch in order:
            rect = Rect(_FOOT.x + slots[touch] * (width + _GAP), _FOOT.y, width, _FOOT.height)
            self.button(rect, touch, Look.MAIN if touch is main else Look.PLAIN, (keys or {}).get(touch, ""))


def _attract(sketch: _Sketch) -> None:
    left, width = 72, 592
    y = sketch.label(Text("attract.headline"), (left, 152), width, theme.HEADLINE)
    y = sketch.label(Text("attract.advice"), (left, y + 28), width, theme.BODY, theme.QUIET)
    sketch.button(Rect(left, y + 48, 400, 120), Touch.START, Look.MAIN)
    sketch.label(Text("attract.camera-off"), (left, 680), width, theme.SMALL, theme.QUIET)
    sheet = Rect(712, 128, 520, 624)
    sketch.add(Sheet(sheet, theme.SHEET, theme.LINE))
    sketch.add(Reader(Rect(sheet.x + 60, sheet.y + 56, 400, 420), CardPlace.TO_PUT_DOWN))
    sketch.label(Text("attract.place"), (sheet.x + 30, sheet.y + 512), 460, theme.BUTTON, centred=True)


def _consent(sketch: _Sketch, page: Consent) -> None:
    sketch.label(Text("consent.title"), (_EDGE, 108), _MIDDLE.width, theme.TITLE)
    sheet = Rect(_EDGE, 176, _MIDDLE.width, 372)
    sketch.add(Sheet(sheet, theme.SHEET, theme.LINE))
    width = sheet.width - 256
    notice = {item: Text(f"consent.notice.{item}.text") for item in _NOTICE}
    notice["who"] = Text("consent.notice.who.text", {"controller": page.controller, "contact": page.contact})
    spare = sheet.height - sum(sketch.set(text, theme.SMALL, width).height for text in notice.values())
    gap = min(14, spare // (len(notice) + 1))
    y = sheet.y + (spare - gap * (len(notice) - 1)) // 2
    for item, text in notice.items():
        sketch.label(Text(f"consent.notice.{item}.label"), (sheet.x + 28, y), 190, theme.SMALL_BOLD)
        y = sketch.label(text, (sheet.x + 228, y), width, theme.SMALL) + gap
    half = (_MIDDLE.width - _GAP) // 2
    ticks = (Touch.TICK_COMPARE, "consent.compare", page.compare), (Touch.TICK_PHOTO, "consent.keep-photo", page.keep_photo)
    for x, (touch, key, is_ticked) in zip((_EDGE, _EDGE + half + _GAP), ticks, strict=True):
        sketch.add(TickBox(Rect(x, 564, half, 92), touch, sketch.set(Text(key), theme.SMALL, half - 112), is_ticked))
    # Both ways are of the same size and the same look: neither is pressed on anybody.
    way = (_MIDDLE.width - 2 * _SIDE - 3 * _GAP) // 2
    agree = Look.PLAIN if page.compare else Look.OFF
    x = _EDGE
    for touch, look, width in (
        (Touch.LEAVE, Look.LIGHT, _SIDE),
        (Touch.AGREE, agree, way),
        (Touch.OTHER_WAY, Look.PLAIN, way),
        (Touch.HELP, Look.LIGHT, _SIDE),
    ):
        sketch.button(Rect(x, _FOOT.y, width, _FOOT.height), touch, look)
        x += width + _GAP


def _present_card(sketch: _Sketch, page: PresentCard) -> None:
    lift = page.state.key in LIFT
    place = CardPlace.READING if page.reading else CardPlace.TO_LIFT if lift else CardPlace.TO_PUT_DOWN
    sheet = Rect(_EDGE, 128, 520, 520)
    sketch.add(Sheet(sheet, theme.SHEET, theme.LINE))
    sketch.add(Reader(Rect(sheet.x + 60, sheet.y + 50, 400, 420), place, page.fault is not None))
    left, width = 624, 608
    state = sketch.set(page.state, theme.TITLE, width)
    fault = sketch.set(page.fault, theme.BODY, width - 116) if page.fault is not None else None
    extra = fault.height + 40 + 36 if fault else 104 if page.reading else 0
    y = sheet.y + (sheet.height - state.height - extra) // 2
    y = sketch.label(page.state, (left, y), width, theme.TITLE)
    if page.fault is not None and fault is not None:
        box = Rect(left, y + 36, width, fault.height + 40)
        sketch.add(Sheet(box, theme.SHEET, theme.WAIT))
        sketch.add(Mark(Rect(box.x + 20, box.y + 20, 56, 56), Sign.WARNING, theme.WAIT))
        sketch.label(page.fault, (box.x + 96, box.y + 20), width - 116, theme.BODY)
    elif page.reading:
        sketch.add(Spinner(Rect(left, y + 40, 64, 64)))
    if page.state.key != TAKE_BACK:
        sketch.foot((Touch.LEAVE, Touch.HELP))


def _face(sketch: _Sketch, page: Face) -> None:
    sketch.add(Preview(PREVIEW, page.hint.key == GOOD_HINT, page.outline))
    left = PREVIEW.right + 48
    width = WIDTH - _EDGE - left
    hint = sketch.set(page.hint, theme.TITLE, width)
    # The hint keeps its middle while it changes, so that the eye need not search.
    middle = 280 if page.prompt is None else 344
    sketch.label(page.hint, (left, middle - hint.height // 2), width, theme.TITLE)
    if page.prompt is None:
        sketch.add(Bar(Rect(left, 444, width, 20), page.progress, theme.GOOD))
    else:
        sketch.add(Turn(Rect(left, PREVIEW.y, _ARROW, _ARROW), page.prompt.way))
        sketch.add(Mark(Rect(left, 434, 40, 40), Sign.CLOCK, theme.ACTION))
        sketch.add(Bar(Rect(left + 56, 444, width - 56, 20), page.prompt.left, theme.ACTION))
    sketch.label(page.note, (left, 496), width, theme.SMALL, theme.QUIET)
    sketch.foot(page.offers)


def _working(sketch: _Sketch, page: Working, age_s: float) -> None:
    if age_s >= MOVING_S:
        sketch.add(Spinner(Rect(WIDTH // 2 - 56, 260, 112, 112)))
    y = sketch.label(page.text, (_EDGE, 420), _MIDDLE.width, theme.TITLE, centred=True)
    if age_s >= STILL_WORKING_S:
        sketch.label(Text("working.still"), (_EDGE, y + 24), _MIDDLE.width, theme.BODY, theme.QUIET, centred=True)


def _result(sketch: _Sketch, page: Result) -> None:
    mark, left, width, colour = Rect(88, 0, 152, 152), 300, 900, _COLOURS[page.sign]
    if page.slip is not None:
        _slip(sketch, page.slip)
        mark, left, width = Rect(_EDGE, 0, 96, 96), 168, _SLIP.x - 32 - 168
    # A whole sentence as a headline is set smaller.
    big = theme.HEADLINE if len(sketch.set(page.headline, theme.HEADLINE, width).lines) == 1 else theme.TITLE
    lines = [(page.headline, big, colour, 20), (page.advice, theme.BODY, theme.INK, 28)]
    if page.who is not None:
        lines.append((page.who, theme.BUTTON, theme.INK, 8))
    if page.number and not sketch.says(page.advice, page.number):
        lines.append((Text("result.number", {"number": page.number}), theme.BUTTON, theme.INK, 8))
    height = sum(sketch.set(t, style, width).height + gap for t, style, _, gap in lines)
    height += 108 if page.words is not None else 0
    top = _MIDDLE.y + (_MIDDLE.height - height) // 2
    sketch.add(Mark(replace(mark, y=top), page.sign, colour))
    y = top
    for text, style, ink, gap in lines:
        y = sketch.label(text, (left, y), width, style, ink) + gap
    if page.words is not None:
        _lamps(sketch, page.words, *((left, 272) if page.slip is None else (_EDGE, 228)), y + 20)
    sketch.foot(page.offers, page.offers[0], {Touch.OTHER_WAY: "button.manual"})


def _lamps(sketch: _Sketch, true: frozenset[Word], x: int, width: int, y: int) -> None:
    for word in Word:
        words = sketch.set(Text(f"word.{word}"), theme.SMALL_BOLD if word in true else theme.SMALL, width - 92)
        sketch.add(Lamp(Rect(x, y, width, theme.TARGET), word, words, word in true))
        x += width + _GAP


def _slip(sketch: _Sketch, squares: Squares) -> None:
    """The visitor's proof on the right, with what it is."""
    sketch.add(Sheet(_SLIP, theme.SHEET, theme.LINE))
    side = _SLIP.width - 12
    sketch.add(Code(Rect(_SLIP.x + 6, _SLIP.y + 6, side, side), squares))
    left, width = _SLIP.x + 16, _SLIP.width - 32
    y = sketch.label(Text("slip.title"), (left, _SLIP.y + 6 + side), width, theme.SMALL_BOLD, centred=True)
    sketch.label(Text("slip.what"), (left, y), width, theme.SMALL, theme.QUIET, centred=True)


def _still_there(sketch: _Sketch, page: StillThere) -> None:
    sketch.label(Text("still-there.headline"), (_EDGE, 136), _MIDDLE.width, theme.HEADLINE, centred=True)
    sketch.add(Countdown(Rect(WIDTH // 2 - 140, 240, 280, 280), page.seconds_left))
    sketch.label(Text("still-there.advice"), (_EDGE, 552), _MIDDLE.width, theme.BODY, theme.QUIET, centred=True)
    half = (_MIDDLE.width - _GAP) // 2
    sketch.button(Rect(_EDGE, _FOOT.y, half, _FOOT.height), Touch.LEAVE)
    sketch.button(Rect(_EDGE + half + _GAP, _FOOT.y, half, _FOOT.height), Touch.CONTINUE, Look.MAIN)


def _out_of_service(sketch: _Sketch, page: OutOfService) -> None:
    sketch.add(Mark(Rect(WIDTH // 2 - 76, 168, 152, 152), Sign.WARNING, theme.WAIT))
    y = sketch.label(Text("out.headline"), (_EDGE, 348), _MIDDLE.width, theme.HEADLINE, centred=True)
    y = sketch.label(page.reason, (140, y + 20), WIDTH - 280, theme.BODY, centred=True)
    sketch.label(Text("out.advice"), (140, y + 8), WIDTH - 280, theme.BODY, centred=True)
    device = {"device": page.device}
    place = Text("out.code", {"code": page.code, **device}) if page.code else Text("out.device", device)
    sketch.label(place, (_EDGE, HEIGHT - 84), _MIDDLE.width, theme.SMALL, theme.QUIET, centred=True)
