"""What the visitor sees of a comparison while it goes on: from its steps to pages, one thing to do at a time."""

from __future__ import annotations

from typing import Final

from kiosk.clock import Clock
from kiosk.face.result import Ask, Glimpse, QualityCause, Step
from kiosk.screens.pages import GOOD_HINT, Face, Outline, Prompt, Text, Touch, Way

BEGIN: Final = Step(ask=Ask.STRAIGHT, glimpse=None, progress=0.0)
"""How a comparison stands before the first frame."""

_WAYS: Final = {Ask.STRAIGHT: Way.STRAIGHT, Ask.LEFT: Way.LEFT, Ask.RIGHT: Way.RIGHT}


class Looking:
    """The pages of one comparison."""

    def __init__(self, clock: Clock, *, turn_s: float, may_be_asked: bool, is_gentle: bool) -> None:
        """Begin.

        Args:
            clock: for the time that is left.
            turn_s: how long the person has for each movement, seconds.
            may_be_asked: whether a challenge can come.
            is_gentle: whether the person cannot turn their head and will not be asked to (P15).
        """
        self._clock = clock
        self._turn_s = turn_s
        self._note = Text("face.gentle" if is_gentle else "face.private")
        self._offers = (Touch.LEAVE, Touch.GENTLE, Touch.HELP) if may_be_asked and not is_gentle else (Touch.LEAVE, Touch.HELP)
        self._ask = Ask.STRAIGHT
        self._asked_at: float | None = None

    def page(self, step: Step) -> Face:
        """Return what is to be shown now."""
        if step.ask is not self._ask:
            self._ask, self._asked_at = step.ask, self._clock.monotonic()
        prompt = self._prompt()
        return Face(
            hint=_hint(step.glimpse, prompt),
            progress=step.progress,
            prompt=prompt,
            outline=None if step.glimpse is None else _outline(step.glimpse, is_turning=prompt is not None),
            note=self._note,
            offers=self._offers,
        )

    def _prompt(self) -> Prompt | None:
        """Return the movement that is asked for. Looking straight ahead is one only after a turn."""
        if self._asked_at is None:
            return None
        passed_s = self._clock.monotonic() - self._asked_at
        return Prompt(_WAYS[self._ask], max(0.0, 1.0 - passed_s / self._turn_s))


def _hint(glimpse: Glimpse | None, prompt: Prompt | None) -> Text:
    """Return the one thing to do: what is asked for, but for what would break it off."""
    cause = QualityCause.NO_FACE if glimpse is None else glimpse.cause
    if prompt is not None and cause is not QualityCause.TWO_FACES:
        return Text(f"face.ask.{prompt.way}")
    return Text(f"face.hint.{cause}" if cause else GOOD_HINT)


def _outline(glimpse: Glimpse, *, is_turning: bool) -> Outline | None:
    """Return where the face is in the mirrored preview, which shows what the frame shows: both are 4 to 3."""
    box = glimpse.box
    if box is None:
        return None
    return Outline(
        left=1 - box.x - box.width,
        top=box.y,
        right=1 - box.x,
        bottom=box.y + box.height,
        points=tuple((1 - x, y) for x, y in glimpse.points),
        is_good=glimpse.cause is None or (is_turning and glimpse.cause is QualityCause.TURNED),
    )
