"""Where a line may break: Chinese between characters but for punctuation, English at spaces, Tibetan after the tsheg."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

from kiosk.screens.theme import Style

_CLOSING: Final = "，。！？、；：）》」』】”’…·％,.!?;:)]}%/"
_OPENING: Final = "（《「『【“‘([{"
_CHINESE: Final = r"[\u2e80-\u303f\u3040-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_TIBETAN: Final = r"[\u0f00-\u0f0a\u0f0c\u0f0e-\u0fff]+\u0f0b*\u0f0d*"
_TOKEN: Final = re.compile(rf"\n|\s+|{_TIBETAN}|{_CHINESE}|(?:(?!{_CHINESE}|[\u0f00-\u0fff])\S)+")


class Measure(Protocol):
    """Knows how wide a line becomes."""

    def width(self, text: str, style: Style) -> int:
        """Return the width of one line, px."""


def wrap(text: str, style: Style, width: int, measure: Measure) -> tuple[str, ...]:
    """Break `text` into lines of at most `width` px, about equally long, so that no single character is left over.

    Args:
        text: what is to be set; a space at a break is dropped; a line feed breaks always.
        style: the style that will be drawn.
        width: of the box, px.
        measure: measures with the font that will be drawn.

    Returns:
        the lines; a piece that is wider than the box on its own is broken anywhere.
    """
    lines = _fill(text, style, width, measure)
    if len(lines) == 1:
        return lines
    low, high = width // 2, width
    while high - low > style.size // 4:
        middle = (low + high) // 2
        if len(_fill(text, style, middle, measure)) > len(lines):
            low = middle
        else:
            high = middle
    return _fill(text, style, high, measure)


def _fill(text: str, style: Style, width: int, measure: Measure) -> tuple[str, ...]:
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        must = piece == "\n"
        if not must and measure.width((line + piece).rstrip(), style) <= width:
            line += piece if line else piece.lstrip()
            continue
        if line.strip():
            lines.append(line.rstrip())
        line = piece.lstrip()
        while measure.width(line.rstrip(), style) > width:
            fits = next(n for n in range(len(line) - 1, 0, -1) if n == 1 or measure.width(line[:n], style) <= width)
            lines.append(line[:fits])
            line = line[fits:]
    if line.strip() or not lines:
        lines.append(line.rstrip())
    return tuple(lines)


def _pieces(text: str) -> Iterator[str]:
    """Yield the pieces between which a line may break, spaces among them."""
    held = ""
    for token in _TOKEN.findall(text):
        if held and (token[0] in _CLOSING or held[-1] in _OPENING):
            held += token
        else:
            if held:
                yield held
            held = token
    if held:
        yield held
