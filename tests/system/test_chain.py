"""The chain from the pen to the registry over a real broker: every fault of the way, and no record lost or doubled."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import jsonschema
import pytest

from kiosk.clock import SystemClock
from kiosk.uplink import identity
from kiosk.uplink.link import Trouble
from kiosk.uplink.store import State
from sync_agent import service
from sync_agent.contract import documents, envelope, receipts, topics
from sync_agent.contract.suites import INTL_1, BadSignature
from sync_agent.contract.topics import Tenant, Up
from sync_agent.fleet import authority, enrolment
from tests.certificates import Issued
from tests.mqtt import Speaker
from tests.system.centre import DEVICE, Centre, kiosk

pytestmark = [
    pytest.mark.broker,
    # paho drops the socket of a failed handshake and its own wake-up pair at each new start without closing them; Python does.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <(ssl.SSLSocket|socket.socket):pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.mark.parametrize("centre", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_a_record_goes_out_and_its_answer_comes_back(centre: Centre, state_dir: Path) -> None:
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
            await ours.until_answered(ours.write())
            assert ours.outbox.progress(1).case is not None
    assert centre.records() == [1]


async def test_while_the_broker_is_down_records_wait_and_then_arrive_once(centre: Centre, state_dir: Path) -> None:
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
            await ours.until_answered(ours.write())
            centre.broker.stop()
            await ours.until(lambda: not ours.line.link.is_up, "the loss of the link")
            seqs = [ours.write() for _ in range(3)]
            assert ours.outbox.depth(SystemClock().now()).count == 3
            centre.broker.start()
            for seq in seqs:
                await ours.until_answered(seq)
    assert centre.records() == [1, 2, 3, 4]


async def test_while_the_sync_agent_is_down_records_wait_and_then_arrive_once(centre: Centre, state_dir: Path) -> None:
    async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")
        seq = ours.write()
        assert ours.outbox.progress(seq).state is State.WAITING
        with centre.agent():
            await ours.until_answered(seq)
    assert centre.records() == [seq]


async def test_a_broker_that_is_killed_with_records_in_hand_loses_none(centre: Centre, state_dir: Path) -> None:
    async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")
        for _ in range(5):
            ours.write()
        centre.broker.kill()
        centre.broker.start()
        with centre.agent():
            for seq in range(1, 6):
                await ours.until_answered(seq)
    assert centre.records() == [1, 2, 3, 4, 5]


async def test_a_locked_registry_holds_the_flow_and_loses_nothing(centre: Centre, state_dir: Path) -> None:
    path = centre.office.settings.state_dir / "registry.db"
    with centre.agent(), closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
            await ours.until(lambda: ours.line.link.is_up, "the link")
            other.execute("BEGIN IMMEDIATE")
            seq = ours.write()
            with suppress(TimeoutError):
                await asyncio.wait_for(ours.line.news(), 0.5)
            assert ours.outbox.progress(seq).state is State.WAITING
            other.execute("ROLLBACK")
            await ours.until_answered(seq)
    assert centre.records() == [seq]


async def test_a_revoked_certificate_is_refused_and_named(centre: Centre, state_dir: Path) -> None:
    office = centre.office
    enrolment.revoke(office.database, office.authority, DEVICE, office.settings.fleet, service.now())
    centre.broker.stop()
    centre.broker.start()
    async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
        await ours.until_trouble(Trouble.REVOKED)


async def test_a_broker_that_we_do_not_trust_is_refused_and_named(centre: Centre, state_dir: Path) -> None:
    authority.establish(state_dir / "stranger", (), service.now())
    other_ca = (state_dir / "stranger" / "ca.crt").read_bytes()
    who = identity.load(centre.identity_dir)
    who.ca.write_bytes(other_ca)
    async with kiosk(state_dir, who) as ours:
        await ours.until_trouble(Trouble.BROKER_NOT_TRUSTED)


async def test_a_broker_that_is_not_there_is_named(centre: Centre, state_dir: Path) -> None:
    centre.broker.stop()
    async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
        await ours.until_trouble(Trouble.UNREACHABLE)
        centre.broker.start()
        await ours.until(lambda: ours.line.link.is_up, "the link")


async def test_a_forged_receipt_settles_nothing(centre: Centre, state_dir: Path) -> None:
    """Somebody with the broker in hand answers in the agent's place; only the agent's own key counts."""
    async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")
        seq = ours.write()
        forged = receipts.Receipt(device=DEVICE, epoch=ours.outbox.epoch, upto=seq, at=service.now())
        stranger = authority.establish(state_dir / "stranger", (), service.now()).receipt_key
        own = centre.office.authority.receipt_key
        speaker = await asyncio.to_thread(centre.observer)
        topic = topics.down(Tenant("xz"), DEVICE, topics.Down.RECEIPT)
        for key, after in ((stranger, State.WAITING), (own, State.RECEIVED)):
            await asyncio.to_thread(speaker.say, topic, receipts.write(forged, key))
            with suppress(TimeoutError):
                await asyncio.wait_for(ours.line.news(), 1.0)
            assert ours.outbox.progress(seq).state is after
        speaker.close()


async def test_noise_on_a_device_topic_is_quarantined_and_records_still_flow(centre: Centre, state_dir: Path) -> None:
    who = identity.load(centre.identity_dir)
    device = Issued(who.certificate, who.tls_key)
    with centre.agent():
        async with kiosk(state_dir, who) as ours:
            await ours.until_answered(ours.write())
        speaker = await asyncio.to_thread(Speaker, centre.broker, who.ca, device, client_id=DEVICE)
        await asyncio.to_thread(speaker.say, topics.up(Tenant("xz"), DEVICE, Up.RECORD), random.Random(1).randbytes(200_000))
        speaker.close()
        async with kiosk(state_dir, who) as ours:
            await ours.until_answered(ours.write())
    assert centre.quarantined() == 1
    assert centre.records() == [1, 2]


async def test_a_megabyte_of_noise_is_cut_off_by_the_broker_and_records_still_flow(centre: Centre, state_dir: Path) -> None:
    who = identity.load(centre.identity_dir)
    device = Issued(who.certificate, who.tls_key)
    with centre.agent():
        speaker = await asyncio.to_thread(Speaker, centre.broker, who.ca, device, client_id=DEVICE)
        speaker.send(topics.up(Tenant("xz"), DEVICE, Up.RECORD), bytes(1_000_000))
        await asyncio.to_thread(speaker.wait_until_cut_off)
        speaker.close()
        async with kiosk(state_dir, who) as ours:
            await ours.until_answered(ours.write())
    assert centre.records() == [1]


async def test_what_crosses_the_wire_fits_the_published_schemas(centre: Centre, state_dir: Path) -> None:
    """Listen as the agent would, and hold every message of a real kiosk against the documents."""
    who = identity.load(centre.identity_dir)
    schemas = {name: jsonschema.Draft202012Validator(schema) for name, schema in documents.schemas().items()}
    heard: set[Up] = set()
    ear = await asyncio.to_thread(centre.observer)
    await asyncio.to_thread(ear.subscribe, topics.every_up(Tenant("xz")))
    async with kiosk(state_dir, who) as ours:
        ours.write()
        while heard != set(Up):
            topic, payload = await asyncio.to_thread(ear.hear)
            what = topics.heard(topic).what
            heard.add(what)
            if what is Up.RECORD:
                event = json.loads(INTL_1.verify(payload, who.signing_key, envelope.MEDIA_TYPE))
                schemas["event"].validate(event)
                schemas["case-facts"].validate(event["data"]["facts"])
            else:
                schemas["telemetry" if what is Up.TELEMETRY else what.value].validate(json.loads(payload))
    ear.close()
    with pytest.raises(jsonschema.ValidationError):
        schemas["birth"].validate({"boot": 0})
    with pytest.raises(BadSignature):
        INTL_1.verify(b"a.b.c", who.signing_key, envelope.MEDIA_TYPE)
