"""From fingers and mouse to one finger on one control: acts on release inside the control that was pressed.

Finger positions outside 0..1 have been reported under KMSDRM (SDL issue 14947): they are rejected, the last good position holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import pygame
from pygame.event import Event

from kiosk.screens.layout import Scene, Touchable, touchables

LOCK_S: Final = 0.25
"""How long a new page ignores presses, so that a double tap does not press the next page's button."""
HELD_TOO_LONG_S: Final = 10.0
"""After this a finger whose release was never reported is forgotten when the next one comes."""

_MOUSE: Final = -1


class Motion(Enum):
    """What a finger does."""

    DOWN = "down"
    MOVE = "move"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Contact:
    """A finger at a place.

    Attributes:
        motion: what it does.
        finger: which; the mouse is a finger of its own.
        x: px from the left; None where the position cannot be believed.
        y: px from the top; None with `x`.
    """

    motion: Motion
    finger: int
    x: float | None
    y: float | None


_FINGERS: Final = {pygame.FINGERDOWN: Motion.DOWN, pygame.FINGERMOTION: Motion.MOVE, pygame.FINGERUP: Motion.UP}
_BUTTONS: Final = {pygame.MOUSEBUTTONDOWN: Motion.DOWN, pygame.MOUSEMOTION: Motion.MOVE, pygame.MOUSEBUTTONUP: Motion.UP}


def contact(event: Event, width: int, height: int) -> Contact | None:
    """Return what a pygame event says of a finger, or None.

    Mouse events that SDL makes of touches are dropped: otherwise each tap would count twice.

    Args:
        event: any event.
        width: of the window, px; finger positions are fractions of it.
        height: of the window, px.
    """
    if event.type in _FINGERS:
        if not (0 <= event.x <= 1 and 0 <= event.y <= 1):
            return Contact(_FINGERS[event.type], event.finger_id, None, None)
        # The far edge belongs to the last pixel.
        return Contact(_FINGERS[event.type], event.finger_id, min(event.x * width, width - 1), min(event.y * height, height - 1))
    if event.type in _BUTTONS and not event.touch and getattr(event, "button", 1) == 1:
        return Contact(_BUTTONS[event.type], _MOUSE, *map(float, event.pos))
    return None


class Press:
    """One finger on one control."""

    def __init__(self) -> None:
        self._finger: int | None = None
        self._since = 0.0
        self._control: Touchable | None = None
        self._inside = False
        self._locked_until = 0.0

    @property
    def control(self) -> Touchable | None:
        """The control to be drawn pressed, or None."""
        return self._control if self._inside else None

    @property
    def locked_until(self) -> float:
        """Monotonic seconds until which presses are ignored."""
        return self._locked_until

    def lock(self, now: float) -> None:
        """Another page stands: forget the finger and ignore presses for a moment."""
        self.forget()
        self._locked_until = now + LOCK_S

    def forget(self) -> None:
        """Forget the finger; its release will do nothing."""
        self._finger = self._control = None
        self._inside = False

    def take(self, contact: Contact, scene: Scene, now: float) -> Touchable | None:
        """Follow a finger.

        Args:
            contact: what it does.
            scene: what stands on the screen.
            now: monotonic seconds.

        Returns:
            the control that it pressed and was lifted from, else None.
        """
        if contact.motion is Motion.DOWN:
            self._down(contact, scene, now)
            return None
        if contact.finger != self._finger or self._control is None:
            return None
        if contact.x is not None and contact.y is not None:
            self._inside = self._control.rect.has(contact.x, contact.y)
        if contact.motion is Motion.MOVE:
            return None
        pressed = self.control
        self.forget()
        return pressed

    def _down(self, contact: Contact, scene: Scene, now: float) -> None:
        held = self._finger is not None and contact.finger != self._finger and now - self._since < HELD_TOO_LONG_S
        if held or now < self._locked_until or contact.x is None or contact.y is None:
            return
        self.forget()
        for control in touchables(scene):
            if control.is_enabled and control.rect.has(contact.x, contact.y):
                self._finger, self._since, self._control, self._inside = contact.finger, now, control, True
