"""The face worker as the kiosk sees it: newest frame only, nothing blocks, a crash is a fault of a part and is mended.

At most one request is under way. A frame that comes meanwhile waits, and a newer one takes its place, so that the worker always
judges the newest. An answer that belongs to an earlier try is dropped.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from ctypes import c_ubyte
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final, assert_never

import numpy as np
import structlog

from kiosk.clock import Clock
from kiosk.face.calibration import BadCalibration, Calibration, key_beside, load
from kiosk.face.given import Image, Likeness, Pictured
from kiosk.face.picture import reduced
from kiosk.face.process import Answer, Broken, Forget, Forgotten, Look, Picture, Ready, Refer, Referred, Request, Slot, serve
from kiosk.face.result import FaceFault, Glimpse, QualityCause
from kiosk.settings import FaceSettings
from models.load import BadPack, Pack
from models.shelf import Shelf
from sync_agent.contract.kinds import Condition, PartHealth, PartState

log = structlog.get_logger(__name__)

SLOT_BYTES: Final = 1920 * 1080 * 3
"""Largest picture the worker takes."""

READY_S: Final = 60.0
"""A worker that takes longer to load its pack counts as crashed."""

STUCK_S: Final = 10.0
"""A worker that takes longer over one request counts as crashed."""

FORGET_S: Final = 2.0
"""A worker that does not say within this time that it forgot is ended: its memory goes with it."""

RESTARTS: Final = 3
RESTART_WINDOW_S: Final = 600.0
"""After more crashes than `RESTARTS` within this time the worker stays down until the kiosk is started again."""

RESTART_WAIT_S: Final = 0.5
"""First wait before a restart; doubles with each crash in the window."""

_WATCH_S: Final = 0.5
_END_S: Final = 2.0
_KEPT: Final = 8


@dataclass(frozen=True, slots=True)
class _Fault:
    code: str
    detail: str


_NOT_STARTED: Final = _Fault("FACE-01", "the face worker was not started")


class FaceWorker:
    """One worker process and the way to it. For one event loop."""

    def __init__(self, settings: FaceSettings, clock: Clock) -> None:
        """Begin without a process.

        Args:
            settings: where the packs are.
            clock: for deadlines and the age of a fault.
        """
        self._settings = settings
        self._clock = clock
        self._pack: Pack | None = None
        self._calibration: Calibration | None = None
        self._uncalibrated = ""
        self._fault: _Fault | None = _NOT_STARTED
        self._broken: _Fault | None = None
        self._health = PartHealth(state=PartState.ABSENT, code="FACE-01", since=clock.now())
        self._context = multiprocessing.get_context("spawn")
        self._slot: Slot = self._context.RawArray(c_ubyte, SLOT_BYTES)
        self._memory: Image = np.ctypeslib.as_array(self._slot)
        self._process: SpawnProcess | None = None
        self._line: Connection | None = None
        self._running: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._under_way: Request | None = None
        self._since = 0.0
        self._is_stale = False
        self._waiting: Pictured | None = None
        self._last: Answer | None = None
        self._glimpses: deque[Glimpse] = deque(maxlen=_KEPT)

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def health(self) -> PartHealth:
        """How the worker is."""
        return self._health

    @property
    def pack(self) -> Pack:
        """The pack in force.

        Raises:
            FaceFault: the worker is not there.
        """
        self._check()
        if self._pack is None:
            raise FaceFault("FACE-01", "no model pack is loaded")
        return self._pack

    @property
    def calibration(self) -> Calibration | None:
        """The site's calibration, where there is a usable one; it is for one kind of portrait."""
        return self._calibration

    async def start(self) -> None:
        """Start the process and wait until it is ready. That it cannot work is a state of its health, not an error."""
        try:
            self._pack = Shelf(self._settings.packs).in_force()
        except BadPack as err:
            self._fails(_Fault(err.code, str(err)))
            return
        self._calibrate(self._pack)
        self._becomes(PartState.ABSENT, "FACE-01")
        self._running = asyncio.create_task(self._keep_running(self._pack), name="face-worker")
        await self._until(lambda: self._health.state is not PartState.ABSENT, READY_S)

    async def stop(self) -> None:
        """End the process and clear the memory shared with it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
            self._running = None
        self._drop()
        self._memory.fill(0)
        self._fault, self._broken = _NOT_STARTED, None
        self._becomes(PartState.ABSENT, "FACE-01")

    # --- what it does -------------------------------------------------------------------------------------------------

    async def refer(
        self, portrait: Likeness, condition: Condition = Condition.CHIP, other: Likeness | None = None
    ) -> QualityCause | None:
        """Take a portrait as what the next frames are compared with; return why it cannot be, or None.

        Args:
            portrait: of whoever should stand there.
            condition: where the portraits come from.
            other: portrait of somebody else who might stand there instead. Where it shows no face, nothing is held against it.

        Raises:
            FaceFault: the worker is not there.
        """
        cause = await self._refer(portrait, condition)
        if cause is None and other is not None and (without := await self._refer(other, condition, is_other=True)):
            log.warning("face.other-unusable", cause=without)
        return cause

    def offer(self, frame: Pictured) -> None:
        """Hand over a frame; an older one that still waits is dropped. Never blocks; does nothing while the worker is down."""
        if self._fault is not None:
            return
        if self._under_way is not None:
            self._waiting = frame
            return
        self._send(Look(frame.number, self._put(frame.image)))

    async def glimpse(self, wait_s: float) -> Glimpse | None:
        """Return the next judged frame, or None when there was none within the time.

        Raises:
            FaceFault: the worker is not there.
        """
        await self._until(lambda: bool(self._glimpses), wait_s)
        self._check()
        return self._glimpses.popleft() if self._glimpses else None

    async def forget(self) -> None:
        """Clear the shared memory, and have the worker overwrite reference and vectors with zeros (P05)."""
        self._drop()
        self._memory.fill(0)
        if self._fault is not None:
            return  # there is no process, or one that has seen nobody yet
        if await self._until(lambda: self._under_way is None, FORGET_S) and self._fault is None:
            self._send(Forget())
            if await self._until(lambda: isinstance(self._last, Forgotten), FORGET_S):
                return
        if self._process is not None and self._fault is None:
            log.error("face.did-not-forget", waited_s=FORGET_S)
            self._process.kill()

    async def _refer(self, portrait: Likeness, condition: Condition, *, is_other: bool = False) -> QualityCause | None:
        self._drop()
        if not await self._until(lambda: self._under_way is None, STUCK_S):
            raise FaceFault("FACE-01", f"the face worker was busy for {STUCK_S:g} s")
        self._check()
        self._send(Refer(self._put(reduced(portrait.image, SLOT_BYTES)), condition, is_other))
        if not await self._until(lambda: isinstance(self._last, Referred), STUCK_S):
            raise FaceFault("FACE-01", f"the face worker took no portrait within {STUCK_S:g} s")
        self._check()
        return self._last.cause if isinstance(self._last, Referred) else None

    # --- requests and answers -----------------------------------------------------------------------------------------

    def _put(self, image: Image) -> Picture:
        """Copy a picture into the shared memory."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not 0 < image.nbytes <= SLOT_BYTES:
            raise ValueError(
                f"a picture is (height, width, 3) uint8 and at most {SLOT_BYTES} bytes, not {image.shape} {image.dtype}"
            )
        picture = Picture(image.shape[0], image.shape[1])
        self._memory[: picture.size].reshape(image.shape)[:] = image
        return picture

    def _send(self, request: Request) -> None:
        self._under_way, self._since, self._last = request, self._clock.monotonic(), None
        if self._line is not None:
            with suppress(OSError):  # it is gone; the end of its line tells so as well
                self._line.send(request)

    def _drop(self) -> None:
        """Forget frames that wait and glimpses nobody asked for; what is under way will be dropped when it is done."""
        self._waiting = None
        self._glimpses.clear()
        self._is_stale = isinstance(self._under_way, Look)

    def _take(self, answer: Answer) -> None:
        self._under_way, self._last = None, answer
        match answer:
            case Ready():
                self._fault = None
                self._becomes(PartState.WELL, self._uncalibrated)
                log.info("face.ready", pack=self._pack.spec.name if self._pack else "")
            case Broken(code, detail):
                self._broken = _Fault(code, detail)
                self._fails(self._broken)
            case Glimpse():
                if not self._is_stale:
                    self._glimpses.append(answer)
                self._is_stale = False
                frame, self._waiting = self._waiting, None
                if frame is not None:
                    self.offer(frame)
            case Referred() | Forgotten():
                pass
            case _:
                assert_never(answer)

    async def _until(self, true: Callable[[], bool], wait_s: float) -> bool:
        """Wait until something is true or the worker fails; return False when neither happened in time."""
        until = self._clock.monotonic() + wait_s
        while not (true() or (self._fault is not None and self._health.state is PartState.FAILED)):
            left_s = until - self._clock.monotonic()
            if left_s <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
        return True

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _check(self) -> None:
        if self._fault is not None:
            raise FaceFault(self._fault.code, self._fault.detail)

    def _calibrate(self, pack: Pack) -> None:
        """Open the site's calibration. Where it cannot be used the pack's own thresholds hold, and the self-test says so."""
        self._calibration, self._uncalibrated = None, ""
        path = self._settings.calibration
        if path is None:
            return
        try:
            self._calibration = load(path, self._settings.calibration_key or key_beside(path), pack.sha256)
        except BadCalibration as err:
            self._uncalibrated = err.code
            log.error("face.uncalibrated", code=err.code, fault=err.fault, reason=str(err))

    # --- the process --------------------------------------------------------------------------------------------------

    async def _keep_running(self, pack: Pack) -> None:
        """Start the process again whenever it ends, but not more often than the window allows."""
        crashes: deque[float] = deque(maxlen=RESTARTS + 1)
        while True:
            try:
                code = await self._live(pack)
            except (OSError, MemoryError) as err:  # no memory or no handles for another process: it may be better in a moment
                code = None
                self._fails(_Fault("FACE-01", f"the face worker cannot be started ({err}); it is being tried again"))
            if self._broken is not None:
                return
            crashes.append(self._clock.monotonic())
            recent = sum(1 for at in crashes if crashes[-1] - at <= RESTART_WINDOW_S)
            log.error("face.crashed", exit_code=code, crashes=recent)
            if recent > RESTARTS:
                detail = (
                    f"the face worker crashed {recent} times within {RESTART_WINDOW_S:g} s; restart the kiosk and read its log"
                )
                self._fails(_Fault("FACE-01", detail))
                return
            await asyncio.sleep(RESTART_WAIT_S * 2 ** (recent - 1))

    async def _live(self, pack: Pack) -> int | None:
        """Run one process from its start to its end; return its exit code.

        Raises:
            OSError, MemoryError: it cannot be started.
        """
        loop = asyncio.get_running_loop()
        line, far_end = self._context.Pipe()
        gone = asyncio.Event()
        given = (self._slot, far_end, pack, self._settings.threads, self._calibration)
        process = self._context.Process(target=serve, args=given, name="face-worker", daemon=True)
        loop.add_reader(line.fileno(), self._hear, line, gone)
        try:
            await asyncio.to_thread(process.start)
            far_end.close()
            self._process, self._line = process, line
            await self._watch(process, gone)
            if self._broken is None:
                self._fails(_Fault("FACE-01", "the face worker ended by itself; it is being started again"))
        finally:
            loop.remove_reader(line.fileno())
            self._process = self._line = self._under_way = None
            line.close()  # a process that still runs ends when it notices
            far_end.close()
            code = await asyncio.to_thread(_ended, process)
        return code

    def _hear(self, line: Connection, gone: asyncio.Event) -> None:
        """Take what the worker says. Called by the event loop when there is something."""
        try:
            while line.poll():
                self._take(line.recv())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(line.fileno())
            gone.set()
        self._notify()

    async def _watch(self, process: SpawnProcess, gone: asyncio.Event) -> None:
        """Wait for the end of the process, and end it when it hangs."""
        started = self._clock.monotonic()
        while not gone.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    await gone.wait()
            now = self._clock.monotonic()
            loads_too_long = self._fault is not None and now - started > READY_S
            if loads_too_long or (self._under_way is not None and now - self._since > STUCK_S):
                log.error("face.stuck", loading=loads_too_long)
                process.kill()

    def _fails(self, fault: _Fault) -> None:
        self._fault = fault
        self._drop()
        self._becomes(PartState.FAILED, fault.code)
        log.error("face.fault", code=fault.code, reason=fault.detail)
        self._notify()

    def _becomes(self, state: PartState, code: str) -> None:
        if (state, code) != (self._health.state, self._health.code):
            self._health = PartHealth(state=state, code=code, since=self._clock.now())


def _ended(process: SpawnProcess) -> int | None:
    """Wait for a process that was hung up on, and end it when it does not end by itself; return its exit code."""
    if process.pid is None:
        return None
    process.join(_END_S)
    if process.is_alive():
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    return code
