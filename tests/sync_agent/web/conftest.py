"""Fixtures of the staff page: the real server on loopback, and a real browser."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright
from sse_starlette.sse import AppStatus

from sync_agent.registry.database import Database
from sync_agent.settings import Settings, WebSettings
from sync_agent.web.app import create_app
from tests.sync_agent.world import NOW, World

CHROMIUM = Path("/usr/bin/chromium")


@dataclass
class Clock:
    """A clock that goes when it is told."""

    moment: datetime = field(default=NOW)

    def __call__(self) -> datetime:
        return self.moment

    def goes(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Server(uvicorn.Server):
    """The web server in a thread of its own."""

    def __init__(self, config: uvicorn.Config, port: int) -> None:
        super().__init__(config)
        self.socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self._up = threading.Event()
        self._thread = threading.Thread(target=self.run, kwargs={"sockets": [self.socket]})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._up.wait(10), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.handle_exit(signal.SIGTERM, None)
        self._thread.join(10)
        AppStatus.should_exit = False  # of the whole process: the next server must not end with this one
        self.socket.close()
        assert not self._thread.is_alive(), "the server did not stop"


def serving(world: World, settings: Settings, clock: Clock, port: int = 0) -> Server:
    """Return a server of the page, to be run in a ``with`` block."""
    app = create_app(world.database, settings, clock)
    return Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3), port)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(state_dir: Path) -> Settings:
    return Settings(state_dir=state_dir, tenant="xz", web=WebSettings(refresh_s=0.05))


@pytest.fixture
def world(sqlite_database: Database) -> World:
    """The world on SQLite: the page only reads through what is tested on both databases."""
    return World(sqlite_database)


@pytest.fixture
def server(world: World, settings: Settings, clock: Clock) -> Iterator[Server]:
    with serving(world, settings, clock) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for one module: while it is open no other event loop can run in this thread (no async tests there)."""
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The staff page, open and live."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=server.url)
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.goto("/")
    page.wait_for_selector("#link[data-state=live]")
    yield page
    context.close()
