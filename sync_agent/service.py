"""Wiring: the one place where the sync agent's parts are built, started in order and stopped in reverse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog
import uvicorn

from sync_agent.contract.topics import Tenant
from sync_agent.fleet import authority, enrolment
from sync_agent.fleet.authority import Authority
from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.leases import Leases, new_agent_id
from sync_agent.ingest.line import BrokerAccess, Protocol
from sync_agent.ingest.sessions import Sessions
from sync_agent.ingest.stream import Ingest
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import vault_at
from sync_agent.registry.rules import RuleBook
from sync_agent.settings import Settings

log = structlog.get_logger(__name__)

DATA_KEY: Final = "data.key"
"""File below the folder of keys; whoever loses it cannot read who the people in the registry are."""


def now() -> datetime:
    """Return the wall time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Office:
    """What every command of the sync agent works with."""

    settings: Settings
    authority: Authority
    database: Database


@contextmanager
def office(settings: Settings) -> Iterator[Office]:
    """Open keys and registry, the registry brought up to date.

    Raises:
        AuthorityFault: there are no keys yet (`sync-agent device init`).
    """
    own = authority.load(settings.keys_dir)
    database = Database(
        settings.database_url,
        vault_at(settings.keys_dir / DATA_KEY),
        pool=settings.database.pool,
        busy_s=settings.database.busy_s,
    )
    try:
        migrate(database.engine)
        yield Office(settings, own, database)
    finally:
        database.close()


@contextmanager
def ingest(at: Office) -> Iterator[Ingest]:
    """Take records from the broker for the block."""
    settings, files = at.settings, at.authority.files
    tenant = Tenant(settings.tenant)
    at.authority.certify_sessions(now())
    access = BrokerAccess(
        host=settings.broker.host,
        port=settings.broker.port,
        protocol=Protocol(settings.broker.mqtt),
        ca=files.ca,
        key=files.agent_tls_key,
    )
    sessions = Sessions(access, files, tenant, lambda: leases.is_sure, now)
    leases = Leases(at.database, new_agent_id(), sessions.hold)
    clerk = Clerk(
        at.database,
        RuleBook.of(settings.rules),
        tenant=tenant,
        registry_key=at.authority.registry_key,
        receipt_key=at.authority.receipt_key,
        now=now,
    )
    stream = Ingest(sessions, leases, clerk)
    stream.start()
    try:
        yield stream
    finally:
        stream.stop()


def serve(settings: Settings) -> None:
    """Take records and serve the staff page until told to stop."""
    from sync_agent.web.app import create_app  # here, so that an agent that only takes records needs no web

    with office(settings) as at, ingest(at):
        enrolment.refresh_revocations(at.database, at.authority, settings.fleet, now())
        web = uvicorn.Config(
            create_app(at.database, settings, now),
            host=settings.web.host,
            port=settings.web.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        uvicorn.Server(web).run()
