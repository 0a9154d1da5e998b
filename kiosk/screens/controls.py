"""How each control is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import cos, pi, sin
from typing import Final

import pygame
from pygame import Surface

from kiosk.screens import layout, theme
from kiosk.screens.ink import Ink
from kiosk.screens.layout import (
    Bar,
    Button,
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
from kiosk.screens.pages import Outline
from kiosk.screens.shapes import Shapes
from kiosk.screens.theme import Colour, Look

SPINNER_STEPS: Final = 12
"""Positions of the moving sign in one turn."""
_CORNER: Final = 5
"""Thickness of the marks at the corners of a face, px."""
_POINT: Final = 3
"""Radius of a point of a face, px."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What changes while the same scene stands.

    Attributes:
        pressed: the control under the finger, or None.
        spinner: position of the moving sign, 0 to SPINNER_STEPS - 1.
        picture: the camera's picture, or None.
    """

    pressed: Control | None = None
    spinner: int = 0
    picture: Surface | None = None


class Brush:
    """Draws scenes on one surface."""

    def __init__(self, canvas: Surface, ink: Ink, shapes: Shapes) -> None:
        self._canvas = canvas
        self._ink = ink
        self._shapes = shapes

    def clear(self) -> None:
        """Fill everything with the page's colour."""
        self._canvas.fill(theme.PAGE)

    def scene(self, scene: Scene, moment: Moment) -> None:
        """Draw everything anew."""
        self.clear()
        for control in scene:
            self.control(control, moment)

    def control(self, control: Control, moment: Moment) -> None:
        """Draw one control over what is there."""
        rect = control.rect
        match control:
            case Sheet():
                self._shapes.box(self._canvas, rect, control.fill, control.border)
            case Label():
                self._words(control.words, rect, control.colour, centred=control.centred)
            case Button():
                self._button(control, is_pressed=control == moment.pressed)
            case TickBox():
                self._tick_box(control, is_pressed=control == moment.pressed)
            case Step():
                self._step(control)
            case Mark():
                self._put(self._shapes.sign(control.sign, rect.width, control.colour), rect)
            case Lamp():
                self._lamp(control)
            case Preview():
                self._preview(control, moment.picture)
            case Turn():
                self._put(self._shapes.turn(control.way, rect.width, theme.ACTION), rect)
            case Bar():
                self._bar(control)
            case Countdown():
                self._countdown(control)
            case Spinner():
                self._spinner(rect, moment.spinner)
            case Reader():
                self._put(self._shapes.reader(rect.width, rect.height, control.place, is_fault=control.is_fault), rect)
            case Code():
                self._code(control)
            case _:
                raise TypeError(f"nobody draws {type(control).__name__}")

    def _put(self, surface: Surface, rect: Rect) -> None:
        self._canvas.blit(surface, (rect.x, rect.y))

    def _words(self, words: layout.Words, rect: Rect, colour: Colour, *, centred: bool = False) -> None:
        y = rect.y
        for line in words.lines:
            surface = self._ink.line(line, words.style, colour, personal=words.is_personal)
            x = rect.x + (rect.width - surface.get_width()) // 2 if centred else rect.x
            self._canvas.blit(surface, (x, y))
            y += words.style.line_height

    def _words_in(self, words: layout.Words, rect: Rect, colour: Colour, *, centred: bool) -> None:
        """Set a text in the middle of the height of its box."""
        self._words(
            words, Rect(rect.x, rect.y + (rect.height - words.height) // 2, rect.width, words.height), colour, centred=centred
        )

    def _button(self, button: Button, *, is_pressed: bool) -> None:
        look = button.look
        self._shapes.box(self._canvas, button.rect, look.pressed if is_pressed else look.fill, look.border)
        self._words_in(button.words, button.rect, look.words, centred=True)

    def _tick_box(self, box: TickBox, *, is_pressed: bool) -> None:
        rect, size = box.rect, 48
        border = theme.ACTION if box.is_ticked else theme.QUIET
        self._shapes.box(
            self._canvas, rect, Look.PLAIN.pressed if is_pressed else theme.SHEET, border if box.is_ticked else theme.LINE
        )
        square = Rect(rect.x + 24, rect.y + (rect.height - size) // 2, size, size)
        self._shapes.box(self._canvas, square, theme.ACTION if box.is_ticked else theme.SHEET, border, radius=10, thick=3)
        if box.is_ticked:
            self._put(self._shapes.tick(size, theme.SHEET), square)
        self._words_in(box.words, Rect(rect.x + 96, rect.y, rect.width - 112, rect.height), theme.INK, centred=False)

    def _step(self, step: Step) -> None:
        rect = step.rect
        disc = Rect(rect.x, rect.y + 2, 44, 44)
        colour = theme.ACTION if step.is_current else theme.GOOD if step.is_done else theme.DIM
        self._put(self._shapes.disc(disc.width, colour), disc)
        if step.is_done:
            self._put(self._shapes.tick(disc.width, theme.SHEET), disc)
        else:
            number = self._ink.line(str(step.number), theme.SMALL_BOLD, theme.SHEET if step.is_current else theme.QUIET)
            self._canvas.blit(number, (disc.x + (44 - number.get_width()) // 2, disc.y + (44 - number.get_height()) // 2))
        ink = theme.INK if step.is_current else theme.QUIET
        self._words_in(step.words, Rect(rect.x + 56, rect.y, rect.width - 56, rect.height), ink, centred=False)

    def _lamp(self, lamp: Lamp) -> None:
        rect, size = lamp.rect, 48
        colour = theme.GOOD if lamp.is_lit else theme.LINE
        self._shapes.box(self._canvas, rect, theme.SHEET, colour, thick=3 if lamp.is_lit else 2)
        place = Rect(rect.x + 20, rect.y + (rect.height - size) // 2, size, size)
        self._put(self._shapes.disc(size, colour), place)
        if lamp.is_lit:
            self._put(self._shapes.tick(size, theme.SHEET), place)
        else:
            inner = Rect(place.x + 3, place.y + 3, size - 6, size - 6)
            self._put(self._shapes.disc(size - 6, theme.SHEET), inner)
        ink = theme.GOOD if lamp.is_lit else theme.QUIET
        self._words_in(lamp.words, Rect(rect.x + 84, rect.y, rect.width - 92, rect.height), ink, centred=False)

    def _preview(self, preview: Preview, picture: Surface | None) -> None:
        rect = preview.rect
        if picture is None:
            self._canvas.fill(theme.DIM, (rect.x, rect.y, rect.width, rect.height))
        else:
            if picture.get_size() != (rect.width, rect.height):
                picture = pygame.transform.scale(picture, (rect.width, rect.height))
            self._put(picture, rect)
        self._put(self._shapes.oval(rect.width, rect.height, good=preview.is_good), rect)
        if preview.outline is not None:
            self._outline(preview.outline, rect)

    def _outline(self, outline: Outline, rect: Rect) -> None:
        """Mark the corners of the face and its points: enough to see that one is seen, little enough to see oneself."""
        colour = theme.GOOD if outline.is_good else theme.SHEET
        left, right = (rect.x + round(share * rect.width) for share in (outline.left, outline.right))
        top, bottom = (rect.y + round(share * rect.height) for share in (outline.top, outline.bottom))
        arm = max(2 * _CORNER, min(right - left, bottom - top) // 6)
        self._canvas.set_clip((rect.x, rect.y, rect.width, rect.height))
        for x, to in ((left, arm), (right, -arm)):
            for y, on in ((top, arm), (bottom, -arm)):
                pygame.draw.lines(self._canvas, colour, False, [(x + to, y), (x, y), (x, y + on)], _CORNER)
        for across, down in outline.points:
            at = (rect.x + across * rect.width, rect.y + down * rect.height)
            pygame.draw.circle(self._canvas, colour, at, _POINT)
        self._canvas.set_clip(None)

    def _bar(self, bar: Bar) -> None:
        rect = bar.rect
        self._canvas.fill(theme.PAGE, (rect.x, rect.y, rect.width, rect.height))
        self._shapes.box(self._canvas, rect, theme.DIM, theme.DIM, radius=rect.height // 2)
        filled = round(rect.width * min(1.0, max(0.0, bar.progress)))
        if filled >= rect.height:
            self._shapes.box(
                self._canvas, Rect(rect.x, rect.y, filled, rect.height), bar.colour, bar.colour, radius=rect.height // 2
            )

    def _countdown(self, count: Countdown) -> None:
        rect = count.rect
        self._put(self._shapes.disc(rect.width, theme.ACTION), rect)
        inner = Rect(rect.x + 8, rect.y + 8, rect.width - 16, rect.height - 16)
        self._put(self._shapes.disc(inner.width, theme.SHEET), inner)
        number = self._ink.line(str(count.seconds), theme.COUNT, theme.ACTION)
        at = (rect.x + (rect.width - number.get_width()) // 2, rect.y + (rect.height - number.get_height()) // 2)
        self._canvas.blit(number, at)

    def _code(self, code: Code) -> None:
        """Draw a QR code in whole pixels, in the middle of its place: four squares around it stay white (ISO/IEC 18004)."""
        rows, rect = code.squares.rows, code.rect
        size = min(rect.width, rect.height) // (len(rows) + 8)
        left, top = (rect.x + (rect.width - size * len(rows)) // 2, rect.y + (rect.height - size * len(rows)) // 2)
        self._canvas.fill(theme.SHEET, (rect.x, rect.y, rect.width, rect.height))
        for y, row in enumerate(rows):
            x = 0
            for is_dark, run in groupby(row):
                width = len(list(run))
                if is_dark:
                    self._canvas.fill(theme.INK, (left + x * size, top + y * size, width * size, size))
                x += width

    def _spinner(self, rect: Rect, step: int) -> None:
        dot = max(6, rect.width // 8)
        reach = (rect.width - dot) / 2
        self._canvas.fill(theme.PAGE, (rect.x, rect.y, rect.width, rect.height))
        for index in range(SPINNER_STEPS):
            angle = 2 * pi * index / SPINNER_STEPS
            age = (step - index) % SPINNER_STEPS
            colour = _between(theme.ACTION, theme.DIM, min(1.0, age / (SPINNER_STEPS - 3)))
            x = rect.x + rect.width / 2 + reach * sin(angle) - dot / 2
            y = rect.y + rect.height / 2 - reach * cos(angle) - dot / 2
            self._canvas.blit(self._shapes.disc(dot, colour), (round(x), round(y)))


def _between(one: Colour, other: Colour, share: float) -> Colour:
    return Colour(*(round(a + (b - a) * share) for a, b in zip(one, other, strict=True)))
