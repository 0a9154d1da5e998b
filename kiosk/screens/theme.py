"""Colours and sizes: one palette, six text styles, and how many pixels a millimetre has.

Contrast is tested for everything drawn (MIIT 2021: 4.5:1); smallest text 28 px and targets of 15 mm on a 10.1 inch panel of
1280x800 (217 mm wide, 5.9 px/mm).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple


class Colour(NamedTuple):
    """A colour, 0 to 255 each."""

    red: int
    green: int
    blue: int


PAGE: Final = Colour(246, 248, 250)
SHEET: Final = Colour(255, 255, 255)
INK: Final = Colour(22, 32, 44)
QUIET: Final = Colour(88, 100, 114)
LINE: Final = Colour(208, 215, 223)
DIM: Final = Colour(228, 233, 238)
ACTION: Final = Colour(11, 87, 164)
GOOD: Final = Colour(0, 110, 70)
WAIT: Final = Colour(138, 80, 0)
BAD: Final = Colour(176, 32, 32)


class Look(Enum):
    """How a button looks: fill, fill while pressed, border, words."""

    MAIN = (ACTION, Colour(8, 62, 118), ACTION, SHEET)
    PLAIN = (SHEET, Colour(219, 232, 246), ACTION, ACTION)
    LIGHT = (SHEET, Colour(219, 232, 246), LINE, ACTION)
    OFF = (DIM, DIM, DIM, QUIET)

    def __init__(self, fill: Colour, pressed: Colour, border: Colour, words: Colour) -> None:
        self.fill = fill
        self.pressed = pressed
        self.border = border
        self.words = words


@dataclass(frozen=True, slots=True)
class Style:
    """How a text is set.

    Attributes:
        size: em size in px.
        bold: weight.
    """

    size: int
    bold: bool = False

    @property
    def line_height(self) -> int:
        """Distance of two baselines, px: 1.3 em (MIIT 2021)."""
        return round(1.3 * self.size)


COUNT: Final = Style(160, bold=True)
HEADLINE: Final = Style(60, bold=True)
TITLE: Final = Style(44, bold=True)
BODY: Final = Style(32)
BUTTON: Final = Style(32, bold=True)
SMALL: Final = Style(28)
SMALL_BOLD: Final = Style(28, bold=True)

PX_PER_MM: Final = 5.9
"""Of the 10.1 inch panel of 1280x800 that the wide layout is drawn for."""

TARGET: Final = int(15 * PX_PER_MM)
"""Least height and width of anything to be touched, px: 15 mm."""

RADIUS: Final = 16
"""Of corners, px."""


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    parts = (c / 255 for c in colour)
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
