"""The enrolment door: where a kiosk asks to be let in, and later for its next certificate. HTTPS on a listener of its own.

It knows no sign-in: whoever knocks shows a one-time code, or a signature of a record key that is known. `/ca` may be read by
anybody; a kiosk compares what it reads with the fingerprint in its code before it sends anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import ClientDisconnect

from sync_agent.contract.enrolment import MAX_BYTES, DoorFault, Enrolment, Presented, Refusal
from sync_agent.fleet import invitations, renewal
from sync_agent.fleet.authority import Authority
from sync_agent.fleet.invitations import Refused
from sync_agent.registry.database import Database
from sync_agent.settings import Settings
from sync_agent.web.turnstile import Turnstile

log = structlog.get_logger(__name__)

_STATUS: Final = {
    DoorFault.BAD_REQUEST: 400,
    DoorFault.WRONG_TIME: 409,
    DoorFault.TOO_MANY: 429,
}
_Model = TypeVar("_Model", bound=BaseModel)


def create_door(
    database: Database,
    authority: Authority,
    settings: Settings,
    now: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """Return the door.

    Args:
        database: the registry.
        authority: signs certificates; says what is trusted.
        settings: limits, and what devices are told.
        now: the clock, UTC.
        monotonic: for the limits.
    """
    door = FastAPI(title="Renzheng: enrolment door", version="1", docs_url=None, redoc_url=None, openapi_url=None)
    turnstile = Turnstile(settings.door.tries_per_minute, monotonic)

    @door.middleware("http")
    async def limit(request: Request, handle: RequestResponseEndpoint) -> Response:
        if not turnstile.lets_in(request.client.host if request.client else ""):
            log.warning("door.too-many", path=request.url.path)
            return refusal(DoorFault.TOO_MANY, "Too many requests. Try again in a minute.")
        return await handle(request)

    def refusal(code: DoorFault, message: str) -> Response:
        body = Refusal(code=code, message=message, now=now())
        return JSONResponse(body.model_dump(mode="json"), _STATUS.get(code, 403))

    async def answer(request: Request, handle: Callable[[Session, bytes], BaseModel]) -> Response:
        """Read the body, handle it in one transaction, and answer; what a refusal did is committed."""
        try:
            body = await _body(request)
        except ClientDisconnect:  # nobody hears the answer
            return PlainTextResponse("The request did not come in time.", 408)
        if body is None:
            return refusal(DoorFault.BAD_REQUEST, f"A request has at most {MAX_BYTES} bytes.")
        try:
            return await run_in_threadpool(_handled, body, handle)
        except (OperationalError, InterfaceError) as err:
            log.error("door.registry-away", failure=type(err).__name__)
            return PlainTextResponse("The registry is away. Try again.", 503)

    def _handled(body: bytes, handle: Callable[[Session, bytes], BaseModel]) -> Response:
        with database.write() as session:
            try:
                done = handle(session, body)
            except Refused as refused:
                log.warning("door.refused", code=refused.code.value)
                return refusal(refused.code, refused.message)
            return JSONResponse(done.model_dump(mode="json"))

    @door.get("/ca")
    def ca() -> Response:
        return PlainTextResponse(authority.certificate, media_type="application/pem-certificate-chain")

    @door.post("/invitation")
    async def invitation(request: Request) -> Response:
        return await answer(request, lambda session, body: invitations.look_up(session, _parsed(Presented, body), now()))

    @door.post("/enrol")
    async def enrol(request: Request) -> Response:
        return await answer(
            request, lambda session, body: invitations.ask(session, authority, _parsed(Enrolment, body), settings, now())
        )

    @door.post("/renew")
    async def renew(request: Request) -> Response:
        return await answer(request, lambda session, body: renewal.renew(session, authority, body, settings, now()))

    return door


async def _body(request: Request) -> bytes | None:
    """Return the body, None where it is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            return None
    return body


def _parsed(model: type[_Model], body: bytes) -> _Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as err:
        raise Refused(DoorFault.BAD_REQUEST, f"The request has {err.error_count()} faults.") from None
