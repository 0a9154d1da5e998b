"""Keeps a door open: an HTTPS listener in a thread of its own, whose certificate can be replaced while it is open.

Strangers may knock, so a connection lasts a while only and one network has few of them at a time: whoever sends slowly, or
nothing, holds a place no longer than that, and not every place. Nobody stands before this door, so no header says who knocks.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from sync_agent.web.turnstile import Standing

OPENS_S: Final = 10.0
"""How long the listener may take to open, seconds."""

STAYS_S: Final = 20.0
"""How long a connection may last, seconds; a kiosk makes one for each request and waits no longer itself."""

ONE_NETWORK: Final = 10
"""Connections of one network at a time."""

EVERYBODY: Final = 100
"""Connections at a time."""


class DoorStuck(Exception):
    """The listener did not open. Code DOOR-20: its address is taken, or its certificate cannot be read."""

    code = "DOOR-20"


class Doorway:
    """A door that is open. Use `opened`."""

    def __init__(self, config: uvicorn.Config, certificate: Path, key: Path) -> None:
        self._config = config
        self._certificate = certificate
        self._key = key
        self._read = self._stamps()

    def read_certificate(self) -> bool:
        """Show the certificate that is in the file now to whoever knocks from now on; return whether it is another one."""
        stamps = self._stamps()
        if stamps == self._read or self._config.ssl is None:
            return False
        self._config.ssl.load_cert_chain(self._certificate, self._key)
        self._read = stamps
        return True

    def _stamps(self) -> list[tuple[int, int]]:
        return [(found.st_mtime_ns, found.st_ino) for found in (self._certificate.stat(), self._key.stat())]


class _Server(uvicorn.Server):
    """Tells when it takes connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]  # sockets are never given
        await super().startup()
        self.settled.set()


def _guarded(stays_s: float) -> type[H11Protocol]:
    """Return how one connection is spoken to."""
    standing = Standing(ONE_NETWORK)

    class Guarded(H11Protocol):
        """Ends with its time, and at once where its network has too many."""

        _let_in: str | None = None
        _end: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
            super().connection_made(transport)
            who = self.client[0] if self.client else ""
            if not standing.enter(who):
                transport.abort()
                return
            self._let_in = who
            self._end = self.loop.call_later(stays_s, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._end is not None:
                self._end.cancel()
            if self._let_in is not None:
                standing.leave(self._let_in)
                self._let_in = None

    return Guarded


@contextmanager
def opened(door: FastAPI, *, host: str, port: int, certificate: Path, key: Path, stays_s: float = STAYS_S) -> Iterator[Doorway]:
    """Open a door for the block.

    Args:
        door: what is behind it.
        host: address to listen on.
        port: TCP port.
        certificate: PEM of the server's certificate.
        key: PEM of its private key.
        stays_s: how long a connection may last, seconds.

    Raises:
        DoorStuck: it cannot listen there.
    """
    config = uvicorn.Config(
        door,
        host=host,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_config=None,
        access_log=False,
        http=_guarded(stays_s),
        proxy_headers=False,
        server_header=False,
        limit_concurrency=EVERYBODY,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        lifespan="off",
    )
    config.load()
    server = _Server(config)
    thread = threading.Thread(target=_run, args=(server,), name="door", daemon=True)
    thread.start()
    if not server.settled.wait(OPENS_S) or not server.started:
        server.should_exit = True
        raise DoorStuck(
            f"the enrolment door cannot listen on {host} port {port}. Is another program there? See [door] in the settings."
        )
    try:
        yield Doorway(config, certificate, key)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _run(server: _Server) -> None:
    try:
        server.run()
    except SystemExit:  # how uvicorn says that the address is taken
        pass
    finally:
        server.settled.set()
