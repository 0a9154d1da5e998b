"""A camera as a thread around a source: set up, run, tear down; keeps the newest frame only and watches for stalls."""

from __future__ import annotations

import asyncio
import threading
from typing import Final, Protocol

import structlog

from kiosk.cameras.base import CameraGone, Frame, Image
from kiosk.clock import Clock
from sync_agent.contract.kinds import PartHealth, PartState

log = structlog.get_logger(__name__)

OPEN_S: Final = 5.0
"""A camera that takes longer to start counts as absent."""

STALL_S: Final = 2.0
"""Without a new frame for this long the stream counts as broken."""

JOIN_S: Final = 3.0
"""How long closing waits for a driver that does not answer."""


class Source(Protocol):
    """Where pictures come from. All of it is called from one thread: `set_up` first, `tear_down` last."""

    def set_up(self) -> None:
        """Get hold of the device or film.

        Raises:
            CameraGone: there is none.
        """

    def picture(self) -> tuple[Image, Image]:
        """Wait for the next picture; return it and its preview, as `Frame` describes them.

        Raises:
            CameraGone: there will be no more.
        """

    def tear_down(self) -> None:
        """Let go of it. Also called when setting up failed half-way."""


class Stream:
    """One camera of any kind. Frames exist only between `open` and `close`, and only one at a time (P18)."""

    def __init__(self, name: str, source: Source, clock: Clock) -> None:
        """Begin closed.

        Args:
            name: for logs and threads.
            source: where pictures come from.
            clock: for waiting.
        """
        self._name = name
        self._source = source
        self._clock = clock
        self._health = PartHealth(state=PartState.WELL, since=clock.now())
        self._showing: _Showing | None = None
        self._stuck: _Showing | None = None

    @property
    def health(self) -> PartHealth:
        """How the camera is; of a closed one, how it was last."""
        return self._health

    async def open(self) -> None:
        """Start the stream.

        Raises:
            CameraGone: there is no camera or no film.
        """
        if self._showing is not None:
            raise RuntimeError(f"camera {self._name} is open already")
        if self._stuck is not None and self._stuck.is_alive():
            raise self._lost(PartState.FAILED, f"camera {self._name} still hangs in its driver; unplug it or restart the kiosk")
        self._showing = _Showing(self._name, self._source, self._clock, asyncio.get_running_loop())
        self._showing.start()
        try:
            async with asyncio.timeout(OPEN_S):
                await self._showing.ready
        except CameraGone as gone:
            raise self._lost(PartState.ABSENT, str(gone)) from gone
        except TimeoutError:
            raise self._lost(PartState.ABSENT, f"camera {self._name} did not start in {OPEN_S:g} s; check its cable") from None
        self._becomes(PartState.WELL)

    def newest(self) -> Frame | None:
        """Return the newest frame, or None before the first.

        Raises:
            CameraGone: the stream broke, or gave no frame for 2 s.
        """
        showing = self._showing
        if showing is None:
            return None
        if showing.gone is not None:
            raise self._lost(PartState.FAILED, str(showing.gone)) from showing.gone
        silent_s = self._clock.monotonic() - showing.alive_at
        if silent_s > STALL_S:
            raise self._lost(PartState.FAILED, f"camera {self._name} gave no picture for {silent_s:.1f} s; check its cable")
        return showing.newest

    async def close(self) -> None:
        """Stop the stream and drop every frame."""
        showing, self._showing = self._showing, None
        if showing is None:
            return
        showing.stop()
        await asyncio.to_thread(showing.join, JOIN_S)
        if showing.is_alive():  # ends by itself once the driver answers
            self._stuck = showing
            log.error("camera.stuck", camera=self._name, waited_s=JOIN_S)

    def _lost(self, state: PartState, text: str) -> CameraGone:
        self._becomes(state)
        return CameraGone(text)

    def _becomes(self, state: PartState) -> None:
        if state is not self._health.state:
            code = "" if state is PartState.WELL else CameraGone.code
            self._health = PartHealth(state=state, code=code, since=self._clock.now())


class _Showing(threading.Thread):
    """One opening of a camera: its thread and its newest frame. A stuck one cannot touch the next.

    Attributes:
        ready: done when the source is set up, or with its `CameraGone`.
        newest: the newest frame.
        gone: why there will be no more.
        alive_at: monotonic seconds of the newest frame, or of the start.
    """

    def __init__(self, name: str, source: Source, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name=f"camera-{name}")
        self.ready: asyncio.Future[None] = loop.create_future()
        self.newest: Frame | None = None
        self.gone: CameraGone | None = None
        self.alive_at = clock.monotonic()
        self._source = source
        self._clock = clock
        self._loop = loop
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Drop the frame and end after the picture under way."""
        self._stopping.set()
        self.newest = None

    def run(self) -> None:
        """Feed `newest` until told to stop."""
        try:
            self._source.set_up()
            self._tell(None)
            self._feed()
        except CameraGone as gone:
            self._end(gone)
        except Exception as failure:  # the edge of the thread: drivers raise what they like
            log.exception("camera.failed", thread=self.name)
            self._end(CameraGone(f"{self.name} failed: {type(failure).__name__}; its cause is in the log"))
        finally:
            self._source.tear_down()
            self.newest = None

    def _feed(self) -> None:
        number = 0
        while not self._stopping.is_set():
            image, preview = self._source.picture()
            number += 1
            self.alive_at = self._clock.monotonic()
            self.newest = Frame(number, self.alive_at, image, preview)

    def _end(self, gone: CameraGone) -> None:
        self.gone = gone
        self._tell(gone)

    def _tell(self, gone: CameraGone | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, gone)

    def _settle(self, gone: CameraGone | None) -> None:
        if self.ready.done():
            return
        if gone is None:
            self.ready.set_result(None)
        else:
            self.ready.set_exception(gone)
