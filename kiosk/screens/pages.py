"""The pages of a visit as plain values: what is to be shown and what may be touched, with no drawing in it.

A page names its texts by message key; `kiosk.screens.words` has them in each language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Text:
    """A message and what is filled into it.

    Attributes:
        key: key in the message files.
        args: values for the placeholders; masked where they are personal.
    """

    key: str
    args: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Touch(StrEnum):
    """What a visitor can touch. A page says which of them it offers."""

    START = "start"
    AGREE = "agree"
    OTHER_WAY = "other-way"
    TICK_COMPARE = "tick-compare"
    TICK_PHOTO = "tick-photo"
    AGAIN = "again"
    HELP = "help"
    CONTINUE = "continue"
    GENTLE = "gentle"
    LEAVE = "leave"
    DONE = "done"


class Sign(StrEnum):
    """The sign beside the words; colour is never alone."""

    TICK = "tick"
    CROSS = "cross"
    CLOCK = "clock"
    PERSON = "person"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Page:
    """Anything that fills the screen. `banner` is shown on any page without stopping what still works."""

    banner: Text | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class Attract(Page):
    """At rest: the purpose in one line and where to put the card. Camera off, nothing personal. Offers START."""


@dataclass(frozen=True, slots=True)
class Consent(Page):
    """The notice (P01) and two unticked choices (P02). Offers AGREE, OTHER_WAY, HELP and LEAVE.

    AGREE is live once TICK_COMPARE is ticked; OTHER_WAY is of equal size and look.

    Attributes:
        compare: whether "compare on this device" is ticked.
        keep_photo: whether "keep a photo" is ticked.
        controller: who processes the face, from settings.
        contact: how to reach them, from settings.
    """

    compare: bool
    keep_photo: bool
    controller: str
    contact: str


TAKE_BACK: Final = "card.take-back"
"""Key of the state after a visit, with nothing left to choose."""
LIFT: Final = frozenset({"card.again", TAKE_BACK})
"""Keys of the states in which the card is to be lifted; the drawing shows it going up."""


@dataclass(frozen=True, slots=True)
class PresentCard(Page):
    """A drawing of the reader and what to do: place, hold still, lift, what was wrong. Offers HELP and LEAVE, but for TAKE_BACK.

    Attributes:
        state: what to do now.
        reading: whether a card is being read.
        fault: what went wrong with the last try.
    """

    state: Text
    reading: bool = False
    fault: Text | None = None


GOOD_HINT: Final = "face.hint.good"
"""Key of the hint that says the face is as it should be; the oval turns green with it."""


class Way(StrEnum):
    """Where the head is to be turned, as people see themselves in the mirrored picture."""

    STRAIGHT = "straight"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A movement that is asked for.

    Attributes:
        way: where to.
        left: how much of the time for it is left, 1 to 0.
    """

    way: Way
    left: float


@dataclass(frozen=True, slots=True)
class Outline:
    """The face in the picture as it is shown, in fractions (0 to 1) of its width and height; parts may lie beyond its edges.

    Attributes:
        left: of the box around it.
        top: of the box.
        right: of the box.
        bottom: of the box.
        points: of the face, (across, down) each.
        is_good: whether it can be used as it is.
    """

    left: float = field(repr=False)
    top: float = field(repr=False)
    right: float = field(repr=False)
    bottom: float = field(repr=False)
    points: tuple[tuple[float, float], ...] = field(default=(), repr=False)
    is_good: bool = False


@dataclass(frozen=True, slots=True)
class Face(Page):
    """The mirrored preview with an oval, one hint at a time, and a bar for progress.

    GENTLE, where it is offered, is for whoever cannot turn their head (P15).

    Attributes:
        hint: what to do or to change, one thing at a time.
        progress: 0 to 1.
        prompt: the movement asked for; its time stands in the place of the progress.
        outline: of the face that was seen last.
        note: what stands below, in small.
        offers: the buttons.
    """

    hint: Text
    progress: float
    prompt: Prompt | None = None
    outline: Outline | None = None
    note: Text = Text("face.private")
    offers: tuple[Touch, ...] = (Touch.LEAVE, Touch.HELP)


@dataclass(frozen=True, slots=True)
class Working(Page):
    """Text at once, a moving sign after 0.5 s, "still working" at 3 s."""

    text: Text


class Word(StrEnum):
    """The three words of a receipt; none is shown lit before it is true."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    EFFECTIVE = "effective"


@dataclass(frozen=True, slots=True)
class Squares:
    """A QR code, without the quiet zone around it.

    Attributes:
        rows: from the top, each from the left; True is dark.
    """

    rows: tuple[tuple[bool, ...], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result(Page):
    """How it ended: sign, word and colour together, and what to do next.

    Attributes:
        sign: beside the headline.
        headline: what happened.
        advice: what to do next.
        who: masked name and number, or None.
        words: the three words of the receipt, those that are true; None where no record was sent.
        number: number of the record or the case, or "".
        offers: the buttons, the first of them the main one.
        slip: the visitor's proof, to be scanned; None where there is none.
    """

    sign: Sign
    headline: Text
    advice: Text
    who: Text | None = None
    words: frozenset[Word] | None = None
    number: str = ""
    offers: tuple[Touch, ...] = (Touch.DONE,)
    slip: Squares | None = None


@dataclass(frozen=True, slots=True)
class StillThere(Page):
    """Asks "are you still there?" with a large countdown. Offers CONTINUE and LEAVE.

    Attributes:
        seconds_left: shown large.
    """

    seconds_left: int


@dataclass(frozen=True, slots=True)
class OutOfService(Page):
    """What is wrong in plain words, where to go instead, and a code for staff.

    Attributes:
        reason: what is wrong.
        code: stable code, for instance CARD-01.
        device: number of the device.
    """

    reason: Text
    code: str
    device: str
