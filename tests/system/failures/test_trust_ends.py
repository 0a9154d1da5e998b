"""Rows 13, 14 and 18: forged lists, a device revoked while it is connected, and what ends by date, at a real Mosquitto."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from kiosk.uplink import identity
from kiosk.uplink.link import Trouble
from kiosk.uplink.wallet import Wallet
from sync_agent import service
from sync_agent.contract import topics
from sync_agent.contract import trust as wire
from sync_agent.contract.topics import DeviceId, Down, Tenant
from sync_agent.contract.trust import Trust
from sync_agent.fleet import enrolment, trust
from sync_agent.fleet.keyring import Which
from sync_agent.registry.tables import AlarmKind
from tests.certificates import Issued
from tests.mqtt import Speaker
from tests.system.centre import DEVICE, Centre, kiosk
from tests.system.test_trust import whole_kiosk

pytestmark = [pytest.mark.broker, pytest.mark.slow]


def connected(centre: Centre, device: DeviceId = DEVICE) -> bool:
    """Whether the broker lets the device in."""
    who = identity.load(centre.identity_dir)
    with Speaker(centre.broker, who.ca, Issued(who.certificate, who.tls_key), client_id=device) as speaker:
        return speaker.was_let_in


async def test_revoked_but_connected_records_are_refused_from_then_on_even_where_the_session_goes_on(
    centre: Centre, state_dir: Path
) -> None:
    """Row 14, first half: the broker was told nothing, so the session lives; only the record key's end refuses."""
    office = centre.office
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
            await ours.until_answered(ours.write())  # the negative control: before, the same is taken
            enrolment.revoke(office.database, office.authority, DEVICE, office.settings.fleet, service.now())
            ours.write()
            await ours.until(lambda: AlarmKind.REVOKED_STILL_SENDING in centre.alarms(), "the alarm")
            assert ours.line.link.is_up
    assert centre.records() == [1]


@pytest.mark.parametrize(("is_told", "after"), [(True, False), (False, True)], ids=["told", "not told"])
async def test_a_session_is_ended_for_good_only_where_the_broker_reads_the_list(
    centre: Centre, state_dir: Path, is_told: bool, after: bool
) -> None:
    """Row 14, second half: evicted and kept out; a broker that is not told lets the device back in."""
    pid_file = state_dir / "mosquitto.pid"
    pid_file.write_text(str(centre.broker.pid))
    settings = centre.office.settings
    told = settings.model_copy(update={"broker": settings.broker.model_copy(update={"reload": pid_file if is_told else None})})
    who = identity.load(centre.identity_dir)
    own = Issued(who.certificate, who.tls_key)
    with await asyncio.to_thread(Speaker, centre.broker, who.ca, own, client_id=DEVICE) as speaker:
        assert speaker.was_let_in
        await asyncio.to_thread(service.shut_out, replace(centre.office, settings=told), DEVICE)
        await asyncio.to_thread(speaker.wait_until_cut_off)
    assert await asyncio.to_thread(connected, centre) is after


async def test_forged_and_old_trust_lists_change_nothing_and_the_forged_one_is_an_alarm_at_the_centre(
    centre: Centre, state_dir: Path
) -> None:
    """Row 13, for lists: a stranger's, one for another device, a lower number; then the agent's own, which is taken."""
    office, wallet = centre.office, Wallet(centre.identity_dir)
    now = service.now()
    with office.database.write() as session:
        first = trust.newest_list(session, office.authority, now)
        old = trust.signed(session, office.authority, DEVICE, first, now)
    trust.stage(office.database, office.authority, Which.AGENT, "operator", now)
    with office.database.write() as session:
        newest = trust.newest_list(session, office.authority, now)
        good = trust.signed(session, office.authority, DEVICE, newest, now)
        others = trust.signed(session, office.authority, DeviceId("kiosk-99"), newest, now)
    stranger = OKPKey.generate_key("Ed25519")
    body = Trust(device=DEVICE, number=99, at=now, **newest.body)
    topic = topics.down(Tenant("xz"), DEVICE, Down.TRUST)
    async with whole_kiosk(state_dir, wallet) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")

        async def tell(*messages: bytes) -> None:
            with await asyncio.to_thread(centre.observer) as speaker:
                for message in messages:
                    await asyncio.to_thread(speaker.say, topic, message)

        await tell(good)
        await ours.until(lambda: wallet.trust == 2, "the agent's own list")
        with centre.agent():
            await ours.until_answered(ours.write())
            assert AlarmKind.FORGED not in centre.alarms()
        await tell(old, others, wire.write(body, stranger))
        with centre.agent():
            await ours.until(lambda: AlarmKind.FORGED in centre.alarms(), "the alarm")
            await ours.until_answered(ours.write())
        assert wallet.trust == 2
        assert stranger.thumbprint() not in {key.thumbprint() for key in wallet.agent_keys}


async def test_an_ended_revocation_list_refuses_everybody_until_the_duty_makes_it_new(centre: Centre, state_dir: Path) -> None:
    """Row 18: the list of a centre whose duty did not run for 31 days; the duty runs at each start and daily, for 30 days."""
    pid_file = state_dir / "mosquitto.pid"
    settings = centre.office.settings
    told = settings.model_copy(update={"broker": settings.broker.model_copy(update={"reload": pid_file})})
    office = replace(centre.office, settings=told)
    assert await asyncio.to_thread(connected, centre), "the negative control"
    ended = service.now() - timedelta(days=31)
    enrolment.refresh_revocations(office.database, office.authority, settings.fleet, ended)
    centre.broker.stop()  # it keeps a list that holds beside one that does not, so it must never have read another
    centre.broker.start()
    pid_file.write_text(str(centre.broker.pid))
    async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
        await ours.until(lambda: ours.line.link.trouble not in (Trouble.NONE, Trouble.UNREACHABLE), "being refused")
        service.renew_own(office)
        await ours.until(lambda: ours.line.link.is_up, "being let in again")
