"""A centre with its enrolment door open on loopback, real TLS, a clock that the test moves, and kiosks that come to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kiosk.uplink import enrol, identity
from kiosk.uplink.door import Door
from kiosk.uplink.renewal import Renewals
from kiosk.uplink.wallet import Wallet
from sync_agent.contract.enrolment import Answer
from sync_agent.contract.invitation import Code
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import alarms, enrolment, invitations
from sync_agent.fleet.authority import Authority, establish
from sync_agent.registry.database import Database
from sync_agent.settings import BrokerSettings, DoorSettings, Settings
from sync_agent.web.door import create_door
from sync_agent.web.doorway import opened
from system.services.process import HOST, free_port

DEVICE, SITE, SERIAL = DeviceId("kiosk-1"), "site-7", "10000000abc"


@dataclass
class Hands:
    """A clock whose hands the test moves; TLS itself looks at the machine's."""

    time: datetime

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def age_s(self) -> int | None:
        return 5

    def pass_by(self, by: timedelta) -> None:
        self.time += by


@dataclass
class Centre:
    """What an operator has before them."""

    database: Database
    authority: Authority
    settings: Settings
    clock: Hands
    state_dir: Path

    @property
    def address(self) -> str:
        return self.settings.door.address

    def invite(self, device: str = DEVICE, serial: str = SERIAL, site: str = SITE) -> Code:
        return invitations.invite(self.database, self.authority, DeviceId(device), serial, site, self.settings, self.clock.now())

    def approve(self, number: str, device: str = DEVICE) -> None:
        invitations.approve(self.database, self.authority, DeviceId(device), number, self.settings, self.clock.now())

    def alarms(self) -> list[tuple[str, str, str]]:
        with self.database.read() as session:
            return sorted((row.kind.value, row.device_id or "", row.subject) for row in alarms.open_alarms(session))

    def enrol(self, folder: str = "kiosk", device: str = DEVICE) -> Wallet:
        """Have a kiosk enrolled over the network, its operator approving at once."""
        self.come(self.state_dir / folder, self.invite(device), lambda number: self.approve(number, device))
        return Wallet(self.state_dir / folder)

    def come(self, folder: Path, code: Code, say: Callable[[str], None], serial: str = SERIAL) -> Answer:
        """Let a kiosk ask; `say` is given the number."""
        return enrol.enrol(folder, self.address, code, serial, say=say, pause=lambda _: None)

    def by_file(self, folder: str, device: str) -> Wallet:
        """Enrol a kiosk by file."""
        asked = identity.begin(self.state_dir / folder, DeviceId(device), SITE, SERIAL)
        answer = enrolment.approve(self.database, self.authority, asked, self.settings, self.clock.now())
        identity.finish(self.state_dir / folder, answer)
        return Wallet(self.state_dir / folder)

    def renewals(self, wallet: Wallet) -> Renewals:
        return Renewals(wallet, self.clock, random.Random(1))

    def door_of(self, wallet: Wallet) -> Door:
        return Door(wallet.current.door, wallet.current.ca)


@pytest.fixture
def clock() -> Hands:
    return Hands(datetime.now(UTC))


@pytest.fixture
def centre(database: Database, state_dir: Path, clock: Hands) -> Iterator[Centre]:
    settings = Settings(
        state_dir=state_dir / "agent",
        tenant="xz",
        broker=BrokerSettings(device_host="broker.example", port=8884),
        door=DoorSettings(port=free_port(), tries_per_minute=1000),
    )
    authority = establish(settings.keys_dir, [], clock.now())
    door = create_door(database, authority, settings, clock.now, clock.monotonic)
    files = authority.files
    with opened(door, host=HOST, port=settings.door.port or 0, certificate=files.door_certificate, key=files.door_key):
        yield Centre(database, authority, settings, clock, state_dir)
