"""Keeps a door open: an HTTPS listener in a thread of its own, whose certificate can be replaced while it is open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

OPENS_S: Final = 10.0
"""How long the listener may take to open, seconds."""


class DoorStuck(Exception):
    """The listener did not open. Code DOOR-20: its address is taken, or its certificate cannot be read."""

    code = "DOOR-20"


class Doorway:
    """A door that is open. Use `opened`."""

    def __init__(self, config: uvicorn.Config, certificate: Path, key: Path) -> None:
        self._config = config
        self._certificate = certificate
        self._key = key

    def read_certificate(self) -> None:
        """Show the certificate that is in the file now to whoever knocks from now on."""
        if self._config.ssl is not None:
            self._config.ssl.load_cert_chain(self._certificate, self._key)


class _Server(uvicorn.Server):
    """Tells when it takes connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]  # sockets are never given
        await super().startup()
        self.settled.set()


@contextmanager
def opened(door: FastAPI, *, host: str, port: int, certificate: Path, key: Path) -> Iterator[Doorway]:
    """Open a door for the block.

    Args:
        door: what is behind it.
        host: address to listen on.
        port: TCP port.
        certificate: PEM of the server's certificate.
        key: PEM of its private key.

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
        limit_concurrency=100,
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
