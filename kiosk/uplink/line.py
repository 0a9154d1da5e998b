"""The Unix socket on which kiosk and uplink meet: link state and settled records one way, "there is a new record" the other.

JSON lines. The socket lives in the state directory with mode 0600; nothing personal crosses it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from kiosk.uplink.link import LinkState, Trouble
from sync_agent.contract.kinds import PartHealth

log = structlog.get_logger(__name__)


class Message(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LinkChanged(Message):
    """Uplink to kiosk: how the connection is."""

    say: Literal["link"] = "link"
    is_up: bool
    trouble: Trouble


class Settled(Message):
    """Uplink to kiosk: the progress of some records changed; look in the outbox. Which ones would make a line without end."""

    say: Literal["settled"] = "settled"
    count: int


class Written(Message):
    """Kiosk to uplink: there is a new record in the outbox."""

    say: Literal["written"] = "written"


class Parts(Message):
    """Kiosk to uplink: the last self-test, for telemetry."""

    say: Literal["parts"] = "parts"
    parts: dict[str, PartHealth]


_ANY: TypeAdapter[LinkChanged | Settled | Written | Parts] = TypeAdapter(
    Annotated[LinkChanged | Settled | Written | Parts, Field(discriminator="say")]
)


class UplinkEnd:
    """The uplink's end: listens, tells every kiosk that is connected."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._on_message: Callable[[Message], None] = lambda _message: None
        self._kiosks: set[asyncio.StreamWriter] = set()
        self._link = LinkChanged(is_up=False, trouble=Trouble.UNREACHABLE)
        self._server: asyncio.Server | None = None

    async def start(self, on_message: Callable[[Message], None]) -> None:
        """Listen, and give every message to `on_message`; a socket left behind by a dead uplink is replaced."""
        self._on_message = on_message
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening and hang up."""
        if self._server:
            self._server.close()
        for kiosk in list(self._kiosks):
            kiosk.close()
        self._path.unlink(missing_ok=True)

    def link_changed(self, state: LinkState) -> None:
        """Tell how the connection is, now and to every kiosk that connects later."""
        self._link = LinkChanged(is_up=state.is_up, trouble=state.trouble)
        self._send(self._link)

    def settled(self, count: int) -> None:
        """Tell that the progress of so many records changed."""
        self._send(Settled(count=count))

    def _send(self, message: Message) -> None:
        for kiosk in self._kiosks:
            kiosk.write(_line(message))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_line(self._link))
        self._kiosks.add(writer)
        try:
            async for message in _lines(reader):
                self._on_message(message)
        except ConnectionError:
            pass
        finally:
            self._kiosks.discard(writer)
            writer.close()


class KioskEnd:
    """The kiosk's end: connects, and connects again when the uplink was restarted. Without an uplink the link is down."""

    def __init__(self, path: Path, *, retry_s: float = 0.5) -> None:
        self._path = path
        self._retry_s = retry_s
        self._writer: asyncio.StreamWriter | None = None
        self._news = asyncio.Condition()
        self._parts: Parts | None = None
        self.link = LinkState(False, Trouble.UNREACHABLE)

    async def run(self) -> None:
        """Keep the line up until cancelled."""
        while True:
            with contextlib.suppress(OSError):
                reader, self._writer = await asyncio.open_unix_connection(self._path)
                try:
                    if self._parts:
                        self._writer.write(_line(self._parts))
                    async for message in _lines(reader):
                        await self._take(message)
                finally:
                    self._writer.close()
                    self._writer = None
            await self._take(LinkChanged(is_up=False, trouble=Trouble.UNREACHABLE))
            await asyncio.sleep(self._retry_s)

    def written(self) -> None:
        """Say that there is a new record. Lost without harm: the uplink also looks by itself."""
        self._send(Written())

    def parts(self, parts: dict[str, PartHealth]) -> None:
        """Say how the parts are, now and after every reconnection."""
        self._parts = Parts(parts=parts)
        self._send(self._parts)

    async def news(self) -> None:
        """Wait until the link or some record changed."""
        async with self._news:
            await self._news.wait()

    async def _take(self, message: Message) -> None:
        if isinstance(message, LinkChanged):
            self.link = LinkState(message.is_up, message.trouble)
        async with self._news:
            self._news.notify_all()

    def _send(self, message: Message) -> None:
        if self._writer:
            self._writer.write(_line(message))


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[Message]:
    """Yield the messages until the other end hangs up; a line that is not understood, or far too long, is passed over."""
    while True:
        try:
            line = await reader.readline()
        except ValueError:  # so `readline` says that a line is over the limit; it has thrown that much away
            log.warning("line.too-long")
            continue
        if not line:
            return
        if message := _parse(line):
            yield message


def _line(message: Message) -> bytes:
    return message.model_dump_json().encode() + b"\n"


def _parse(line: bytes) -> Message | None:
    try:
        return _ANY.validate_json(line)
    except ValidationError as err:
        log.warning("line.not-understood", faults=err.error_count())
        return None
