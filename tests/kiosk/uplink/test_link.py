"""The connection to the broker: both MQTT versions, every way it can fail told apart, a dead line noticed, no storm."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey
from structlog.testing import capture_logs

from kiosk.clock import SystemClock
from kiosk.settings import UplinkSettings
from kiosk.uplink.identity import Identity
from kiosk.uplink.link import QUEUE, STEADY_S, Link, LinkState, Trouble, pause_s
from sync_agent.contract import topics
from sync_agent.contract.status import Link as LinkWord
from sync_agent.contract.status import State
from sync_agent.contract.topics import DeviceId, Down, Tenant, Up
from system.services.broker import Mosquitto
from system.services.process import HOST
from system.simulate.network import Proxy
from tests.certificates import Authority, Issued
from tests.mqtt import Speaker
from tests.observer import OBSERVER

pytestmark = pytest.mark.broker

TENANT, DEVICE = Tenant("xz"), DeviceId("kiosk-1")
HASTY = UplinkSettings(retry_max_s=0.05, connect_s=2, keepalive_s=1)
WITHIN_S = 10.0
DEAD_S = 2 * HASTY.keepalive_s + 4
"""A dead line is noticed after twice the keepalive; paho looks once a second, and the machine may be busy."""


@dataclass
class Ours:
    """A running link and what it told."""

    link: Link
    states: asyncio.Queue[LinkState]
    receipts: asyncio.Queue[bytes]
    lists: asyncio.Queue[bytes]
    told: list[LinkState] = field(default_factory=list)

    async def until(self, state: LinkState, within_s: float = WITHIN_S) -> None:
        try:
            async with asyncio.timeout(within_s):
                while self.link.state != state:
                    self.told.append(await self.states.get())
        except TimeoutError:
            pytest.fail(f"{state} did not come; it is {self.link.state}, before {self.told}")

    async def until_up(self) -> None:
        await self.until(LinkState(True, Trouble.NONE))

    async def until_down(self, trouble: Trouble, within_s: float = WITHIN_S) -> None:
        await self.until(LinkState(False, trouble), within_s)


def identity_of(issued: Issued, ca: Path, port: int) -> Identity:
    key = OKPKey.generate_key("Ed25519")
    return Identity(
        tenant=TENANT,
        device=DEVICE,
        site="site-1",
        broker_host=HOST,
        broker_port=port,
        signing_key=key,
        agent_keys=(key,),
        registry_key=OKPKey.generate_key("X25519"),
        certificate=issued.certificate,
        tls_key=issued.key,
        ca=ca,
    )


@asynccontextmanager
async def running(
    who: Identity,
    settings: UplinkSettings = HASTY,
    jitter: random.Random | None = None,
    clock: SystemClock | None = None,
    boots: Iterator[int] | None = None,
) -> AsyncIterator[Ours]:
    states: asyncio.Queue[LinkState] = asyncio.Queue()
    receipts: asyncio.Queue[bytes] = asyncio.Queue()
    lists: asyncio.Queue[bytes] = asyncio.Queue()
    link = Link(
        who,
        partial(next, boots or repeat(1)),
        settings,
        clock or SystemClock(),
        jitter=jitter or random.Random(1),
        on_state=states.put_nowait,
        on_receipt=receipts.put_nowait,
        on_trust=lists.put_nowait,
    )
    task = asyncio.create_task(link.run())
    try:
        yield Ours(link, states, receipts, lists)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def who(broker: Mosquitto, authority: Authority) -> Identity:
    return identity_of(authority.issue(DEVICE), authority.ca, broker.port)


async def heard(queue: asyncio.Queue[bytes]) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        return await queue.get()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_it_speaks_and_hears_receipts_and_trust_lists(
    version: str, broker: Mosquitto, authority: Authority, who: Identity
) -> None:
    settings = HASTY.model_copy(update={"mqtt": version})
    agent = await asyncio.to_thread(Speaker, broker, authority.ca, authority.issue(OBSERVER), client_id=OBSERVER)
    await asyncio.to_thread(agent.subscribe, topics.every_up(TENANT))
    async with running(who, settings) as ours:
        await ours.until_up()
        ours.link.publish(Up.RECORD, b"a record")
        assert await asyncio.to_thread(agent.hear) == (topics.up(TENANT, DEVICE, Up.RECORD), b"a record")
        await asyncio.to_thread(agent.say, topics.down(TENANT, DEVICE, Down.RECEIPT), b"a receipt")
        await asyncio.to_thread(agent.say, topics.down(TENANT, DEVICE, Down.TRUST), b"a list")
        assert (await heard(ours.receipts), await heard(ours.lists)) == (b"a receipt", b"a list")
    agent.close()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_receipt_that_came_while_it_was_away_is_heard_on_its_return(
    version: str, broker: Mosquitto, authority: Authority, who: Identity
) -> None:
    settings = HASTY.model_copy(update={"mqtt": version})
    async with running(who, settings) as ours:
        await ours.until_up()
        agent = await asyncio.to_thread(Speaker, broker, authority.ca, authority.issue(OBSERVER), client_id=OBSERVER)
        await asyncio.to_thread(agent.say, topics.down(TENANT, DEVICE, Down.RECEIPT), b"at once")
        assert await heard(ours.receipts) == b"at once"
    await asyncio.to_thread(agent.say, topics.down(TENANT, DEVICE, Down.RECEIPT), b"meanwhile")
    agent.close()
    async with running(who, settings) as ours:
        while (receipt := await heard(ours.receipts)) == b"at once":
            pass  # its acknowledgement was lost with the line
        assert receipt == b"meanwhile"


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_a_broker_that_forbids_a_topic_is_named_where_the_version_has_a_word_for_it(version: str, who: Identity) -> None:
    with capture_logs() as logs:
        other = replace(who, device=DeviceId("kiosk-2"))  # the certificate still says kiosk-1
        async with running(other, HASTY.model_copy(update={"mqtt": version})) as ours:
            await ours.until_up()
            ours.link.publish(Up.RECORD, b"forged")
            if version == "5":
                await until(lambda: any(log["event"] == "link.may-not-speak" for log in logs))
    assert (version == "5") is any(log["event"] == "link.may-not-speak" for log in logs)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_renewed_certificate_is_used_without_a_restart(who: Identity, authority: Authority, tmp_path: Path) -> None:
    own = Issued(tmp_path / "tls.crt", tmp_path / "tls.pem")
    ended, fresh = authority.issue(DEVICE, begins_in=timedelta(days=-2)), authority.issue(DEVICE)
    copy(ended, own)
    async with running(replace(who, certificate=own.certificate, tls_key=own.key)) as ours:
        await ours.until_down(Trouble.EXPIRED)
        copy(fresh, own)
        await ours.until_up()


def copy(source: Issued, target: Issued) -> None:
    target.key.write_bytes(source.key.read_bytes())
    target.certificate.write_bytes(source.certificate.read_bytes())


async def test_each_connection_says_the_kiosks_start_as_it_is_by_then_in_will_and_state(
    broker: Mosquitto, authority: Authority, who: Identity
) -> None:
    agent = await asyncio.to_thread(Speaker, broker, authority.ca, authority.issue(OBSERVER), client_id=OBSERVER)
    await asyncio.to_thread(agent.subscribe, topics.every_up(TENANT))

    async def next_said() -> State:
        return State.model_validate_json((await asyncio.to_thread(agent.hear))[1])

    with Proxy([(HOST, broker.port)]) as proxy:
        async with running(replace(who, broker_port=proxy.port), boots=iter([0, 7])) as ours:
            await ours.until_up()
            ours.link.say_state(LinkWord.ONLINE)
            assert await next_said() == State(boot=1, link=LinkWord.ONLINE)  # before the kiosk's first start
            proxy.cut()
            assert await next_said() == State(boot=1, link=LinkWord.OFFLINE)
            await until(lambda: ours.link.boot == 7)
            await ours.until_up()
            ours.link.say_state(LinkWord.ONLINE)
            assert await next_said() == State(boot=7, link=LinkWord.ONLINE)


async def test_a_key_of_another_certificate_is_named(who: Identity, authority: Authority) -> None:
    async with running(replace(who, tls_key=authority.issue(DEVICE).key)) as ours:
        await ours.until_down(Trouble.UNUSABLE)
    async with running(replace(who, certificate=who.certificate.with_name("none.crt"))) as ours:
        await ours.until_down(Trouble.UNUSABLE)


async def test_a_withdrawn_certificate_is_named(state_dir: Path) -> None:
    authority = Authority(state_dir / "authority")
    withdrawn, other = authority.issue(DEVICE), authority.issue(DEVICE)
    authority.revoke(withdrawn)
    with mosquitto(state_dir, authority) as broker:
        async with running(identity_of(withdrawn, authority.ca, broker.port)) as ours:
            await ours.until_down(Trouble.REVOKED)
        async with running(identity_of(other, authority.ca, broker.port)) as ours:
            await ours.until_up()


@pytest.mark.parametrize(
    ("begins_in", "trouble"),
    [(timedelta(days=-2), Trouble.BROKER_EXPIRED), (timedelta(hours=1), Trouble.CLOCK_BEHIND)],
)
async def test_a_brokers_certificate_out_of_its_time_is_told_from_a_foreign_one(
    begins_in: timedelta, trouble: Trouble, state_dir: Path
) -> None:
    authority, foreign = Authority(state_dir / "authority"), Authority(state_dir / "foreign")
    with mosquitto(state_dir, authority, begins_in) as broker:
        own = authority.issue(DEVICE)
        async with running(identity_of(own, authority.ca, broker.port)) as ours:
            await ours.until_down(trouble)
        async with running(identity_of(own, foreign.ca, broker.port)) as ours:
            await ours.until_down(Trouble.BROKER_NOT_TRUSTED)


def mosquitto(folder: Path, authority: Authority, begins_in: timedelta = timedelta(minutes=-5)) -> Mosquitto:
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    own = authority.issue("broker", address=HOST, begins_in=begins_in)
    return Mosquitto(folder / "mosquitto", ca=authority.ca, certificate=own.certificate, key=own.key, revoked=authority.revoked)


async def test_a_broker_that_takes_the_connection_and_says_nothing_is_left_in_time(who: Identity) -> None:
    with socket.create_server((HOST, 0)) as mute:
        settings = HASTY.model_copy(update={"connect_s": 0.3})
        async with running(replace(who, broker_port=mute.getsockname()[1]), settings) as ours:
            with capture_logs() as logs:
                await until(lambda: sum(log["event"] == "link.unreachable" for log in logs) >= 2)
            assert ours.link.state == LinkState(False, Trouble.UNREACHABLE)


async def test_a_line_that_is_half_open_is_noticed_within_twice_the_keepalive(broker: Mosquitto, who: Identity) -> None:
    with Proxy([(broker.host, broker.port)]) as proxy:
        async with running(replace(who, broker_port=proxy.port)) as ours:
            await ours.until_up()
            with pytest.raises(TimeoutError):  # the control: a line that is only quiet stays
                async with asyncio.timeout(DEAD_S):
                    ours.told.append(await ours.states.get())
                    ours.told.append(await ours.states.get())
            assert ours.link.state.is_up
            proxy.hold()
            await ours.until_down(Trouble.LOST, within_s=DEAD_S)
            proxy.release()
            await ours.until_up()


async def test_a_dead_line_holds_up_neither_the_kiosk_nor_its_end(broker: Mosquitto, who: Identity) -> None:
    with Proxy([(broker.host, broker.port)]) as proxy:
        slow = HASTY.model_copy(update={"keepalive_s": 45})
        async with running(replace(who, broker_port=proxy.port), slow) as ours:
            await ours.until_up()
            proxy.hold()
            with capture_logs() as logs:
                async with asyncio.timeout(2):
                    for _ in range(QUEUE + 100):
                        ours.link.publish(Up.RECORD, bytes(50_000))
            assert sum(log["event"] == "link.queue-full" for log in logs) == 100
            until_end = asyncio.get_running_loop().time() + 5
        assert asyncio.get_running_loop().time() < until_end


class Ceilings(random.Random):
    """Waits not at all, and remembers how long it might have been."""

    def __init__(self) -> None:
        super().__init__(1)
        self.seen: list[float] = []

    def uniform(self, _a: float, b: float) -> float:
        self.seen.append(b)
        return 0.0


class Leaping(SystemClock):
    """A clock by which every connection lasts as long as it is told."""

    def __init__(self, step_s: float) -> None:
        self._step_s, self._at = step_s, 0.0

    def monotonic(self) -> float:
        self._at += self._step_s
        return self._at


@pytest.mark.parametrize(("lasts_s", "ceilings"), [(STEADY_S / 2, [2, 4, 8, 16]), (STEADY_S, [2, 2, 2, 2])])
async def test_a_connection_that_does_not_last_lets_the_waits_grow_and_one_that_lasted_does_not(
    lasts_s: float, ceilings: list[float], broker: Mosquitto, who: Identity
) -> None:
    """A storm: the broker accepts everybody and falls again."""
    jitter = Ceilings()
    with Proxy([(broker.host, broker.port)]) as proxy:
        settings = HASTY.model_copy(update={"retry_max_s": 300})
        async with running(replace(who, broker_port=proxy.port), settings, jitter, Leaping(lasts_s)) as ours:
            for _ in ceilings:
                await ours.until_up()
                proxy.cut()
                await ours.until_down(Trouble.LOST)
            await ours.until_up()
    assert jitter.seen[: len(ceilings)] == ceilings


def test_waits_are_spread_from_nothing_to_a_ceiling_of_five_minutes() -> None:
    jitter = random.Random(7)
    late = [pause_s(40, 300.0, jitter) for _ in range(2_000)]
    assert min(late) < 5 and 295 < max(late) <= 300
    assert abs(sum(late) / len(late) - 150) < 10
    assert max(pause_s(1, 300.0, jitter) for _ in range(200)) <= 2
