"""The doorway before strangers: slow ones, many of one network, ones that lie about where they come from; a new certificate."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect

from sync_agent.fleet.authority import Authority, establish
from sync_agent.web import doorway
from sync_agent.web.doorway import ONE_NETWORK, Doorway
from system.services.process import HOST, free_port

WAIT_S = 10.0


class Front:
    """A door that says who it thinks knocks."""

    def __init__(self, authority: Authority, port: int, way: Doorway) -> None:
        self.authority = authority
        self.port = port
        self.way = way

    def connect(self, source: str = HOST) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority.files.ca))
        plain = socket.create_connection((HOST, self.port), timeout=WAIT_S, source_address=(source, 0))
        return context.wrap_socket(plain, server_hostname=HOST)

    def who(self, headers: dict[str, str] | None = None) -> str:
        context = ssl.create_default_context(cafile=str(self.authority.files.ca))
        line = http.client.HTTPSConnection(HOST, self.port, timeout=WAIT_S, context=context)
        try:
            line.request("GET", "/who", headers=headers or {})
            return line.getresponse().read().decode()
        finally:
            line.close()

    def shown(self) -> int:
        with self.connect() as line:
            der = line.getpeercert(binary_form=True)
        assert der is not None
        return hash(der)


@pytest.fixture
def front(state_dir: Path) -> Iterator[Callable[[float], Front]]:
    authority = establish(state_dir / "keys", [], datetime.now(UTC))
    app = FastAPI()

    @app.get("/who")
    def who(request: Request) -> str:
        return request.client.host if request.client else "nobody"

    @app.post("/read")
    async def read(request: Request) -> None:
        with suppress(ClientDisconnect):
            await request.body()

    with ExitStack() as stack:

        @contextmanager
        def at(stays_s: float) -> Iterator[Front]:
            port, files = free_port(), authority.files
            with doorway.opened(
                app, host=HOST, port=port, certificate=files.door_certificate, key=files.door_key, stays_s=stays_s
            ) as way:
                yield Front(authority, port, way)

        yield lambda stays_s: stack.enter_context(at(stays_s))


def is_ended(line: ssl.SSLSocket) -> bool:
    """Whether the door hangs up on a connection that says nothing."""
    try:
        return line.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("said", [b"", b"POST /read HTTP/1.1\r\nHost: d\r\nContent-Length: 9999\r\n\r\nx"])
def test_whoever_is_slow_is_not_waited_for(front: Callable[[float], Front], said: bytes) -> None:
    with front(0.3).connect() as line:
        line.sendall(said)
        assert is_ended(line)


def test_a_connection_lasts_as_long_as_it_may(front: Callable[[float], Front]) -> None:
    with front(60.0).connect() as line:
        line.settimeout(0.6)
        assert not is_ended(line)


def test_one_network_does_not_take_every_place(front: Callable[[float], Front]) -> None:
    door = front(60.0)
    with ExitStack() as held:
        lines = [held.enter_context(door.connect("127.0.0.2")) for _ in range(ONE_NETWORK)]
        with door.connect("127.0.0.2") as another:
            assert is_ended(another)
        assert "127.0.0.1" in door.who(), "another network is let in"
        lines[0].close()
        lines[1].settimeout(0.2)
        assert not is_ended(lines[1])


def test_a_header_does_not_say_who_knocks(front: Callable[[float], Front]) -> None:
    assert "127.0.0.1" in front(60.0).who({"X-Forwarded-For": "192.0.2.99"})


def test_a_certificate_that_was_made_new_is_shown_at_the_next_look(front: Callable[[float], Front]) -> None:
    door = front(60.0)
    before = door.shown()
    assert not door.way.read_certificate()
    assert door.shown() == before
    door.authority.files.door_certificate.unlink()
    door.authority.certify_own([], datetime.now(UTC))
    assert door.way.read_certificate()
    assert door.shown() != before
