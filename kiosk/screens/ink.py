"""Text as pictures, kept so that no frame draws it anew: fixed messages for good, personal ones for the visit."""

from __future__ import annotations

from pygame import Surface

from kiosk.screens.fonts import Fonts
from kiosk.screens.theme import Colour, Style

_Key = tuple[str, Style, Colour]


class Ink:
    """Two caches of rendered lines."""

    def __init__(self, fonts: Fonts) -> None:
        self._fonts = fonts
        self._fixed: dict[_Key, Surface] = {}
        self._personal: dict[_Key, Surface] = {}

    def line(self, text: str, style: Style, colour: Colour, *, personal: bool = False) -> Surface:
        """Return one line of text as a transparent surface.

        Args:
            text: as it is to be read.
            style: how it is set.
            colour: of the letters.
            personal: whether something of this visit is in it.
        """
        kept = self._personal if personal else self._fixed
        key = (text, style, colour)
        surface = kept.get(key)
        if surface is None:
            surface = kept[key] = self._fonts.render(text, style, colour)
        return surface

    def forget(self) -> None:
        """Blacken and drop everything personal."""
        for surface in self._personal.values():
            surface.fill((0, 0, 0, 0))
        self._personal.clear()
