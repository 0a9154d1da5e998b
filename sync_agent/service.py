"""Wiring: the one place where the sync agent's parts are built, started in order and stopped in reverse."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog
import uvicorn

from sync_agent.contract.topics import DeviceId, Tenant
from sync_agent.duties import DAY_S, Duty, on_duty
from sync_agent.fleet import authority, broker, enrolment, eviction, renewal, watch
from sync_agent.fleet.authority import Authority
from sync_agent.fleet.telling import Teller
from sync_agent.ingest import answers, leases, quarantine
from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.court import Court
from sync_agent.ingest.judge import Judge
from sync_agent.ingest.leases import Leases, new_agent_id
from sync_agent.ingest.line import BrokerAccess, Protocol
from sync_agent.ingest.postman import Postman
from sync_agent.ingest.sessions import Sessions
from sync_agent.ingest.stream import Ingest
from sync_agent.ingest.verifiers import Verifiers
from sync_agent.registry import qualifications, scanning
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import vault_at
from sync_agent.registry.rules import RuleBook, documents_rows, flags_rows, locks_rows, permits_rows
from sync_agent.settings import Settings

log = structlog.get_logger(__name__)

LOOK_S: Final = 10.0
"""Between two looks whether the door's certificate was replaced, seconds."""

REVOCATIONS_S: Final = 60.0
"""Between two looks whether the revocation list lacks a certificate, seconds."""

TRUST_S: Final = 10.0
"""Between two looks at which connected devices lack the newest trust list, seconds."""

PERMITS_S: Final = 3600.0
"""Between two looks at which safety permits come to their end, seconds: the day begins at no fixed hour of ours."""

LOCKS_S: Final = 60.0
"""Between two looks at which bid locks ended, seconds. Who asks in between is told by the day that stands in the lock."""

SCAN_S: Final = 60.0
"""Between two looks for documents that the virus check has not seen, seconds."""

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
    with _registry(settings, new_agent_id()) as database:
        migrate(database.engine)
        yield Office(settings, own, database)


@contextmanager
def _registry(settings: Settings, name: str) -> Iterator[Database]:
    database = Database(
        settings.database_url,
        vault_at(settings.keys_dir / DATA_KEY),
        name=name,
        pool=settings.database.pool,
        busy_s=settings.database.busy_s,
    )
    try:
        yield database
    finally:
        database.close()


def shut_out(at: Office, device: DeviceId) -> None:
    """Revoke a device, have the broker read the new list, and end the session that it has.

    Raises:
        CannotEnrol: no such device.
        NotEvicted: everything was done but that its session could not be ended.
    """
    enrolment.revoke(at.database, at.authority, device, at.settings.fleet, now())
    broker.tell(at.settings.broker.reload)
    eviction.evict(at.authority, device, at.settings.broker, now())


def keep_up_revocations(at: Office) -> None:
    """Write the revocation list anew where a revoked certificate is missing on it, and have the broker read it."""
    if enrolment.is_list_behind(at.database, at.authority, now()):
        enrolment.refresh_revocations(at.database, at.authority, at.settings.fleet, now())
        broker.tell(at.settings.broker.reload)


def renew_own(at: Office) -> None:
    """Make our own certificates and the revocation lists new as far as it is time, and look ahead at what else ends."""
    at.authority.certify_own(at.settings.broker.names, now())
    at.authority.certify_sessions(now())
    enrolment.refresh_revocations(at.database, at.authority, at.settings.fleet, now())
    with at.database.write() as session:
        watch.look(session, at.authority, now())
        if at.settings.fleet.record_key_days is not None:
            renewal.want_new_keys(session, at.settings.fleet.record_key_days, now())
    broker.tell(at.settings.broker.reload)


@contextmanager
def door(at: Office) -> Iterator[None]:
    """Keep the enrolment door open for the block, where the settings name a port for it."""
    options, files = at.settings.door, at.authority.files
    if options.port is None:
        yield
        return
    from sync_agent.web import doorway
    from sync_agent.web.door import create_door

    behind = create_door(at.database, at.authority, at.settings, now)
    with (
        doorway.opened(
            behind, host=options.host, port=options.port, certificate=files.door_certificate, key=files.door_key
        ) as opened,
        on_duty([Duty("door certificate", LOOK_S, opened.read_certificate)]),
    ):
        yield


@contextmanager
def judge(settings: Settings, agent: str) -> Iterator[Judge]:
    """Open the judge of what one agent holds, with keys and registry of its own: in its own process."""
    own = authority.load(settings.keys_dir)
    desk = answers.Office(Tenant(settings.tenant), lambda: own.receipt_key, now)
    with _registry(settings, agent) as database:
        yield Judge(
            database,
            RuleBook.of(settings.rules),
            desk,
            lambda: own.registry_keys,
            lambda session: leases.held(session, agent),
            lambda session, shards: leases.fence(session, agent, shards),
        )


def registry_duties(at: Office) -> list[Duty]:
    """Return what the registry does by itself: warn of permits that end (S43), check documents, forget pieces of them.

    It also ends bid locks (S54) and finds out who must be retrained (12.3). When something is due stands in the tables, and each
    duty looks for it there at the start, so a restart loses nothing.
    """
    settings, zone = at.settings.documents, RuleBook.of(at.settings.rules).zone

    def warn() -> None:
        with at.database.write() as session:
            permits_rows.warn(session, zone, now())

    def clear_out() -> None:
        with at.database.write() as session:
            documents_rows.clear_out(session, now())

    def release_due() -> None:
        with at.database.write() as session:
            locks_rows.release_due(session, now(), zone)

    def flag_lapsed() -> None:
        with at.database.write() as session:
            flags_rows.flag_lapsed(session, now(), zone)

    return [
        Duty("permits", PERMITS_S, warn),
        Duty("bid locks", LOCKS_S, release_due),
        Duty("retraining", DAY_S, flag_lapsed),
        Duty("virus check", SCAN_S, lambda: scanning.scan(at.database, settings.scanner, settings.scan_s, now())),
        Duty("document pieces", DAY_S, clear_out),
    ]


@contextmanager
def ingest(at: Office) -> Iterator[Ingest]:
    """Take records from the broker for the block."""
    settings, files = at.settings, at.authority.files
    tenant = Tenant(settings.tenant)
    at.authority.certify_sessions(now())
    with at.database.write() as session:
        qualifications.load(session)
    access = BrokerAccess(
        host=settings.broker.host,
        port=settings.broker.port,
        protocol=Protocol(settings.broker.mqtt),
        ca=files.ca,
        key=files.agent_tls_key,
    )
    sessions = Sessions(access, files, tenant, lambda: held.is_sure, now)
    held = Leases(at.database, at.database.name, sessions.hold)
    desk = answers.Office(tenant, lambda: at.authority.receipt_key, now)
    verifiers = Verifiers(settings.verifiers)
    clerk = Clerk(at.database, desk, verifiers, held.fence)
    postman = Postman(sessions.say)
    court = Court(partial(judge, settings, held.agent), lambda receipts: postman.deliver(map(desk.post, receipts)))
    stream = Ingest(sessions, held, clerk, court, postman)
    verifiers.start()
    stream.start()
    teller = Teller(at.database, at.authority, tenant, lambda: held.held, sessions.say, now)
    try:
        with on_duty(
            [
                Duty("upkeep", DAY_S, lambda: renew_own(at)),
                *registry_duties(at),
                Duty("quarantine", DAY_S, lambda: quarantine.clear_out(at.database, settings.fleet.quarantine_days, now())),
                Duty("revocations", REVOCATIONS_S, lambda: keep_up_revocations(at)),
                Duty("trust lists", TRUST_S, teller.round),
            ]
        ):
            yield stream
    finally:
        stream.stop()
        verifiers.stop()


@contextmanager
def until_told() -> Iterator[threading.Event]:
    """Have SIGTERM and SIGINT set the event for the block, instead of ending the program before it has given its shards away."""
    told = threading.Event()
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(kind, lambda *_: told.set()) for kind in kinds]
    try:
        yield told
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def serve(settings: Settings) -> None:
    """Take records and serve the staff page until told to stop."""
    from sync_agent.web.app import create_app  # here, so that an agent that only takes records needs no web

    # uvicorn takes the signals while it runs, and raises them again when it has ended.
    with until_told() as told, office(settings) as at, ingest(at), door(at):
        web = uvicorn.Config(
            create_app(at.database, settings, now),
            host=settings.web.host,
            port=settings.web.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        if not told.is_set():
            uvicorn.Server(web).run()
