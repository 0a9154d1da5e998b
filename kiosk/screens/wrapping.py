"""Where a line may break: Chinese between characters but for punctuation, English at spaces, Tibetan after the tsheg."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from kiosk.screens.theme import Style

_CLOSING: Final = "，。！？、；：）》」』】”’…·％,.!?;:)]}%/"
_OPENING: Final = "（《「『【“‘([{"
_CHINESE: Final = r"[\u2e80-\u303f\u3040-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_TIBETAN: Final = r"[\u0f00-\u0f0a\u0f0c\u0f0e-\u0fff]+\u0f0b*\u0f0d*"
_TOKEN: Final = re.compile(rf"\s+|{_TIBETAN}|{_CHINESE}|(?:(?!{_CHINESE}|[\u0f00-\u0fff])\S)+")


class Measure(Protocol):
    """Knows how wide a line becomes."""

    def width(self, text: str, style: Style) -> int:
        """Return the width of one line, px."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stays together, with the spaces after it.

    Attributes:
        text: without the spaces.
        spaces: after it; a line feed among them ends the line.
        wide: of the text, px.
        full: of text and spaces, px.
    """

    text: str
    spaces: str
    wide: int
    full: int

    @property
    def is_torn_after(self) -> bool:
        """Whether a break here is within a Chinese phrase."""
        return not self.spaces and self.text[-1] not in _CLOSING and re.fullmatch(_CHINESE, self.text[-1]) is not None


def wrap(text: str, style: Style, width: int, measure: Measure) -> tuple[str, ...]:
    """Break `text` into lines of at most `width` px: as few as can be, and of such breaks the best.

    A break in the middle of a Chinese phrase is worse than one after punctuation; then lines are made about equally long.

    Args:
        text: what is to be set; a space at a break is dropped; a line feed breaks always.
        style: the style that will be drawn.
        width: of the box, px.
        measure: measures with the font that will be drawn.

    Returns:
        the lines; a piece that is wider than the box on its own is broken anywhere.
    """
    pieces = list(_measured(text.strip(), style, width, measure))
    ends = _fill(pieces, width)
    if len(ends) > 1:
        ends = _best(pieces, width, len(ends))
    lines = (pieces[start:end] for start, end in pairwise([0, *ends]))
    return tuple("".join(p.text + p.spaces for p in line).rstrip() for line in lines)


def _fill(pieces: list[_Piece], width: int) -> list[int]:
    """Return where each line ends when each takes as much as it can: the fewest lines."""
    ends: list[int] = []
    used = 0
    for index, piece in enumerate(pieces):
        if used and used + piece.wide > width:
            ends.append(index)
            used = 0
        used += piece.full
        if "\n" in piece.spaces:
            ends.append(index + 1)
            used = 0
    return [*ends, len(pieces)] if used or not ends else ends


def _best(pieces: list[_Piece], width: int, count: int) -> list[int]:
    """Return where each of `count` lines ends so that the fewest phrases are torn, then so that they are evenly long."""
    aim = sum(piece.full for piece in pieces) / count
    best: dict[int, tuple[int, float, list[int]]] = {0: (0, 0.0, [])}
    for line in range(count):
        following: dict[int, tuple[int, float, list[int]]] = {}
        for start, (torn, uneven, ends) in best.items():
            used = 0
            for index in range(start, len(pieces)):
                piece = pieces[index]
                if used + piece.wide > width:
                    break
                end = index + 1
                tears = torn + (end < len(pieces) and piece.is_torn_after)
                cost = (tears, uneven + (used + piece.wide - aim) ** 2, [*ends, end])
                if (line < count - 1 or end == len(pieces)) and (end not in following or cost < following[end]):
                    following[end] = cost
                used += piece.full
                if "\n" in piece.spaces:
                    break
        best = following
    return best[len(pieces)][2]


def _measured(text: str, style: Style, width: int, measure: Measure) -> Iterator[_Piece]:
    for piece in _pieces(text):
        word = piece.rstrip()
        wide = measure.width(word, style)
        if wide > width:
            yield from (_Piece(letter, "", each, each) for letter in word for each in [measure.width(letter, style)])
        else:
            spaces = piece[len(word) :]
            yield _Piece(word, spaces, wide, measure.width(word + spaces.replace("\n", ""), style))


def _pieces(text: str) -> Iterator[str]:
    """Yield the pieces between which a line may break, each with the spaces after it."""
    held = ""
    for token in _TOKEN.findall(text):
        if held and (token.isspace() or (not held[-1].isspace() and (token[0] in _CLOSING or held[-1] in _OPENING))):
            held += token
        else:
            if held:
                yield held
            held = token
    if held:
        yield held
