"""The challenge: turn the head to sides nobody can foresee, each in its time, and be one and the same face all along.

A state machine without clock or camera of its own: it is told when a prompt was shown and what each frame gave. LEFT and RIGHT
are the person's own, and also what they see in the mirrored preview: to turn left is to bring the nose to the left of the screen
as to the left of the body; in the camera's picture, which is not mirrored, it goes to the right (`Glimpse.yaw_deg` above 0).

Turns count from how the head was held in the straight frames: a face is not quite even, nor is a photograph quite straight.
A turn counts only where frames show the way to it, and so does the way back: still pictures of every turn, changed as asked,
lack it (`way`). A film of somebody else's challenge has it, and fits by chance in one of 2 to the power of the turns, each try.
Who is seen straight again must still be the one of the portrait, by the mean of those frames and the thresholds in force.
"""

from __future__ import annotations

import math
import random
import secrets
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kiosk.face import planarity
from kiosk.face.continuity import Continuity
from kiosk.face.decision import decided
from kiosk.face.planarity import Shape
from kiosk.face.result import Ask, Glimpse, LivenessCause
from kiosk.face.way import Way
from models.spec import BandSpec, LivenessSpec
from sync_agent.contract.kinds import Liveness, LivenessCheck, Outcome

HELD: Final = 5
"""Frames in which a head is to be turned: a planarity test takes as many (measured: median of five)."""

BACK: Final = 3
"""Frames in which it is to look straight again."""

STRAYED: Final = 2
"""From so many frames on a turn to the other side is one; a single one may be a mistake of the points."""

STRANGE: Final = 2
"""From so many frames in a row on a face that is too unlike is another; a single one may be a turned head's bad moment. It counts
for nothing all the same."""

EVERY_CHECK: Final = frozenset(LivenessCheck)


def drawn(turns: int, source: random.Random | None = None) -> tuple[Ask, ...]:
    """Return the sides to turn to, which nobody can foresee.

    Args:
        turns: how many.
        source: where chance comes from; absent takes the system's.
    """
    chance = source or secrets.SystemRandom()
    return tuple(chance.choice((Ask.LEFT, Ask.RIGHT)) for _ in range(turns))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a liveness test came to.

    Attributes:
        liveness: how it ended.
        checks: which ran, held or not.
        cause: why it failed, or None.
    """

    liveness: Liveness
    checks: tuple[LivenessCheck, ...]
    cause: LivenessCause | None = None


class Challenge:
    """One challenge, from its first prompt to its end. Times are monotonic seconds.

    Attributes:
        cause: why it failed; None while it has not.
    """

    cause: LivenessCause | None

    def __init__(
        self,
        sides: tuple[Ask, ...],
        spec: LivenessSpec,
        band: BandSpec,
        deadline_s: float,
        track: Continuity,
        straight: Sequence[Glimpse],
        checks: frozenset[LivenessCheck] = EVERY_CHECK,
    ) -> None:
        """Begin with the first side; its time begins with `shown`.

        Args:
            sides: to turn to, one after the other; after each the head comes back.
            spec: how far, and what else is tested.
            band: what the frames of coming back are held against, as the straight ones before were.
            deadline_s: from the prompt to the turn, and again for coming back.
            track: of the face, as the straight frames left it.
            straight: the frames that decided who it is.
            checks: which of them may fail it; an evaluation leaves some out to learn what each is worth.
        """
        self._asks = tuple(ask for side in sides for ask in (side, Ask.STRAIGHT))
        self._spec = spec
        self._band = band
        self._deadline_s = deadline_s
        self._track = track
        self._checks = checks
        self._step = 0
        self._shown_at = math.inf
        self._good = 0
        self._strayed = 0
        self._strange = 0
        self._way = Way(spec.turn_deg)
        self._held: list[float] = []
        self._back: list[Glimpse] = []
        self._straight: list[Shape] = []
        self._turned: list[Shape] = []
        self._certain: list[float] = []
        for glimpse in straight:
            self._keep(glimpse, Ask.STRAIGHT)
        held = [glimpse.yaw_deg for glimpse in straight if glimpse.yaw_deg is not None]
        middle = statistics.fmean(held) if held else 0.0
        self._ahead_deg = min(max(middle, -spec.straight_deg), spec.straight_deg)
        self.cause = None if self._asks else self._lifeless()

    @property
    def is_over(self) -> bool:
        """Whether it failed or every turn was seen."""
        return self.cause is not None or self._step == len(self._asks)

    @property
    def ask(self) -> Ask:
        """What the person is to do now."""
        return Ask.STRAIGHT if self.is_over else self._asks[self._step]

    @property
    def progress(self) -> float:
        """How much of it is done, 0 to 1."""
        return min(1.0, (self._step + self._good / self._wanted) / max(1, len(self._asks)))

    def shown(self, at: float) -> None:
        """Begin the time of the prompt that is shown now. What frames showed before is no answer to it."""
        self._shown_at = at

    def tick(self, at: float) -> None:
        """Fail where the time is over, also when no frame comes any more. That a face was lost only frames can tell."""
        if not self.is_over:
            self.cause = self._late(at)

    def add(self, glimpse: Glimpse, at: float) -> bool:
        """Judge a frame; return whether the prompt changed, which then is to be shown.

        Args:
            glimpse: what it gave.
            at: when it was taken.
        """
        if self.is_over:
            return False
        self.cause = self._of(LivenessCheck.CONTINUITY, self._track.add(glimpse, at))
        self.cause = self.cause or self._stranger(glimpse) or self._late(at)
        if self.cause or self._strange or glimpse.plain is None or glimpse.yaw_deg is None or at < self._shown_at:
            return False
        yaw_deg = _towards(self._side, glimpse.yaw_deg - self._ahead_deg)
        self.cause = self._astray(yaw_deg)
        if self.cause or not self._follows(glimpse, yaw_deg):
            return False
        self._keep(glimpse, self.ask)
        if self.ask is Ask.STRAIGHT:
            self._back.append(glimpse)
        else:
            self._held.append(yaw_deg)
        self._good += 1
        if self._good < self._wanted:
            return False
        self._next()
        if self.is_over:
            self.cause = self._changed() or self._flat() or self._lifeless()
        return True

    def verdict(self) -> Verdict:
        """Return how it ended, or would if it ended now."""
        ran = {LivenessCheck.CHALLENGE, LivenessCheck.IDENTITY, LivenessCheck.CONTINUITY} if self._asks else set()
        if self._residual() is not None:
            ran.add(LivenessCheck.PLANARITY)
        if self._spec.passive and self._certain:
            ran.add(LivenessCheck.PASSIVE)
        return Verdict(self._liveness(ran), tuple(check for check in LivenessCheck if check in ran & self._checks), self.cause)

    def _liveness(self, ran: set[LivenessCheck]) -> Liveness:
        if self.cause:
            return Liveness.FAILED
        if not self._asks:
            return Liveness.NOT_RUN
        is_more = ran & self._checks & {LivenessCheck.PLANARITY, LivenessCheck.PASSIVE}
        return Liveness.PASSED if is_more else Liveness.CHALLENGE_ONLY

    # --- what may fail it ---------------------------------------------------------------------------------------------

    def _of(self, check: LivenessCheck, cause: LivenessCause | None) -> LivenessCause | None:
        return cause if check in self._checks else None

    def _late(self, at: float) -> LivenessCause | None:
        is_late = at - self._shown_at > self._deadline_s
        return self._of(LivenessCheck.CHALLENGE, LivenessCause.LATE if is_late else None)

    def _stranger(self, glimpse: Glimpse) -> LivenessCause | None:
        """Return that somebody else is seen; frames that cannot be compared neither show nor hide it."""
        if glimpse.plain is not None and LivenessCheck.IDENTITY in self._checks:
            self._strange = self._strange + 1 if glimpse.plain > self._spec.identity_at else 0
        return LivenessCause.STRANGER if self._strange >= STRANGE else None

    def _changed(self) -> LivenessCause | None:
        """Return that who came back is not, by the frames that show it, who the portrait shows, or is the other of a chain."""
        outcome, _ = decided(self._back, self._band)
        is_same = outcome in (Outcome.MATCH, Outcome.REVIEW)
        return self._of(LivenessCheck.IDENTITY, None if is_same else LivenessCause.STRANGER)

    def _astray(self, yaw_deg: float) -> LivenessCause | None:
        """Return that the head is turned to the side that is neither asked for nor to be come back from."""
        is_astray = yaw_deg <= -self._spec.turn_deg
        self._strayed = self._strayed + 1 if is_astray else 0
        return self._of(LivenessCheck.CHALLENGE, LivenessCause.OTHER_SIDE if self._strayed >= STRAYED else None)

    def _flat(self) -> LivenessCause | None:
        limit, found = self._spec.planarity, self._residual()
        is_flat = limit is not None and found is not None and found < limit.residual_at
        return self._of(LivenessCheck.PLANARITY, LivenessCause.FLAT if is_flat else None)

    def _lifeless(self) -> LivenessCause | None:
        model, certain = self._spec.passive, self._certain
        is_lifeless = model is not None and bool(certain) and statistics.fmean(certain) < model.pass_at
        return self._of(LivenessCheck.PASSIVE, LivenessCause.LIFELESS if is_lifeless else None)

    # --- what was seen ------------------------------------------------------------------------------------------------

    @property
    def _wanted(self) -> int:
        return BACK if self.ask is Ask.STRAIGHT else HELD

    @property
    def _side(self) -> Ask:
        """The side that is asked for, or that is to be come back from."""
        return self._asks[self._step - self._step % 2]

    def _next(self) -> None:
        """Go on to the next prompt, whose time begins when it is shown."""
        is_turn = self.ask is not Ask.STRAIGHT
        self._way = Way(self._spec.turn_deg, statistics.median(self._held) if is_turn else None)
        self._step, self._good, self._strayed, self._shown_at = self._step + 1, 0, 0, math.inf
        self._held.clear()

    def _follows(self, glimpse: Glimpse, yaw_deg: float) -> bool:
        """Return whether the head is held as asked and came there as heads do; without that check it is held as it likes."""
        is_fit = self.ask is not Ask.STRAIGHT or glimpse.cause is None
        if LivenessCheck.CHALLENGE not in self._checks:
            return is_fit
        is_seen = self._way.leads_to(yaw_deg) or LivenessCheck.CONTINUITY not in self._checks
        self._way.add(yaw_deg)
        if self.ask is Ask.STRAIGHT:
            return is_seen and is_fit and abs(yaw_deg) <= self._spec.straight_deg
        return is_seen and yaw_deg >= self._spec.turn_deg

    def _keep(self, glimpse: Glimpse, ask: Ask) -> None:
        if glimpse.passive is not None:
            self._certain.append(glimpse.passive)
        box = glimpse.box
        if box is not None and glimpse.points:  # by the box, which is square, for frames are not
            shape = tuple(((x - box.x) / box.width, (y - box.y) / box.height) for x, y in glimpse.points)
            (self._straight if ask is Ask.STRAIGHT else self._turned).append(shape)

    def _residual(self) -> float | None:
        return planarity.residual(self._straight, self._turned) if self._spec.planarity else None


def _towards(side: Ask, yaw_deg: float) -> float:
    """Return how far a head is turned to a side, degrees; below 0 when to the other."""
    return yaw_deg if side is Ask.LEFT else -yaw_deg
