"""Draws error rates as ROC and DET curves, as SVG or as a picture: lines and words alone, which needs no drawing library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.face.given import Image
from kiosk.face.scoring import Scores

WIDTH: Final = 1240
HEIGHT: Final = 570
_PANEL: Final = 460
_TOP: Final = 70
_LEFTS: Final = (90, 710)
_TICKS: Final = (1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.5, 1.0)
_FLOOR: Final = 5e-5
"""Smaller rates are drawn here."""

_INK: Final = "#202020"
_PALE: Final = "#d8d8d8"
_CURVE: Final = "#1060b0"
_MARK: Final = "#c03020"


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, pixels from the upper left corner."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: int


@dataclass(frozen=True, slots=True)
class Text:
    """Words: where they begin (or, `middle`, their middle is), pixels."""

    x: float
    y: float
    words: str
    middle: bool = False


Drawing = Sequence[Line | Text]


@dataclass(frozen=True, slots=True)
class Marked:
    """A place on the curves to point at."""

    fmr: float
    fnmr: float
    name: str


def curves(title: str, fmr: Scores, fnmr: Scores, marks: Sequence[Marked]) -> Drawing:
    """Return both curves side by side.

    Args:
        title: stands above.
        fmr: false-match rates, rising.
        fnmr: false-non-match rate at each.
        marks: places to point at.
    """
    fmr, fnmr = np.append(0.0, fmr), np.append(1.0, fnmr)
    roc = _panel(_LEFTS[0], "ROC", ("false-match rate", "true-match rate"), _log, _straight, (fmr, 1 - fnmr))
    det = _panel(_LEFTS[1], "DET", ("false-match rate", "false-non-match rate"), _log, _log, (fmr, fnmr))
    drawn: list[Line | Text] = [Text(_LEFTS[0], 32, title), *roc, *det]
    for mark in marks:
        for left, upright, value in ((_LEFTS[0], _straight, 1 - mark.fnmr), (_LEFTS[1], _log, mark.fnmr)):
            x, y = left + _PANEL * _log(mark.fmr), _TOP + _PANEL * (1 - upright(value))
            drawn += [Line(((x - 5, y - 5), (x + 5, y + 5)), _MARK, 2), Line(((x - 5, y + 5), (x + 5, y - 5)), _MARK, 2)]
            drawn.append(Text(x + 9, y - 6 if left == _LEFTS[1] else y + 18, mark.name))
    return drawn


def svg(drawing: Drawing) -> str:
    """Return a drawing as an SVG element."""
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    for each in drawing:
        if isinstance(each, Line):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in each.points)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{each.colour}" stroke-width="{each.width}"/>')
        else:
            anchor = ' text-anchor="middle"' if each.middle else ""
            parts.append(f'<text x="{each.x:.1f}" y="{each.y:.1f}"{anchor} fill="{_INK}">{escape(each.words)}</text>')
    return "\n".join([*parts, "</svg>"])


def picture(drawing: Drawing) -> Image:
    """Return a drawing as a picture, (HEIGHT, WIDTH, 3) uint8, BGR."""
    image: Image = np.full((HEIGHT, WIDTH, 3), 255, dtype=np.uint8)
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    for each in drawing:
        if isinstance(each, Line):
            path: NDArray[np.int32] = (np.array(each.points) * 16).round().astype(np.int32)
            cv2.polylines(image, [path], False, _bgr(each.colour), each.width, cv2.LINE_AA, shift=4)
        else:
            width = cv2.getTextSize(each.words, font, size, 1)[0][0]
            start = (round(each.x - (width / 2 if each.middle else 0)), round(each.y))
            cv2.putText(image, each.words, start, font, size, _bgr(_INK), 1, cv2.LINE_AA)
    return image


def _panel(
    left: float,
    name: str,
    axes: tuple[str, str],
    across: Callable[[float], float],
    upright: Callable[[float], float],
    curve: tuple[Scores, Scores],
) -> Drawing:
    bottom, right = _TOP + _PANEL, left + _PANEL
    drawn: list[Line | Text] = [Text(left + 8, _TOP - 10, f"{name}: {axes[1]} over {axes[0]}")]
    for tick in _TICKS:
        x = left + _PANEL * across(tick)
        drawn += [Line(((x, _TOP), (x, bottom)), _PALE, 1), Text(x, bottom + 18, f"{tick:g}", middle=True)]
    for tick in _TICKS if upright is _log else tuple(step / 10 for step in range(11)):
        y = bottom - _PANEL * upright(tick)
        drawn += [Line(((left, y), (right, y)), _PALE, 1), Text(left - 28, y + 4, f"{tick:g}", middle=True)]
    corners = ((left, _TOP), (left, bottom), (right, bottom), (right, _TOP), (left, _TOP))
    places = [(left + _PANEL * across(x), bottom - _PANEL * upright(y)) for x, y in zip(*curve, strict=True)]
    return [*drawn, Line(corners, _INK, 1), Line(tuple(_steps(places)), _CURVE, 2)]


def _steps(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the path in steps, without points that nobody would see: between two observed scores neither rate changes."""
    path = [places[0]]
    for x, y in places[1:]:
        if abs(x - path[-1][0]) >= 0.5 or abs(y - path[-1][1]) >= 0.5:
            path += [(x, path[-1][1]), (x, y)]
    return path


def _log(value: float) -> float:
    return float((np.log10(max(value, _FLOOR)) - np.log10(_FLOOR)) / -np.log10(_FLOOR))


def _straight(value: float) -> float:
    return value


def _bgr(colour: str) -> tuple[int, int, int]:
    return int(colour[5:7], 16), int(colour[3:5], 16), int(colour[1:3], 16)
