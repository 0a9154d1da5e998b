"""A way in for demo, tests and field engineers: one Unix socket that reads the page and presses like a finger. Off by default.

JSON lines, one answer to each. Nothing personal is told: pages by name, texts by key. The socket is open to its owner only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pygame
import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kiosk.screens.layout import HEIGHT, WIDTH, Lamp, Touchable, texts, touchables
from kiosk.screens.stage import Stage

log = structlog.get_logger(__name__)

_PATIENCE_S: Final = 2.0
"""How long a press waits for its control to be there and enabled, seconds."""

_FINGER: Final = 77
"""Number of the pilot's finger; panels count from 0."""


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Look(_Order):
    do: Literal["page"]


class _Press(_Order):
    do: Literal["press"]
    touch: str = ""
    x: Annotated[float, Field(ge=0, lt=WIDTH)] | None = None
    y: Annotated[float, Field(ge=0, lt=HEIGHT)] | None = None


class _Shot(_Order):
    do: Literal["shot"]
    path: str


class _Wait(_Order):
    do: Literal["wait"]
    page: str = ""
    text: str = ""
    lit: str = ""
    timeout: Annotated[float, Field(gt=0, le=600)]


_ORDERS: Final[TypeAdapter[_Look | _Press | _Shot | _Wait]] = TypeAdapter(
    Annotated[_Look | _Press | _Shot | _Wait, Field(discriminator="do")]
)


class _Refused(Exception):
    """The order cannot be carried out; the text says why."""


@contextlib.asynccontextmanager
async def piloted(stage: Stage, path: Path, monotonic: Callable[[], float]) -> AsyncIterator[None]:
    """Listen on a socket while the context is open.

    Args:
        stage: the stage to be steered; its `run` goes on in the same loop.
        path: of the socket; one that a crash left is replaced.
        monotonic: the stage's clock, seconds.

    Raises:
        OSError: the socket cannot be made.
    """
    if path.is_socket():
        path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        # Nobody can connect before it listens.
        path.chmod(0o600)
        pilot = _Pilot(stage, monotonic)
        server = await asyncio.start_unix_server(pilot.serve, sock=listening)
        log.info("pilot.open")
        try:
            yield
        finally:
            server.close()
            await pilot.hang_up()
            path.unlink(missing_ok=True)


class _Pilot:
    def __init__(self, stage: Stage, monotonic: Callable[[], float]) -> None:
        self._stage = stage
        self._monotonic = monotonic
        self._talks: set[asyncio.Task[None]] = set()

    async def hang_up(self) -> None:
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            # It hung up in the middle, or sent a line without end.
            log.info("pilot.lost")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            match _ORDERS.validate_json(line):
                case _Look():
                    pass
                case _Press() as order:
                    await self._press(order)
                case _Shot(path=path):
                    self._stage.save(path)
                case _Wait() as order:
                    await self._wait(order)
        except ValidationError as err:
            return {"ok": False, "why": f"not an order: {err.error_count()} faults", **self._seen()}
        except (_Refused, OSError) as err:
            return {"ok": False, "why": str(err), **self._seen()}
        return {"ok": True, **self._seen()}

    def _seen(self) -> dict[str, Any]:
        scene = self._stage.scene
        return {
            "page": type(self._stage.page).__name__ if self._stage.page is not None else "",
            "language": self._stage.language,
            "texts": [words.text.key for words in texts(scene)],
            "touches": {control.touch: control.is_enabled for control in touchables(scene)},
            "lit": [control.word for control in scene if isinstance(control, Lamp) and control.is_lit],
        }

    async def _press(self, order: _Press) -> None:
        # A hand would wait, too, until the page is no longer new.
        while (early := self._stage.unlocks_at - self._monotonic()) > 0:
            await asyncio.sleep(early)
        if order.x is not None and order.y is not None:
            x, y = order.x, order.y
        else:
            control = await self._live(order.touch)
            x, y = control.rect.x + control.rect.width / 2, control.rect.y + control.rect.height / 2
        place = {"touch_id": 0, "finger_id": _FINGER, "x": x / WIDTH, "y": y / HEIGHT, "dx": 0.0, "dy": 0.0, "pressure": 1.0}
        for kind in (pygame.FINGERDOWN, pygame.FINGERUP):
            pygame.event.post(pygame.event.Event(kind, place))

    async def _live(self, touch: str) -> Touchable:
        """Return a control once it can be pressed; a hand, too, would wait until the page has answered its last touch."""
        until = self._monotonic() + _PATIENCE_S
        while True:
            control = next((c for c in touchables(self._stage.scene) if c.touch == touch), None)
            if control is not None and control.is_enabled:
                return control
            left_s = until - self._monotonic()
            if left_s <= 0:
                raise _Refused(f"{touch!r} cannot be pressed now" if control else f"there is nothing to press for {touch!r}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._stage.turned()

    async def _wait(self, order: _Wait) -> None:
        try:
            async with asyncio.timeout(order.timeout):
                while not self._shows(order):
                    await self._stage.turned()
        except TimeoutError:
            wanted = ", ".join(part for part in (order.page, order.text, order.lit) if part)
            raise _Refused(f"{wanted} did not come within {order.timeout:g} s") from None

    def _shows(self, order: _Wait) -> bool:
        seen = self._seen()
        return (
            order.page in ("", seen["page"])
            and (not order.text or order.text in seen["texts"])
            and (not order.lit or order.lit in seen["lit"])
        )
