"""What can go wrong with the screen itself: permanent faults, each with what to do about it."""

from __future__ import annotations

from typing import ClassVar


class ScreenFault(Exception):
    """The screen cannot do its work. The text is for the log and for staff and holds nothing personal.

    Attributes:
        code: stable short code for staff.
    """

    code: ClassVar[str] = "SCREEN-00"

    def __init__(self, text: str) -> None:
        super().__init__(f"{self.code}: {text}")


class DisplayMissing(ScreenFault):
    """No window could be opened, or there is no layout for its size."""

    code = "SCREEN-01"


class FontMissing(ScreenFault):
    """A font file is missing or is not the one it should be."""

    code = "SCREEN-02"


class MessageFault(ScreenFault):
    """A text was asked for that the message files do not have, or without what it needs."""

    code = "SCREEN-03"
