"""Both sides of the uplink for tests: a centre with a real broker, and a kiosk without a window."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, func, select, update

from kiosk.clock import SystemClock
from kiosk.settings import UplinkSettings
from kiosk.uplink import identity
from kiosk.uplink.courier import Courier
from kiosk.uplink.line import KioskEnd, UplinkEnd
from kiosk.uplink.link import LinkState, Trouble
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from kiosk.uplink.store import State
from sync_agent import service
from sync_agent.contract.kinds import Case, Cause
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import authority, enrolment
from sync_agent.registry.tables import Alarm, AlarmKind, DeviceStatus, LiveAgent, Quarantine, RecordRow, Shard
from sync_agent.settings import BrokerSettings, DatabaseSettings, Settings
from system.services.broker import Mosquitto
from system.services.process import Process, free_port
from tests.mqtt import Speaker
from tests.observer import OBSERVER, Observed, certify

DEVICE, SITE = DeviceId("kiosk-01"), "site-1"
CASE = Case(site=SITE, step="face", cause=Cause.HELP)
HASTY = UplinkSettings(resend_s=0.3, retry_max_s=0.3, telemetry_s=60)
WITHIN_S = 30.0


@dataclass
class Centre:
    """The central side: keys, registry, a broker; the agent starts and stops on demand."""

    office: service.Office
    broker: Mosquitto
    identity_dir: Path

    @contextmanager
    def agent(self) -> Iterator[None]:
        """Take records for the block, in this process."""
        with service.ingest(self.office):
            yield

    def agent_process(self, *, program: Sequence[str] = ("-m", "sync_agent"), env: Mapping[str, str] | None = None) -> Process:
        """Return a sync agent in a process of its own, not yet started: `sync-agent ingest`, as it is run.

        Args:
            program: what Python is to run; it is given the command line of `sync-agent`.
            env: its environment; absent is ours.
        """
        at = self.office.settings
        file = at.state_dir / "sync-agent.toml"
        lines = [f'state_dir = "{at.state_dir}"', f'tenant = "{at.tenant}"', "[broker]", f"port = {at.broker.port}"]
        lines += ["[database]", f'url = "{at.database_url}"', f"busy_s = {at.database.busy_s}"]
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        command: list[str | Path] = [sys.executable, *program, "ingest", "--settings", file]
        return Process("sync agent", command, at.state_dir / "agent.log", env=env)

    def observer(self) -> Speaker:
        """Connect as somebody who has the broker in hand: hears every device, may speak where the agent does. Blocks."""
        at = self.office.settings
        return Speaker(self.broker, self.office.authority.files.ca, certify(at.keys_dir, at.state_dir), client_id=OBSERVER)

    def bury(self) -> None:
        """Give free what killed agents still hold, as it would be by itself when their leases have run out."""
        with self.office.database.write() as session:
            session.execute(delete(LiveAgent))
            session.execute(update(Shard).values(owner=None, expires_at=None))

    def alarms(self) -> set[AlarmKind]:
        """What a person is called for."""
        with self.office.database.read() as session:
            return set(session.scalars(select(Alarm.kind)))

    def link(self) -> str:
        """What the fleet page says of the device's connection."""
        with self.office.database.read() as session:
            return str(session.scalar(select(DeviceStatus.link)) or "")

    def unjudged(self) -> int:
        """How many records the ledger holds that the rules have not judged."""
        with self.office.database.read() as session:
            return session.scalar(select(func.count()).where(RecordRow.standing.is_(None))) or 0

    def uplink_process(self, *, before: Sequence[str | Path] = (), env: Mapping[str, str] | None = None) -> Process:
        """Return the device's uplink in a process of its own, not yet started: `kiosk uplink`, as it is run.

        Args:
            before: what stands in the command line before Python, for instance strace.
            env: its environment; absent is ours.
        """
        state_dir = self.identity_dir.parent
        file = state_dir / "kiosk.toml"
        lines = [f'state_dir = "{state_dir}"', "[notice]", 'controller = "site"', 'contact = "office"', "[uplink]"]
        lines += [f"{name} = {value}" for name, value in HASTY.model_dump(exclude_defaults=True).items()]
        file.write_text("\n".join(lines) + "\n")
        command = [*before, sys.executable, "-m", "kiosk", "uplink", "--settings", file]
        return Process("uplink", command, state_dir / "uplink.log", env=env)

    def records(self) -> list[int]:
        """The sequences the ledger holds."""
        with self.office.database.read() as session:
            return list(session.scalars(select(RecordRow.seq).order_by(RecordRow.seq)))

    def quarantined(self) -> int:
        """How many different messages never became a record: those kept, and those of a flood that were only counted."""
        with self.office.database.read() as session:
            kept = session.scalar(select(func.count()).select_from(Quarantine)) or 0
            counted = session.scalar(select(func.sum(Alarm.times)).where(Alarm.kind == AlarmKind.FLOOD)) or 0
        return kept + counted


@contextmanager
def enrolled(state_dir: Path, url: str | None = None, names: tuple[str, ...] = ()) -> Iterator[service.Office]:
    """Open an office with one enrolled device, whose identity lies in the folder ``identity``; no broker, no agent.

    Args:
        state_dir: everything goes below it.
        url: the database; absent is SQLite.
        names: further names and addresses of the broker.
    """
    settings = Settings(
        state_dir=state_dir / "agent",
        tenant="xz",
        broker=BrokerSettings(port=free_port(), names=names),
        database=DatabaseSettings(url=SecretStr(url) if url else None, busy_s=0.1),
    )
    authority.establish(settings.keys_dir, settings.broker.names, service.now())
    with service.office(settings) as office:
        enrolment.refresh_revocations(office.database, office.authority, settings.fleet, service.now())
        asked = identity.begin(state_dir / "identity", DEVICE, SITE, "")
        answer = enrolment.approve(office.database, office.authority, asked, settings, service.now())
        identity.finish(state_dir / "identity", answer)
        yield office


@contextmanager
def opened(
    state_dir: Path, url: str | None = None, names: tuple[str, ...] = (), make_broker: type[Mosquitto] = Observed
) -> Iterator[Centre]:
    """Open a centre with one enrolled device and a running broker; no agent runs yet.

    Args:
        state_dir: everything goes below it.
        url: the database; absent is SQLite.
        names: further names and addresses of the broker.
        make_broker: a Mosquitto that is configured otherwise; absent is one that knows the observer.
    """
    with enrolled(state_dir, url, names) as office:
        files = office.authority.files
        broker = make_broker(
            state_dir / "mosquitto",
            ca=files.ca,
            certificate=files.broker_certificate,
            key=files.broker_key,
            revoked=files.revoked,
            port=office.settings.broker.port,
        )
        with broker:
            yield Centre(office, broker, state_dir / "identity")


@dataclass
class Kiosk:
    """The kiosk's side of the uplink, without a window: pen, outbox, line; the courier runs beside it."""

    outbox: Outbox
    pen: Pen
    line: KioskEnd
    links: list[LinkState] = field(default_factory=list)

    def write(self) -> int:
        seq = self.pen.write(CASE, None).seq
        self.line.written()
        return seq

    async def until(self, true: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not true():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self.line.news(), 0.2)
        except TimeoutError:
            pytest.fail(f"{what} did not happen; link {self.line.link}, outbox {[row[3].state for row in self.outbox.listing()]}")

    async def until_answered(self, seq: int, within_s: float = WITHIN_S) -> None:
        await self.until(lambda: self.outbox.progress(seq).state is State.ANSWERED, f"an answer to record {seq}", within_s)

    async def until_trouble(self, trouble: Trouble) -> None:
        await self.until(lambda: self.line.link == LinkState(False, trouble), f"link trouble {trouble.name}")


@asynccontextmanager
async def kiosk(state_dir: Path, who: identity.Identity, settings: UplinkSettings = HASTY) -> AsyncIterator[Kiosk]:
    outbox = Outbox(state_dir / "outbox.db")
    pen = Pen(outbox, who, SystemClock())
    uplink, line = UplinkEnd(state_dir / "uplink.sock"), KioskEnd(state_dir / "uplink.sock", retry_s=0.02)
    courier = Courier(who, outbox, uplink, settings, SystemClock(), random.Random(1))
    await uplink.start(courier.heard)
    tasks = [asyncio.create_task(courier.run()), asyncio.create_task(line.run())]
    try:
        yield Kiosk(outbox, pen, line)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await uplink.stop()
        outbox.close()
