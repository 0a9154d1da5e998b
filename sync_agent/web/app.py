"""The staff page as a web application: one page, its live events, its assets, and a health endpoint."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import anyio
import structlog
from fastapi import Cookie, FastAPI, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.staticfiles import StaticFiles

from sync_agent.registry.database import Database
from sync_agent.registry.protect import CannotUnseal
from sync_agent.settings import Settings
from sync_agent.web import board, live
from sync_agent.web.board import Board
from sync_agent.web.live import Live, Sight
from sync_agent.web.page import Page
from sync_agent.web.shield import Shield
from sync_agent.web.words import Language

log = structlog.get_logger(__name__)

ASSETS: Final = Path(__file__).parent / "assets"

BEAT_S: Final = 5
"""An open page hears something at least this often; after three times as long it says that it is lost."""

Wanted = Annotated[Language | None, Query(alias="lang")]
Kept = Annotated[Language | None, Cookie(alias="lang")]


def create_app(database: Database, settings: Settings, now: Callable[[], datetime]) -> FastAPI:
    """Build the application.

    Args:
        database: the registry; only read.
        settings: of the page, the fleet and the zone.
        now: the clock, UTC.
    """
    page = Page(settings.tenant, ZoneInfo(settings.rules.zone), _mark())

    def look() -> Board:
        with database.read() as session:
            return board.look(session, settings.fleet, now())

    news = Live(look, settings.web.refresh_s)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with live.running(news):
            yield

    app = FastAPI(title="Renzheng", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Shield)
    # A page elsewhere must not reach this one through a name that it has pointed here.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", settings.web.host])
    app.mount("/assets", StaticFiles(directory=ASSETS), name="assets")

    @app.get("/")
    def whole(wanted: Wanted = None, kept: Kept = None) -> Response:
        language = wanted or kept or Language.ZH
        try:
            sight = Sight(look())
        except (SQLAlchemyError, CannotUnseal) as failure:
            log.error("page.cannot-read", failure=type(failure).__name__)
            sight = Sight(is_stale=True)
        answer = HTMLResponse(page.whole(sight.board, is_stale=sight.is_stale, language=language))
        if wanted is not None:
            answer.set_cookie("lang", wanted, max_age=365 * 86_400, httponly=True, samesite="strict")
        return answer

    @app.get("/events")
    async def events(wanted: Wanted = None) -> Response:
        ending = anyio.Event()
        changes = _changes(news, page, wanted or Language.ZH, ending)
        return EventSourceResponse(
            changes, ping=BEAT_S, ping_message_factory=_beat, send_timeout=30, shutdown_event=ending, shutdown_grace_period=1
        )

    @app.get("/healthz")
    def healthz() -> Response:
        try:
            with database.read() as session:
                session.execute(text("SELECT 1"))
        except SQLAlchemyError as failure:
            return JSONResponse({"status": "failed", "database": type(failure).__name__}, status_code=503)
        return JSONResponse({"status": "ok"})

    return app


async def _changes(news: Live, page: Page, language: Language, ending: anyio.Event) -> AsyncGenerator[ServerSentEvent]:
    """Yield every section, and each again whenever it looks different, until the server ends."""
    shown: dict[str, str] = {}
    yield ServerSentEvent("", event="beat", retry=1000)  # after a loss the browser tries again every second
    async with aclosing(news.listen()) as sights:
        while (sight := await _next(sights, ending)) is not None:
            for name, html in page.sections(sight.board, is_stale=sight.is_stale, language=language).items():
                if shown.get(name) != html:
                    shown[name] = html
                    yield ServerSentEvent(html, event=name)


def _beat() -> ServerSentEvent:
    return ServerSentEvent("", event="beat")


async def _next(sights: AsyncGenerator[Sight], ending: anyio.Event) -> Sight | None:
    """Return what is seen next, or None when the server ends first."""
    seen, ended = asyncio.ensure_future(anext(sights)), asyncio.ensure_future(ending.wait())
    try:
        await asyncio.wait((seen, ended), return_when=asyncio.FIRST_COMPLETED)
        return None if ended.done() else seen.result()
    finally:
        for task in (seen, ended):
            task.cancel()
        await asyncio.gather(seen, ended, return_exceptions=True)


def _mark() -> str:
    """Return a word that changes when any asset does."""
    whole = hashlib.sha256()
    for path in sorted(ASSETS.iterdir()):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:8]
