"""Keys change while records flow, and a device is shut out: kiosk and centre over a real broker and a real door."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kiosk.clock import SystemClock
from kiosk.uplink import identity
from kiosk.uplink.courier import Courier
from kiosk.uplink.line import KioskEnd, UplinkEnd
from kiosk.uplink.link import Trouble
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from kiosk.uplink.renewal import Renewals
from kiosk.uplink.wallet import Wallet
from sync_agent import service
from sync_agent.contract.enrolment import Answer
from sync_agent.fleet import enrolment, renewal, trust
from sync_agent.fleet.keyring import Which
from sync_agent.registry.tables import DeviceStatus, DeviceTrust
from system.services.process import Process, free_port
from tests.system.centre import DEVICE, HASTY, SITE, Centre, Kiosk, kiosk

pytestmark = [
    pytest.mark.broker,
    # paho drops the socket of a failed handshake and its own wake-up pair at each new start without closing them; Python does.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <(ssl.SSLSocket|socket.socket):pytest.PytestUnraisableExceptionWarning"
    ),
]


@contextmanager
def with_door(centre: Centre) -> Iterator[service.Office]:
    """Open the centre's door; the device is told of it."""
    settings = centre.office.settings
    with_port = settings.model_copy(update={"door": settings.door.model_copy(update={"port": free_port()})})
    office = replace(centre.office, settings=with_port)
    answer = Answer.model_validate_json((centre.identity_dir / identity.ANSWER).read_bytes())
    identity.finish(centre.identity_dir, answer.model_copy(update={"door": with_port.door.address}))
    with service.door(office):
        yield office


@asynccontextmanager
async def whole_kiosk(state_dir: Path, wallet: Wallet) -> AsyncIterator[Kiosk]:
    """The kiosk's side of the uplink as `kiosk uplink` wires it: trust lists are taken, keys renewed."""
    clock, jitter = SystemClock(), random.Random(1)
    outbox = Outbox(state_dir / "outbox.db")
    pen = Pen(outbox, wallet, clock)
    renewals = Renewals(wallet, clock, jitter)
    uplink, line = UplinkEnd(state_dir / "uplink.sock"), KioskEnd(state_dir / "uplink.sock", retry_s=0.02)
    courier = Courier(wallet, outbox, uplink, HASTY, clock, jitter, take_trust=renewals.box.take)
    await uplink.start(courier.heard)
    tasks = [asyncio.create_task(what) for what in (courier.run(), line.run(), renewals.run())]
    try:
        yield Kiosk(outbox, pen, line)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await uplink.stop()
        outbox.close()


def believed(office: service.Office) -> int:
    """The list that the centre knows the device to believe."""
    with office.database.read() as session:
        row = session.get(DeviceTrust, DEVICE)
        return row.number if row is not None else 0


def is_heard(centre: Centre) -> bool:
    """Whether the device has said that it is there."""
    with centre.office.database.read() as session:
        return session.get(DeviceStatus, DEVICE) is not None


def step(office: service.Office, take: object, which: Which) -> None:
    assert callable(take)
    take(office.database, office.authority, which, "operator", service.now())


async def test_all_keys_change_while_records_flow_and_none_is_lost_or_refused(
    centre: Centre, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TRUST_S", 0.2)
    with with_door(centre) as office, centre.agent():
        wallet = Wallet(centre.identity_dir)
        before = (wallet.signing_key.thumbprint(), wallet.registry_key.thumbprint(), office.authority.receipt_key.thumbprint())
        async with whole_kiosk(state_dir, wallet) as ours:
            await ours.until_answered(ours.write())
            step(office, trust.stage, Which.AGENT)
            await ours.until(lambda: believed(office) == 2, "the device's word that it believes the staged key")
            step(office, trust.promote, Which.AGENT)
            step(office, trust.stage, Which.REGISTRY)
            step(office, trust.promote, Which.REGISTRY)
            await ours.until_answered(ours.write())
            await ours.until(lambda: believed(office) == 4, "the device's word that it seals to the new key")
            renewal.want_new_key(office.database, DEVICE, service.now())
            await ours.until(lambda: wallet.signing_key.thumbprint() != before[0], "the new record key")
            await ours.until_answered(ours.write())
        now = (wallet.signing_key.thumbprint(), wallet.registry_key.thumbprint(), office.authority.receipt_key.thumbprint())
        assert not set(before) & set(now)
    assert centre.records() == [1, 2, 3]
    assert centre.quarantined() == 0


async def test_a_device_that_is_shut_out_loses_its_link_and_its_records_are_not_taken(centre: Centre, state_dir: Path) -> None:
    pid_file = state_dir / "mosquitto.pid"
    pid_file.write_text(str(centre.broker.pid))
    settings = centre.office.settings
    told = settings.model_copy(update={"broker": settings.broker.model_copy(update={"reload": pid_file})})
    office = replace(centre.office, settings=told)
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
            await ours.until_answered(ours.write())
            assert ours.line.link.is_up
            await asyncio.to_thread(service.shut_out, office, DEVICE)
            await ours.until_trouble(Trouble.REVOKED)
            ours.write()
            await ours.until_trouble(Trouble.REVOKED)
    assert centre.records() == [1]


async def test_an_ended_certificate_is_named_and_the_device_renews_and_comes_back(centre: Centre, state_dir: Path) -> None:
    asked = identity.begin(centre.identity_dir, DEVICE, SITE, "")
    ended = service.now() - timedelta(days=91)
    answer = enrolment.approve(centre.office.database, centre.office.authority, asked, centre.office.settings, ended)
    identity.finish(centre.identity_dir, answer)
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as without_door:
            await without_door.until_trouble(Trouble.EXPIRED)
        with with_door(centre):
            async with whole_kiosk(state_dir, Wallet(centre.identity_dir)) as ours:
                await ours.until_answered(ours.write())
    assert centre.records() == [1]


@pytest.mark.parametrize(("ahead", "renews"), [("+10d", False), ("+70d", True)])
def test_the_uplink_process_renews_by_its_own_clock(centre: Centre, state_dir: Path, ahead: str, renews: bool) -> None:
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("needs Debian's faketime")
    file, log = state_dir / "kiosk.toml", state_dir / "uplink.log"
    file.write_text(f'state_dir = "{state_dir}"\n[notice]\ncontroller = "c"\ncontact = "c"\n')
    with closing(Outbox(state_dir / "outbox" / "outbox.db")) as outbox:
        outbox.begin_boot()
    wallet = Wallet(centre.identity_dir)
    first = wallet.certificate()

    def is_done() -> bool:
        """Whether it has renewed; of one that is not to renew, whether the centre has heard of it."""
        return b"identity.renewed" in log.read_bytes() if renews else is_heard(centre)

    with with_door(centre), centre.agent():
        command: list[str | Path] = [faketime, "-f", ahead, sys.executable, "-m", "kiosk", "uplink", "--settings", file]
        uplink = Process("uplink", command, log)
        uplink.start(is_done, within_s=25)
        uplink.stop()
    assert (wallet.certificate() != first) is renews
    assert (b"renewal.clock-differs" in log.read_bytes()) is renews, "it asked by the centre's time"
