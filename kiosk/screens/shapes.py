"""Shapes with curves, drawn once at four times their size, made smooth, and kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np
import pygame
from numpy.typing import NDArray
from pygame import SRCALPHA, Surface, draw

from kiosk.screens import theme
from kiosk.screens.layout import CardPlace, Rect
from kiosk.screens.pages import Sign, Way
from kiosk.screens.theme import Colour

_FINE: Final = 4
"""How much larger a shape is drawn than it is shown."""

Paint = Callable[[Surface, Colour], None]
"""Draws one layer in one colour, in fine px."""

_Point = tuple[float, float]


class Shapes:
    """Makes shapes and keeps them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Surface] = {}

    def box(self, canvas: Surface, rect: Rect, fill: Colour, border: Colour, radius: int = theme.RADIUS, thick: int = 2) -> None:
        """Draw a box with round corners."""
        self._round(canvas, rect, border, radius)
        inner = Rect(rect.x + thick, rect.y + thick, rect.width - 2 * thick, rect.height - 2 * thick)
        self._round(canvas, inner, fill, radius - thick)

    def disc(self, size: int, colour: Colour) -> Surface:
        """Return a disc of that diameter, px."""
        return self._keep(("disc", size, colour), lambda: _layers(size, size, (colour, partial(_disc, size=size))))

    def sign(self, sign: Sign, size: int, colour: Colour) -> Surface:
        """Return a sign, white on its ground, `size` px square."""
        ground = _triangle if sign is Sign.WARNING else partial(_disc, size=size)
        stroke = partial(_STROKES[sign], size=size * _FINE)
        return self._keep((sign, size, colour), lambda: _layers(size, size, (colour, ground), (theme.SHEET, stroke)))

    def turn(self, way: Way, size: int, colour: Colour) -> Surface:
        """Return an arrow on a disc, or a face for straight on, `size` px square."""
        if way is Way.STRAIGHT:
            return self.sign(Sign.PERSON, size, colour)
        arrow = partial(_turn, size=size * _FINE, way=way)
        disc = partial(_disc, size=size)
        return self._keep((way, size, colour), lambda: _layers(size, size, (colour, disc), (theme.SHEET, arrow)))

    def tick(self, size: int, colour: Colour) -> Surface:
        """Return a bare tick, `size` px square."""
        return self._keep(("tick", size, colour), lambda: _layers(size, size, (colour, partial(_tick, size=size * _FINE))))

    def reader(self, width: int, height: int, place: CardPlace, *, is_fault: bool) -> Surface:
        """Return the drawing of the reader with the card."""
        return self._keep((place, is_fault, width, height), lambda: self._reader(width, height, place, is_fault=is_fault))

    def oval(self, width: int, height: int, *, good: bool) -> Surface:
        """Return what lies over the camera's picture: a veil with an oval hole, its ring, and round corners."""
        return self._keep(("oval", width, height, good), lambda: _oval(width, height, theme.GOOD if good else theme.SHEET))

    def _reader(self, width: int, height: int, place: CardPlace, *, is_fault: bool) -> Surface:
        surface = _reader(width, height, place)
        if is_fault:
            badge = self.sign(Sign.WARNING, 112, theme.WAIT)
            surface.blit(badge, (round(width * 0.8) - 56, 0))
        return surface

    def _keep(self, key: tuple[object, ...], make: Callable[[], Surface]) -> Surface:
        surface = self._kept.get(key)
        if surface is None:
            # In the window's own format it is laid over the page several times as fast.
            surface = self._kept[key] = make().convert_alpha()
        return surface

    def _round(self, canvas: Surface, rect: Rect, colour: Colour, radius: int) -> None:
        radius = min(radius, rect.width // 2, rect.height // 2)
        canvas.fill(colour, (rect.x + radius, rect.y, rect.width - 2 * radius, rect.height))
        canvas.fill(colour, (rect.x, rect.y + radius, rect.width, rect.height - 2 * radius))
        disc = self.disc(2 * radius, colour)
        for right in (0, 1):
            for low in (0, 1):
                at = (rect.x + right * (rect.width - radius), rect.y + low * (rect.height - radius))
                canvas.blit(disc, at, (right * radius, low * radius, radius, radius))


def _layers(width: int, height: int, *layers: tuple[Colour, Paint]) -> Surface:
    """Lay single-coloured layers over each other; each is smoothed in its own colour, so that no edge turns dark."""
    result = Surface((width, height), SRCALPHA)
    for index, (colour, paint) in enumerate(layers):
        fine = Surface((width * _FINE, height * _FINE), SRCALPHA)
        fine.fill((*colour, 0))
        paint(fine, colour)
        smooth = pygame.transform.smoothscale(fine, (width, height))
        if index == 0:
            result = smooth
        else:
            result.blit(smooth, (0, 0))
    return result


def _disc(canvas: Surface, colour: Colour, size: int) -> None:
    half = size * _FINE / 2
    draw.circle(canvas, colour, (half, half), half)


def _path(canvas: Surface, colour: Colour, points: list[_Point], thick: float) -> None:
    """A thick line with round ends and joints."""
    for one, other in pairwise(points):
        along = np.subtract(other, one)
        aside = np.array((-along[1], along[0])) / np.hypot(*along) * thick / 2
        draw.polygon(
            canvas, colour, [np.add(one, aside), np.add(other, aside), np.subtract(other, aside), np.subtract(one, aside)]
        )
    for point in points:
        draw.circle(canvas, colour, point, thick / 2)


def _tick(canvas: Surface, colour: Colour, size: float) -> None:
    _path(canvas, colour, [(size * x, size * y) for x, y in ((0.28, 0.53), (0.44, 0.68), (0.73, 0.35))], size * 0.09)


def _cross(canvas: Surface, colour: Colour, size: float) -> None:
    near, far = size * 0.33, size * 0.67
    _path(canvas, colour, [(near, near), (far, far)], size * 0.09)
    _path(canvas, colour, [(far, near), (near, far)], size * 0.09)


def _clock(canvas: Surface, colour: Colour, size: float) -> None:
    draw.circle(canvas, colour, (size / 2, size / 2), size * 0.31, round(size * 0.07))
    _path(canvas, colour, [(size * x, size * y) for x, y in ((0.5, 0.33), (0.5, 0.51), (0.61, 0.58))], size * 0.06)


def _turn(canvas: Surface, colour: Colour, size: float, way: Way) -> None:
    """An arrow to the left or to the right."""
    shaft, head = ((0.76, 0.5), (0.26, 0.5)), ((0.46, 0.29), (0.25, 0.5), (0.46, 0.71))
    for stroke in (shaft, head):
        points = [(size * (x if way is Way.LEFT else 1 - x), size * y) for x, y in stroke]
        _path(canvas, colour, points, size * 0.1)


def _person(canvas: Surface, colour: Colour, size: float) -> None:
    draw.circle(canvas, colour, (size / 2, size * 0.37), size * 0.14)
    body = pygame.Rect(round(size * 0.25), round(size * 0.56), round(size * 0.5), round(size * 0.5))
    draw.circle(canvas, colour, body.center, body.width / 2, draw_top_left=True, draw_top_right=True)
    canvas.fill((*colour, 0), (body.x, round(size * 0.77), body.width, body.height))


def _triangle(canvas: Surface, colour: Colour) -> None:
    size = canvas.get_width()
    points = [(size * x, size * y) for x, y in ((0.5, 0.14), (0.92, 0.84), (0.08, 0.84))]
    draw.polygon(canvas, colour, points)
    _path(canvas, colour, [*points, points[0]], size * 0.1)


def _exclamation(canvas: Surface, colour: Colour, size: float) -> None:
    _path(canvas, colour, [(size / 2, size * 0.37), (size / 2, size * 0.6)], size * 0.09)
    draw.circle(canvas, colour, (size / 2, size * 0.74), size * 0.052)


_STROKES: Final = {Sign.TICK: _tick, Sign.CROSS: _cross, Sign.CLOCK: _clock, Sign.PERSON: _person, Sign.WARNING: _exclamation}


def _reader(width: int, height: int, place: CardPlace) -> Surface:
    """The reader seen from the front and above, the card over it or on it, and what is going on."""
    on = place is CardPlace.READING
    top = height * (0.45 if on else 0.08)
    card = (width * 0.2, top, width * 0.6, width * 0.378)
    layers: list[tuple[Colour, Paint]] = [
        (theme.LINE, partial(_plate, box=(width * 0.03, height * 0.56, width * 0.94, height * 0.4), radius=30)),
        (theme.DIM, partial(_plate, box=(width * 0.045, height * 0.575, width * 0.91, height * 0.36), radius=25)),
        (theme.SHEET, partial(_plate, box=(width * 0.14, height * 0.62, width * 0.72, height * 0.26), radius=16)),
        (theme.ACTION, partial(_plate, box=card, radius=14)),
        (theme.SHEET, partial(_print, card=card)),
    ]
    x, size = width / 2, width * 0.1
    match place:
        case CardPlace.TO_PUT_DOWN:
            layers.append((theme.ACTION, partial(_arrow, x=x, y=height * 0.52, size=size)))
        case CardPlace.READING:
            layers.append((theme.ACTION, partial(_waves, x=x, y=height * 0.4, size=size)))
        case CardPlace.TO_LIFT:
            layers.append((theme.ACTION, partial(_arrow, x=x, y=height * 0.52, size=-size)))
    return _layers(width, height, *layers)


def _plate(canvas: Surface, colour: Colour, box: tuple[float, float, float, float], radius: int) -> None:
    draw.rect(canvas, colour, [round(v * _FINE) for v in box], border_radius=radius * _FINE)


def _print(canvas: Surface, colour: Colour, card: tuple[float, float, float, float]) -> None:
    """A portrait and lines of text, as on the front of the card."""
    x, y, width, height = card
    for share, length in ((0.2, 0.22), (0.36, 0.34), (0.52, 0.3), (0.76, 0.44)):
        _plate(canvas, colour, (x + width * 0.09, y + height * share, width * length, height * 0.07), radius=4)
    middle = (x + width * 0.77) * _FINE
    draw.circle(canvas, colour, (middle, (y + height * 0.34) * _FINE), width * 0.075 * _FINE)
    shoulders = width * 0.12 * _FINE
    draw.circle(canvas, colour, (middle, (y + height * 0.72) * _FINE), shoulders, draw_top_left=True, draw_top_right=True)


def _arrow(canvas: Surface, colour: Colour, x: float, y: float, size: float) -> None:
    """A chevron that points down onto the reader, or up from it where `size` is negative."""
    points = [((x + dx * size) * _FINE, (y + dy * size) * _FINE) for dx, dy in ((-0.5, -0.22), (0, 0.22), (0.5, -0.22))]
    _path(canvas, colour, points, abs(size) * 0.2 * _FINE)


def _waves(canvas: Surface, colour: Colour, x: float, y: float, size: float) -> None:
    """Arcs going up from the card: it is being read."""
    for ring in (0.6, 1.2, 1.8):
        angles = np.linspace(-np.pi * 0.72, -np.pi * 0.28, 24)
        points = [((x + np.cos(a) * ring * size) * _FINE, (y + np.sin(a) * ring * size) * _FINE) for a in angles]
        _path(canvas, colour, points, size * 0.17 * _FINE)


def _oval(width: int, height: int, ring: Colour) -> Surface:
    """The face oval, 3:4, as alpha over the picture; edges from the signed distance, so that they are smooth."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    half_height = height * 0.44
    a, b = half_height * 0.75, half_height
    u, v = (x - width / 2) / a, (y - height * 0.5) / b
    distance = (np.hypot(u, v) - 1) * np.hypot(u, v) / np.maximum(np.hypot(u / a, v / b), 1e-6)
    corner = (
        np.hypot(np.maximum(abs(x - width / 2) - width / 2 + 24, 0), np.maximum(abs(y - height / 2) - height / 2 + 24, 0)) - 24
    )
    picture = np.zeros((height, width, 4), np.uint8)
    _over(picture, theme.PAGE, 0.62 * np.clip(distance + 0.5, 0, 1))
    _over(picture, ring, np.clip(4.5 - abs(distance), 0, 1))
    _over(picture, theme.PAGE, np.clip(corner + 0.5, 0, 1))
    return pygame.image.frombytes(picture.tobytes(), (width, height), "RGBA")


def _over(picture: NDArray[np.uint8], colour: Colour, alpha: NDArray[np.float32]) -> None:
    """Lay a colour over an RGBA picture."""
    below = picture[..., 3] / 255 * (1 - alpha)
    total = np.maximum(alpha + below, 1e-6)
    for channel, value in enumerate(colour):
        picture[..., channel] = np.round((value * alpha + picture[..., channel] * below) / total)
    picture[..., 3] = np.round(255 * (alpha + below))
