"""The decision: several good frames in a row against the chip portrait, in bands, within a deadline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from kiosk.clock import Clock
from kiosk.face.given import Eyes, Likeness, Pictured
from kiosk.face.result import FaceFault, Glimpse, QualityCause
from models.load import Pack
from sync_agent.contract.kinds import Comparison, Liveness, Outcome

POLL_S: Final = 0.015
"""How often the camera is asked for a new frame while none was judged, seconds."""

_BREAKS: Final = frozenset({QualityCause.NO_FACE, QualityCause.TWO_FACES})
"""After these somebody else may stand there: what was gathered no longer counts."""

OnGlimpse = Callable[[Glimpse | None, float], None]
"""Told of each frame that was judged, and how far the decision is, 0 to 1."""


class Judge(Protocol):
    """Whoever judges frames: `kiosk.face.worker.FaceWorker`, in a process of its own. Its methods say more."""

    @property
    def pack(self) -> Pack:
        """The pack in force."""

    async def refer(self, portrait: Likeness) -> QualityCause | None:
        """Take a portrait as what the next frames are compared with; return why it cannot be, or None."""

    def offer(self, frame: Pictured) -> None:
        """Hand over a frame."""

    async def glimpse(self, wait_s: float) -> Glimpse | None:
        """Return the next judged frame, or None when there was none within the time."""

    async def forget(self) -> None:
        """Forget portrait, frames and vectors."""


async def verify(
    worker: Judge,
    camera: Eyes,
    portrait: Likeness | None,
    *,
    deadline_s: float,
    clock: Clock,
    on_glimpse: OnGlimpse,
) -> Comparison:
    """Compare whoever stands before an open camera with a portrait. Opens and closes nothing.

    Args:
        worker: judges the frames.
        camera: open.
        portrait: from the chip; None where it could not be decoded.
        deadline_s: how long to try.
        clock: for the deadline.
        on_glimpse: told of each frame, in the caller's event loop.

    Raises:
        CameraGone: the stream broke (whatever the camera's `newest` raises).
        FaceFault: the worker is not there, or judged too few frames within the deadline.
    """
    tally = Tally(worker.pack)
    if portrait is None:
        return tally.no_reference()
    if cause := await worker.refer(portrait):
        return tally.no_reference(cause)
    on_glimpse(None, 0.0)
    until = clock.monotonic() + deadline_s
    offered = 0
    while clock.monotonic() < until:
        frame = camera.newest()
        if frame is not None and frame.number != offered:
            offered = frame.number
            worker.offer(frame)
        glimpse = await worker.glimpse(POLL_S)
        if glimpse is None:
            continue
        decided = tally.add(glimpse)
        on_glimpse(glimpse, tally.progress)
        if decided is not None:
            return decided
    return tally.at_deadline(deadline_s)


class Tally:
    """What the frames of one try gave so far."""

    def __init__(self, pack: Pack) -> None:
        self._pack = pack
        self._band = pack.spec.thresholds.chip
        self._distances: list[float] = []
        self._causes: Counter[QualityCause] = Counter()

    @property
    def progress(self) -> float:
        """How much of the decision is there, 0 to 1."""
        return len(self._distances) / self._band.frames

    def add(self, glimpse: Glimpse) -> Comparison | None:
        """Count a frame; return the decision once there are enough good ones.

        The distances are averaged, not the vectors: the thresholds were set for single frames, and the mean of several
        vectors lies nearer to everybody's.
        """
        if glimpse.cause is not None:
            self._causes[glimpse.cause] += 1
            if glimpse.cause in _BREAKS:
                self._distances.clear()
        elif glimpse.distance is not None:
            self._distances.append(glimpse.distance)
        if len(self._distances) < self._band.frames:
            return None
        distance = sum(self._distances) / len(self._distances)
        return self._comparison(self._outcome(distance), distance=distance)

    def at_deadline(self, deadline_s: float) -> Comparison:
        """Return what is to be said when the time is over: the cause that was seen most.

        Raises:
            FaceFault: nothing was wrong with the frames, there were only too few of them.
        """
        if not self._causes:
            detail = (
                f"{len(self._distances)} of {self._band.frames} frames were judged in {deadline_s:g} s; the machine is too slow"
            )
            raise FaceFault("FACE-01", detail)
        return self._comparison(Outcome.POOR_QUALITY, quality=self._causes.most_common(1)[0][0])

    def no_reference(self, cause: QualityCause | None = None) -> Comparison:
        """Return that there is nothing to compare with; `cause` says what is wrong with the portrait."""
        return self._comparison(Outcome.NO_REFERENCE, quality=cause or "")

    def _outcome(self, distance: float) -> Outcome:
        if distance <= self._band.accept_at:
            return Outcome.MATCH
        return Outcome.REVIEW if distance <= self._band.review_at else Outcome.NO_MATCH

    def _comparison(self, outcome: Outcome, *, distance: float | None = None, quality: str = "") -> Comparison:
        return Comparison(
            outcome=outcome,
            distance=None if distance is None else round(distance, 4),
            accept_at=self._band.accept_at,
            review_at=self._band.review_at,
            pack=self._pack.spec.name,
            pack_sha256=self._pack.sha256,
            liveness=Liveness.NOT_RUN,
            quality=quality,
            frames=len(self._distances),
        )
