"""The courier over a real broker: a backlog drained, the chain's end compared, a deaf centre, a forged receipt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from kiosk.clock import SystemClock
from kiosk.settings import UplinkSettings
from kiosk.uplink.courier import FORGED, Courier
from kiosk.uplink.identity import Identity
from kiosk.uplink.line import KioskEnd, UplinkEnd
from kiosk.uplink.link import LinkState, Trouble
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from sync_agent.contract import envelope, receipts, topics
from sync_agent.contract.kinds import Case, Cause
from sync_agent.contract.receipts import Receipt, Ruling, Standing
from sync_agent.contract.status import Birth, Telemetry
from sync_agent.contract.topics import DeviceId, Down, Tenant, Up
from system.services.broker import Mosquitto
from system.services.process import HOST
from tests.certificates import Authority
from tests.mqtt import Speaker
from tests.observer import OBSERVER

pytestmark = pytest.mark.broker

TENANT, DEVICE = Tenant("xz"), DeviceId("kiosk-1")
HASTY = UplinkSettings(resend_s=0.2, retry_max_s=0.2, telemetry_s=60, unanswered_s=1.5)
CASE = Case(site="site-1", step="face", cause=Cause.HELP)
WITHIN_S = 15.0


class Centre:
    """A centre of a few lines: holds what it hears, by sequence, and answers with signed receipts."""

    def __init__(self, speaker: Speaker, who: Identity, key: OKPKey) -> None:
        self.speaker = speaker
        self.who = who
        self.key = key
        self.messages: list[int] = []
        self.births: list[Birth] = []
        self.telemetry: list[Telemetry] = []

    async def hear(self) -> tuple[Up, list[envelope.Record]]:
        """Take the next message; return what it was and the records in it."""
        topic, payload = await asyncio.to_thread(self.speaker.hear)
        match topics.heard(topic).what:
            case Up.BIRTH:
                self.births.append(Birth.model_validate_json(payload))
                return Up.BIRTH, []
            case Up.TELEMETRY:
                self.telemetry.append(Telemetry.model_validate_json(payload))
                return Up.TELEMETRY, []
            case Up.RECORD:
                payloads = envelope.unwrap(payload, self.who.signing_key)
                self.messages.append(len(payloads))
                return Up.RECORD, [envelope.parse(one, TENANT, DEVICE) for one in payloads]
            case what:
                return what, []

    async def until(self, what: Up) -> list[envelope.Record]:
        while (heard := await self.hear())[0] is not what:
            pass
        return heard[1]

    async def answer(self, epoch: str, upto: int, records: list[envelope.Record], **rest: object) -> None:
        rulings = [Ruling(seq=one.event.seq, digest=one.digest, standing=Standing.ACCEPTED) for one in records]
        said = {"device": DEVICE, "epoch": epoch, "upto": upto, "rulings": rulings, "at": SystemClock().now(), **rest}
        await self.say(Receipt.model_validate(said), self.key)

    async def say(self, receipt: Receipt, key: OKPKey) -> None:
        topic = topics.down(TENANT, DEVICE, Down.RECEIPT)
        await asyncio.to_thread(self.speaker.say, topic, receipts.write(receipt, key))


@dataclass
class Ours:
    """The kiosk's side, running."""

    outbox: Outbox
    pen: Pen
    line: KioskEnd

    async def until(self, true: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                while not true():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.1):
                            await self.line.news()
        except TimeoutError:
            pytest.fail(f"{what} did not happen; link {self.line.link}")


@asynccontextmanager
async def running(folder: Path, who: Identity, *, backlog: int = 0) -> AsyncIterator[Ours]:
    with closing(Outbox(folder / "outbox.db")) as outbox:
        pen = Pen(outbox, who, SystemClock())
        for _ in range(backlog):
            pen.write(CASE, None)
        uplink, line = UplinkEnd(folder / "uplink.sock"), KioskEnd(folder / "uplink.sock", retry_s=0.02)
        courier = Courier(who, outbox, uplink, HASTY, SystemClock(), random.Random(1))
        await uplink.start(courier.heard)
        tasks = [asyncio.create_task(courier.run()), asyncio.create_task(line.run())]
        try:
            yield Ours(outbox, pen, line)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await uplink.stop()


@pytest.fixture
def agent_key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


@pytest.fixture
def who(broker: Mosquitto, authority: Authority, agent_key: OKPKey) -> Identity:
    own = authority.issue(DEVICE)
    return Identity(
        tenant=TENANT,
        device=DEVICE,
        site="site-1",
        broker_host=HOST,
        broker_port=broker.port,
        signing_key=OKPKey.generate_key("Ed25519"),
        agent_keys=(OKPKey.import_key(agent_key.as_dict(private=False)),),
        registry_key=OKPKey.generate_key("X25519"),
        certificate=own.certificate,
        tls_key=own.key,
        ca=authority.ca,
    )


@asynccontextmanager
async def listening(broker: Mosquitto, authority: Authority, who: Identity, key: OKPKey) -> AsyncIterator[Centre]:
    with await asyncio.to_thread(Speaker, broker, authority.ca, authority.issue(OBSERVER), client_id=OBSERVER) as speaker:
        await asyncio.to_thread(speaker.subscribe, topics.every_up(TENANT))
        async with asyncio.timeout(2 * WITHIN_S):
            yield Centre(speaker, who, key)


async def test_a_backlog_goes_out_in_batches_and_is_settled(
    broker: Mosquitto, authority: Authority, who: Identity, agent_key: OKPKey, tmp_path: Path
) -> None:
    async with listening(broker, authority, who, agent_key) as centre, running(tmp_path, who, backlog=45) as ours:
        held = 0
        while held < 45:
            records = await centre.until(Up.RECORD)
            held = max(held, *(one.event.seq for one in records))
            await centre.answer(ours.outbox.epoch, held, records)
        await ours.until(lambda: ours.outbox.waiting(1) == [] == ours.outbox.unruled(None, 1), "the last receipt")
    assert centre.messages[:3] == [20, 20, 5]


async def test_on_every_connection_the_chain_is_compared_and_what_the_centre_lost_is_sent_again(
    broker: Mosquitto, authority: Authority, who: Identity, agent_key: OKPKey, tmp_path: Path
) -> None:
    async with listening(broker, authority, who, agent_key) as centre:
        async with running(tmp_path, who, backlog=3) as ours:
            records = await centre.until(Up.RECORD)
            await centre.answer(ours.outbox.epoch, 3, records)
            await ours.until(lambda: ours.outbox.progress(3).standing is Standing.ACCEPTED, "the ruling")
        async with running(tmp_path, who) as ours:
            await centre.until(Up.BIRTH)
            first, second = (one.nonce for one in centre.births)
            assert first != second
            assert centre.births[1].last_seq == 3
            assert centre.births[1].last_digest == ours.outbox.tail().last_digest
            await centre.answer(ours.outbox.epoch, 3, [], gaps=[[2, 2]], reconciles=first)
            await centre.answer(ours.outbox.epoch, 3, [], gaps=[[2, 2]], reconciles=second)
            again = await centre.until(Up.RECORD)
            assert [one.event.seq for one in again] == [2]


async def test_a_restored_card_begins_a_new_epoch_and_says_so(
    broker: Mosquitto, authority: Authority, who: Identity, agent_key: OKPKey, tmp_path: Path
) -> None:
    async with listening(broker, authority, who, agent_key) as centre, running(tmp_path, who, backlog=1) as ours:
        await centre.until(Up.BIRTH)
        before = ours.outbox.epoch
        await centre.answer(before, 8, [], reconciles=centre.births[0].nonce)
        await ours.until(lambda: ours.outbox.epoch != before, "the new epoch")
        await centre.until(Up.BIRTH)
        assert (centre.births[1].epoch, centre.births[1].last_seq) == (ours.outbox.epoch, 0)
        assert ours.pen.write(CASE, None).seq == 1


async def test_a_broker_that_throws_messages_away_in_silence_is_noticed(
    broker: Mosquitto, authority: Authority, who: Identity, agent_key: OKPKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An access list that denies us our receipts, on MQTT 3.1.1 without a word. The next test is the same with the right list."""
    files, ours_to_hear = broker.files, "pattern read rz/1/+/dn/%u/#"
    assert ours_to_hear in files(tmp_path)["access.conf"]

    def deaf(sessions: Path) -> dict[str, str]:
        written = files(sessions)
        return written | {"access.conf": written["access.conf"].replace(ours_to_hear, "")}

    broker.stop()
    monkeypatch.setattr(broker, "files", deaf)
    broker.start()
    async with listening(broker, authority, who, agent_key) as centre, running(tmp_path, who, backlog=1) as ours:
        while not (centre.telemetry and "uplink" in centre.telemetry[-1].parts):
            what, records = await centre.hear()
            if what is Up.RECORD:
                await centre.answer(ours.outbox.epoch, 1, records)
        assert ours.line.link == LinkState(True, Trouble.UNANSWERED)
        assert len(ours.outbox.waiting(9)) == 1


async def test_a_centre_that_answers_now_and_then_is_no_trouble(
    broker: Mosquitto, authority: Authority, who: Identity, agent_key: OKPKey, tmp_path: Path
) -> None:
    seen: set[LinkState] = set()
    async with listening(broker, authority, who, agent_key) as centre, running(tmp_path, who, backlog=1) as ours:
        clock = SystemClock()
        until = clock.monotonic() + 2 * HASTY.unanswered_s
        while clock.monotonic() < until:
            await centre.until(Up.RECORD)
            await centre.answer(ours.outbox.epoch, 0, [])
            seen.add(ours.line.link)
    assert LinkState(True, Trouble.UNANSWERED) not in seen
    assert LinkState(True, Trouble.NONE) in seen


async def test_a_trouble_ends_with_the_first_receipt_and_telemetry_tells_of_it_meanwhile(
    broker: Mosquitto, authority: Authority, who: Identity, agent_key: OKPKey, tmp_path: Path
) -> None:
    async with listening(broker, authority, who, agent_key) as centre, running(tmp_path, who, backlog=1) as ours:
        while not (centre.telemetry and "uplink" in centre.telemetry[-1].parts):
            await centre.hear()
        assert centre.telemetry[-1].parts["uplink"].code == Trouble.UNANSWERED.value
        assert ours.line.link == LinkState(True, Trouble.UNANSWERED)
        await centre.answer(ours.outbox.epoch, 1, [])
        await ours.until(lambda: ours.line.link == LinkState(True, Trouble.NONE), "the end of the trouble")


async def test_a_forged_receipt_settles_nothing_and_is_reported(
    broker: Mosquitto, authority: Authority, who: Identity, agent_key: OKPKey, tmp_path: Path
) -> None:
    async with listening(broker, authority, who, agent_key) as centre, running(tmp_path, who, backlog=1) as ours:
        await centre.until(Up.BIRTH)
        forged = Receipt(device=DEVICE, epoch=ours.outbox.epoch, upto=1, at=SystemClock().now())
        await centre.say(forged, OKPKey.generate_key("Ed25519"))
        while not (centre.telemetry and "receipts" in centre.telemetry[-1].parts):
            await centre.hear()
        assert centre.telemetry[-1].parts["receipts"].code == FORGED
        assert len(ours.outbox.waiting(9)) == 1
        await centre.say(forged, agent_key)
        await ours.until(lambda: ours.outbox.waiting(9) == [], "the genuine receipt")
