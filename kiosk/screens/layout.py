"""What stands on a screen: controls as plain values with their rectangles, so that tests can read them without a window."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from kiosk.screens.pages import Outline, Sign, Squares, Text, Touch, Way, Word
from kiosk.screens.theme import Colour, Look, Style
from kiosk.screens.words import Language

WIDTH: Final = 1280
HEIGHT: Final = 800
"""The wide layout, px; placed by hand for 10.1 inch. A compact one (800x480) is another `arrange`, not this one scaled."""


@dataclass(frozen=True, slots=True)
class Rect:
    """A place on the screen, px from the top left."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column beyond."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row beyond."""
        return self.y + self.height

    def has(self, x: float, y: float) -> bool:
        """Whether a point lies in it."""
        return self.x <= x < self.right and self.y <= y < self.bottom

    def holds(self, other: Rect) -> bool:
        """Whether `other` lies wholly in it."""
        return self.x <= other.x and other.right <= self.right and self.y <= other.y and other.bottom <= self.bottom

    def meets(self, other: Rect) -> bool:
        """Whether they share a pixel."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom


PREVIEW: Final = Rect(48, 116, 704, 528)
"""Where the camera's picture is shown; the camera should deliver exactly this size."""


@dataclass(frozen=True, slots=True)
class Words:
    """A text broken into the lines that are drawn.

    Attributes:
        text: the message.
        lines: as they stand, in the language shown.
        style: how it is set.
    """

    text: Text
    lines: tuple[str, ...]
    style: Style

    @property
    def height(self) -> int:
        """Of all lines, px."""
        return len(self.lines) * self.style.line_height

    @property
    def is_personal(self) -> bool:
        """Whether something was filled in: such a text is kept for the visit only."""
        return bool(self.text.args)


@dataclass(frozen=True, slots=True)
class Control:
    """Anything that stands somewhere."""

    rect: Rect


@dataclass(frozen=True, slots=True)
class Sheet(Control):
    """A plain ground for what stands on it."""

    fill: Colour
    border: Colour


@dataclass(frozen=True, slots=True)
class Label(Control):
    """Text, from the top of its rectangle."""

    words: Words
    colour: Colour
    centred: bool = False


@dataclass(frozen=True, slots=True)
class Button(Control):
    """Something to touch: of the page's own, or a language."""

    touch: Touch | Language
    words: Words
    look: Look

    @property
    def is_enabled(self) -> bool:
        """Whether a touch on it counts."""
        return self.look is not Look.OFF


@dataclass(frozen=True, slots=True)
class TickBox(Control):
    """A choice that is made or not."""

    touch: Touch
    words: Words
    is_ticked: bool

    @property
    def is_enabled(self) -> bool:
        """Whether a touch on it counts."""
        return True


@dataclass(frozen=True, slots=True)
class Step(Control):
    """One step of the bar in the header."""

    words: Words
    number: int
    is_done: bool
    is_current: bool


@dataclass(frozen=True, slots=True)
class Mark(Control):
    """A sign, drawn as a shape."""

    sign: Sign
    colour: Colour


@dataclass(frozen=True, slots=True)
class Lamp(Control):
    """One of the three words of a receipt; lit when it is true."""

    word: Word
    words: Words
    is_lit: bool


@dataclass(frozen=True, slots=True)
class Preview(Control):
    """The camera's picture with the oval, green when the face is as it should be, and marks at the corners of the face."""

    is_good: bool
    outline: Outline | None = None


@dataclass(frozen=True, slots=True)
class Turn(Control):
    """A large arrow, or a face for straight on."""

    way: Way


@dataclass(frozen=True, slots=True)
class Bar(Control):
    """How far it is, 0 to 1."""

    progress: float
    colour: Colour


@dataclass(frozen=True, slots=True)
class Countdown(Control):
    """Seconds, very large."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Spinner(Control):
    """A moving sign: it is still at work."""


class CardPlace(Enum):
    """Where the card is in the drawing of the reader, and where it should go."""

    TO_PUT_DOWN = "to-put-down"
    READING = "reading"
    TO_LIFT = "to-lift"


@dataclass(frozen=True, slots=True)
class Reader(Control):
    """The drawing of the reader and the card; a sign on the card says that something was wrong."""

    place: CardPlace
    is_fault: bool = False


@dataclass(frozen=True, slots=True)
class Code(Control):
    """A QR code, its quiet zone included."""

    squares: Squares


Touchable = Button | TickBox
Scene = tuple[Control, ...]


def texts(scene: Scene) -> list[Words]:
    """Return every text on the screen, in the order in which it stands there."""
    return [control.words for control in scene if isinstance(control, Label | Button | TickBox | Step | Lamp)]


def touchables(scene: Scene) -> list[Touchable]:
    """Return everything that can be touched, enabled or not."""
    return [control for control in scene if isinstance(control, Button | TickBox)]
