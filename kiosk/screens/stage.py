"""The window: shows pages, draws only what changed, and says what was touched."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pygame
import structlog
from numpy.typing import NDArray

from kiosk.screens.arrange import MOVING_S, STILL_WORKING_S, arrange
from kiosk.screens.controls import SPINNER_STEPS, Brush, Moment
from kiosk.screens.faults import DisplayMissing
from kiosk.screens.fonts import Fonts
from kiosk.screens.ink import Ink
from kiosk.screens.layout import HEIGHT, WIDTH, Bar, Preview, Scene, Spinner, touchables
from kiosk.screens.pages import Page, Touch, Working
from kiosk.screens.shapes import Shapes
from kiosk.screens.touch import Motion, Press, contact
from kiosk.screens.words import Language, Words

log = structlog.get_logger(__name__)

TICK_S: Final = 1 / 30
"""Touches are looked for, and a preview is drawn, this often."""
_SPINNER_HZ: Final = 10
_MOVING: Final = (Preview, Bar, Spinner)
"""Kinds of control that change while the rest of the page stands; each covers all of its place, so it can be drawn alone."""
_BUFFERS: Final = 3
"""How many frames a driver may hold back; the wipe overwrites them all."""
_QUEUE: Final = 8
"""Touches that may wait; more come only from a hand that hammers."""
_KEPT: Final = 1800
"""Frame times that are kept: a minute's."""


class Pictured(Protocol):
    """A camera frame, as far as the screen needs it."""

    @property
    def preview(self) -> NDArray[np.uint8]:
        """(height, width, 4) uint8, BGRX, mirrored, rows without gaps."""


@dataclass(slots=True)
class Pace:
    """How evenly the loop runs, over the last minute of frames.

    Attributes:
        presented: frames shown since the start.
        frames_s: monotonic time of each frame shown.
        lags_s: how late each turn of the loop began.
    """

    presented: int = 0
    frames_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    lags_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))


class Stage:
    """The one window. Belongs to the thread of the asyncio loop.

    Attributes:
        pace: how evenly it runs.
        touched_at: monotonic time of the last touch anywhere, for whoever asks whether somebody is there.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        width: int = WIDTH,
        height: int = HEIGHT,
        fullscreen: bool = False,
        language: Language = Language.CHINESE,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            monotonic: the clock for waiting, seconds.
            width: of the window, px.
            height: of the window, px.
            fullscreen: take the whole panel and hide the pointer.
            language: at rest, and again after every visit.

        Raises:
            DisplayMissing: there is no layout for that size.
            FontMissing: a font is missing or not the one it should be.
        """
        if (width, height) != (WIDTH, HEIGHT):
            raise DisplayMissing(f"there is no layout for {width}x{height} px. Set the window to {WIDTH}x{HEIGHT}")
        self.pace = Pace()
        self.touched_at = monotonic()
        self._monotonic = monotonic
        self._fullscreen = fullscreen
        self._at_rest = language
        self._fonts = Fonts()
        self._ink = Ink(self._fonts)
        self._shapes = Shapes()
        self._press = Press()
        self._touches: asyncio.Queue[Touch] = asyncio.Queue(_QUEUE)
        self._turned = asyncio.Event()
        self._canvas: pygame.Surface | None = None
        self._is_closed = False
        self._words = Words(language)
        self._page: Page | None = None
        self._since = 0.0
        self._reached = 0
        self._scene: Scene = ()
        self._picture: pygame.Surface | None = None
        self._drawn: tuple[Scene, Moment] | None = None

    # --- the window -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the window, on the driver that SDL_VIDEODRIVER names or SDL finds.

        Raises:
            DisplayMissing: there is no display or it refuses.
        """
        try:
            pygame.display.init()
            driver = pygame.display.get_driver()
            flags = pygame.FULLSCREEN if self._fullscreen else 0
            # Without vsync KMSDRM flips asynchronously, which garbles the picture (SDL issue 8579).
            self._canvas = pygame.display.set_mode((WIDTH, HEIGHT), flags, vsync=0 if driver == "dummy" else 1)
        except pygame.error as err:
            pygame.display.quit()
            raise DisplayMissing(
                f"no window of {WIDTH}x{HEIGHT} px could be opened ({err}). Check the panel's cable and SDL_VIDEODRIVER, and "
                "that the service's user is in the groups video, render and input; without any display set SDL_VIDEODRIVER=dummy"
            ) from err
        pygame.display.set_caption("Renzheng")
        pygame.mouse.set_visible(not self._fullscreen)
        self._drawn = None
        log.info("screen.open", driver=driver, width=WIDTH, height=HEIGHT)

    def close(self) -> None:
        """Close the window and forget everything that is on it."""
        if self._canvas is not None:
            self.wipe()
            self._canvas = None
            pygame.display.quit()

    async def run(self) -> None:
        """Draw and listen until the window is closed (by its user or by `close`) or the task is cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self.tick():
            # A late turn is not made up for: that would only draw in bursts.
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self.pace.lags_s.append(loop.time() - due)

    def tick(self) -> bool:
        """Take the events that wait and draw if anything changed; return False once the window is closed."""
        if self._canvas is None:
            return False
        now = self._monotonic()
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self._is_closed = True
            if event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWRESTORED):
                self._drawn = None
            self._listen(event, now)
        self._grow(now)
        self._draw(now)
        return not self._is_closed

    # --- what is shown ----------------------------------------------------------------------------------------------

    @property
    def page(self) -> Page | None:
        """What is shown; None after the wipe."""
        return self._page

    @property
    def scene(self) -> Scene:
        """The controls of the page as they stand."""
        return self._scene

    @property
    def language(self) -> Language:
        """The language that is shown; the visitor changes it, the wipe takes that back."""
        return self._words.language

    @property
    def unlocks_at(self) -> float:
        """Monotonic time from which the page takes presses."""
        return self._press.locked_until

    def show(self, page: Page) -> None:
        """Put up a page; it is drawn within one tick. Another kind of page drops the touches that were meant for the last.

        Raises:
            MessageFault: a text that the message files do not have.
        """
        if page == self._page:
            return
        now = self._monotonic()
        is_other = type(page) is not type(self._page)
        since = now if is_other else self._since
        scene = arrange(page, self._words, self._fonts, now - since)
        if is_other:
            self._press.lock(now)
            self._drop_touches()
        self._page, self._since = page, since
        self._put(scene)
        if not any(isinstance(control, Preview) for control in scene):
            self.preview(None)
        self._turn()

    def preview(self, frame: Pictured | None) -> None:
        """Show the camera's newest picture where the page has a place for it; None drops it.

        Raises:
            ValueError: not a picture of the agreed form.
        """
        pixels = None if frame is None else frame.preview
        if pixels is not None and (
            pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 4 or not pixels.flags.c_contiguous
        ):
            raise ValueError(f"a preview is (height, width, 4) uint8 without gaps, not {pixels.shape} {pixels.dtype}")
        self._picture = None
        if pixels is not None:
            # A view: the surface keeps the array alive. The fourth byte is no alpha and may be 0, so nothing may be blended.
            self._picture = pygame.image.frombuffer(pixels.data, (pixels.shape[1], pixels.shape[0]), "BGRA")
            self._picture.set_alpha(None)

    async def touched(self) -> Touch:
        """Wait for the next touch and return it."""
        return await self._touches.get()

    async def turned(self) -> None:
        """Wait until something else is shown."""
        await self._turned.wait()

    def save(self, path: str) -> None:
        """Write what is on the screen as a picture (PNG by its name).

        Raises:
            OSError: it cannot be written.
        """
        self.tick()
        if self._canvas is not None:
            try:
                pygame.image.save(self._canvas, path)
            except pygame.error as err:
                raise OSError(f"the picture cannot be written ({err})") from err

    def wipe(self) -> None:
        """Forget the visit: page, picture, personal texts, touches and events; overwrite every frame the driver holds."""
        self.preview(None)
        self._ink.forget()
        self._press.forget()
        self._drop_touches()
        self._page = None
        self._scene = ()
        self._drawn = None
        self._words = Words(self._at_rest)
        if self._canvas is not None:
            pygame.event.clear()
            self._brush(self._canvas).clear()
            for _ in range(_BUFFERS):
                pygame.display.flip()
        self._turn()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _listen(self, event: pygame.event.Event, now: float) -> None:
        finger = contact(event, WIDTH, HEIGHT)
        if finger is None:
            return
        if finger.motion is Motion.DOWN:
            self.touched_at = now
        control = self._press.take(finger, self._scene, now)
        if control is None:
            return
        log.info("screen.touch", touch=control.touch)
        if isinstance(control.touch, Language):
            self._speak(control.touch)
        elif not self._touches.full():
            self._touches.put_nowait(control.touch)

    def _speak(self, language: Language) -> None:
        self._words = Words(language)
        if self._page is not None:
            self._put(arrange(self._page, self._words, self._fonts, self._monotonic() - self._since))

    def _put(self, scene: Scene) -> None:
        """Exchange the scene; a finger on a control that is gone or moved has nothing left to press."""
        if self._press.control is not None and self._press.control.rect not in {c.rect for c in touchables(scene)}:
            self._press.forget()
        self._scene = scene

    def _grow(self, now: float) -> None:
        """Let the working page say more the longer it stands."""
        age = now - self._since
        reached = sum(age >= limit for limit in (MOVING_S, STILL_WORKING_S))
        if isinstance(self._page, Working) and reached != self._reached:
            self._scene = arrange(self._page, self._words, self._fonts, age)
        self._reached = reached

    def _draw(self, now: float) -> None:
        if self._canvas is None:
            return
        spins = any(isinstance(control, Spinner) for control in self._scene)
        step = int((now - self._since) * _SPINNER_HZ) % SPINNER_STEPS if spins else 0
        moment = Moment(self._press.control, step, self._picture)
        if self._drawn == (self._scene, moment):
            return
        brush = self._brush(self._canvas)
        was, self._drawn = self._drawn, (self._scene, moment)
        if was is not None and _is_as_before(was[0], self._scene) and was[1].pressed == moment.pressed:
            for control in self._scene:
                if isinstance(control, _MOVING):
                    brush.control(control, moment)
        else:
            brush.scene(self._scene, moment)
        pygame.display.flip()
        self.pace.presented += 1
        self.pace.frames_s.append(now)

    def _brush(self, canvas: pygame.Surface) -> Brush:
        return Brush(canvas, self._ink, self._shapes)

    def _turn(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    def _drop_touches(self) -> None:
        while not self._touches.empty():
            self._touches.get_nowait()


def _is_as_before(was: Scene, scene: Scene) -> bool:
    """Say whether a scene differs from the last at most in what moves, each in its old place."""
    if len(was) != len(scene):
        return False
    pairs = zip(was, scene, strict=True)
    return all(old == new or (isinstance(new, _MOVING) and type(old) is type(new) and old.rect == new.rect) for old, new in pairs)
