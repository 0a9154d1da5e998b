"""One try: straight frames decide who it is, and only then is the person asked to turn.

Who does not match, or is the other person of a chain, learns nothing of the challenge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from kiosk.clock import Clock
from kiosk.face.calibration import Calibration
from kiosk.face.given import Eyes, Likeness, Pictured
from kiosk.face.liveness import Challenge, Verdict, drawn
from kiosk.face.result import Ask, Glimpse, QualityCause, Step
from kiosk.face.tally import Found, Standard, Tally, concluded, no_reference
from kiosk.settings import FaceSettings
from models.load import Pack
from sync_agent.contract.kinds import Comparison, Condition, Liveness, Outcome

POLL_S: Final = 0.015
"""How often the camera is asked for a new frame while none was judged, seconds."""

OnStep = Callable[[Step], None]
"""Told of each frame that was judged and of each prompt; it is shown when this returns."""


class Judge(Protocol):
    """Whoever judges frames: `kiosk.face.worker.FaceWorker`, in a process of its own. Its methods say more."""

    @property
    def pack(self) -> Pack:
        """The pack in force."""

    @property
    def calibration(self) -> Calibration | None:
        """The site's calibration, or None."""

    async def refer(self, portrait: Likeness, condition: Condition, other: Likeness | None = None) -> QualityCause | None:
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
    condition: Condition = Condition.CHIP,
    other: Likeness | None = None,
    gentle: bool = False,
    settings: FaceSettings,
    clock: Clock,
    on_step: OnStep,
) -> Comparison:
    """Compare whoever stands before an open camera with a portrait, and test that they are alive. Opens and closes nothing.

    Args:
        worker: judges the frames.
        camera: open.
        portrait: from a card or document; None where it could not be decoded.
        condition: what kind of portrait it is.
        other: portrait of the other person of a chain, to say so when that is who stands there.
        gentle: for people who cannot turn their head: no challenge, and an attendant confirms (P15).
        settings: deadlines, number of turns, whether staff stands by.
        clock: for the deadlines; the one the camera's frames are timed by.
        on_step: told of each frame and each prompt, in the caller's event loop.

    Raises:
        CameraGone: the stream broke (whatever the camera's `newest` raises).
        FaceFault: the worker is not there, or judged too few frames within the deadline.
    """
    standard = Standard.of(worker.pack, condition, worker.calibration)
    if portrait is None:
        return concluded(no_reference(None), standard)
    if cause := await worker.refer(portrait, condition, other):
        return concluded(no_reference(cause), standard)
    look = _Look(worker, camera, clock, settings, on_step, turns=0 if gentle else settings.challenge_turns)
    tally = Tally(standard)
    found = await look.straight(tally)
    if found.outcome not in (Outcome.MATCH, Outcome.REVIEW):
        return concluded(found, standard)
    verdict = Verdict(Liveness.ATTENDANT, ()) if gentle else await look.challenge(tally, found)
    return concluded(found, standard, verdict, is_attended=settings.attended)


class _Look:
    """The frames of one try, and where it stands."""

    def __init__(self, worker: Judge, camera: Eyes, clock: Clock, settings: FaceSettings, on_step: OnStep, *, turns: int) -> None:
        self._worker = worker
        self._camera = camera
        self._clock = clock
        self._settings = settings
        self._on_step = on_step
        self._sides = drawn(turns)
        self._share = 1 / (1 + 2 * turns)
        self._taken: dict[int, float] = {}

    async def straight(self, tally: Tally) -> Found:
        """Look until enough good frames decided or the time is over."""
        self._on_step(Step(Ask.STRAIGHT, None, 0.0))
        until = self._clock.monotonic() + self._settings.deadline_s
        while self._clock.monotonic() < until:
            glimpse, at = await self._next()
            if glimpse is None:
                continue
            found = tally.add(glimpse, at)
            self._on_step(Step(Ask.STRAIGHT, glimpse, self._share * tally.progress))
            if found is not None:
                return found
        return tally.at_deadline(self._settings.deadline_s)

    async def challenge(self, tally: Tally, found: Found) -> Verdict:
        """Ask for the turns, one after the other; where none is asked for, a passive model may have something to say."""
        spec, band = self._worker.pack.spec.liveness, tally.band
        challenge = Challenge(self._sides, spec, band, self._settings.turn_s, tally.track, found.glimpses)
        is_new, glimpse = True, found.glimpses[-1]
        while not challenge.is_over:
            self._on_step(Step(challenge.ask, glimpse, self._share + (1 - self._share) * challenge.progress))
            if is_new:
                challenge.shown(self._clock.monotonic())
            seen, at = await self._next()
            while seen is None and not challenge.is_over:
                challenge.tick(self._clock.monotonic())
                seen, at = await self._next()
            if seen is not None:
                glimpse, is_new = seen, challenge.add(seen, at)
        if challenge.cause is None:
            self._on_step(Step(Ask.STRAIGHT, glimpse, 1.0))
        return challenge.verdict()

    async def _next(self) -> tuple[Glimpse | None, float]:
        """Return the next judged frame and when it was taken; None now and then while there is none."""
        frame = self._camera.newest()
        if frame is not None and frame.number not in self._taken:
            self._taken[frame.number] = frame.at
            self._worker.offer(frame)
        glimpse = await self._worker.glimpse(POLL_S)
        now = self._clock.monotonic()
        return glimpse, now if glimpse is None else self._taken.get(glimpse.frame, now)
