"""A bad line between kiosk and broker: whatever it does, every record arrives, once, and nobody waits for a line that is dead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from kiosk.settings import UplinkSettings
from kiosk.uplink import identity
from kiosk.uplink.link import Trouble
from kiosk.uplink.store import State
from system.services.process import HOST
from system.simulate.network import LossyLine, NoNamespaces, Proxy, lossy_line
from tests.system.centre import Centre, Kiosk, kiosk, opened

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PATIENT = UplinkSettings(resend_s=60, retry_max_s=0.3, telemetry_s=60, connect_s=10, keepalive_s=20)
"""Sends nothing a second time within a test: what arrives was not rescued by that."""
EAGER = PATIENT.model_copy(update={"resend_s": 1.0, "keepalive_s": 1})
DEAD_S = 2 * EAGER.keepalive_s + 4
"""A dead line is noticed after twice the keepalive; paho looks once a second, and the machine may be busy."""


@pytest.fixture
def centre(state_dir: Path) -> Iterator[Centre]:
    """A centre whose broker can also be reached at the far end of the lossy line."""
    with opened(state_dir, names=(LossyLine.host,)) as centre:
        yield centre


@pytest.fixture
def proxy(centre: Centre) -> Iterator[Proxy]:
    with Proxy([(centre.broker.host, centre.broker.port)]) as proxy:
        yield proxy


@pytest.fixture
def line(state_dir: Path) -> Iterator[LossyLine]:
    try:
        with lossy_line(state_dir / "namespace.log") as line:
            yield line
    except NoNamespaces as why:
        pytest.skip(f"no network namespace here: {why}")


@asynccontextmanager
async def behind(
    centre: Centre, state_dir: Path, proxy: Proxy, settings: UplinkSettings, host: str = HOST
) -> AsyncIterator[Kiosk]:
    """A connected kiosk at the other end of the proxy."""
    who = replace(identity.load(centre.identity_dir), broker_host=host, broker_port=proxy.port)
    async with kiosk(state_dir, who, settings) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")
        yield ours


async def all_arrive(ours: Kiosk, count: int, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        for seq in [ours.write() for _ in range(count)]:
            await ours.until_answered(seq)


async def test_half_a_second_of_round_trip_does_not_stall_a_backlog_of_three_windows(centre: Centre, state_dir: Path) -> None:
    with Proxy([(centre.broker.host, centre.broker.port)]) as proxy, centre.agent():
        proxy.delay_s = 0.25
        async with behind(centre, state_dir, proxy, PATIENT) as ours:
            await all_arrive(ours, 3 * PATIENT.window, within_s=30)
    assert centre.records() == list(range(1, 3 * PATIENT.window + 1))


async def test_on_a_line_that_holds_everything_nothing_arrives(centre: Centre, state_dir: Path, proxy: Proxy) -> None:
    """The control of the tests with a proxy."""
    with centre.agent():
        async with behind(centre, state_dir, proxy, PATIENT) as ours:
            proxy.hold()
            with pytest.raises(TimeoutError):
                await all_arrive(ours, 1, within_s=1.5)
            assert centre.records() == []
            proxy.release()
            await ours.until_answered(1)
    assert centre.records() == [1]


async def test_a_line_of_sixteen_kilobytes_a_second_carries_everything_once(
    centre: Centre, state_dir: Path, proxy: Proxy
) -> None:
    with centre.agent():
        async with behind(centre, state_dir, proxy, EAGER) as ours:
            proxy.bytes_per_s = 16_000
            await all_arrive(ours, 20, within_s=30)
    assert centre.records() == list(range(1, 21))


async def test_a_line_cut_again_and_again_within_a_message_loses_and_doubles_nothing(
    centre: Centre, state_dir: Path, proxy: Proxy
) -> None:
    cuts = 5
    with centre.agent():
        async with behind(centre, state_dir, proxy, EAGER) as ours:
            for _ in range(cuts):
                before = proxy.connections
                proxy.cut_after(400)  # a record is longer, a keepalive shorter
                seqs = [ours.write() for _ in range(3)]
                assert await asyncio.to_thread(proxy.wait_until_cut, 5)
                for seq in seqs:
                    await ours.until_answered(seq)
                assert proxy.connections > before, "the control: there was a cut, and a new connection"
    assert centre.records() == list(range(1, 3 * cuts + 1))


async def test_a_line_that_dies_without_a_word_is_noticed_in_time(centre: Centre, state_dir: Path, proxy: Proxy) -> None:
    with centre.agent():
        async with behind(centre, state_dir, proxy, EAGER) as ours:
            await all_arrive(ours, 1, within_s=20)
            proxy.hold()
            seq = ours.write()
            async with asyncio.timeout(DEAD_S):
                await ours.until_trouble(Trouble.LOST)
            proxy.release()
            await ours.until_answered(seq)
    assert centre.records() == [1, 2]


@pytest.mark.root
async def test_one_packet_of_twenty_lost_each_way_loses_no_record(centre: Centre, state_dir: Path, line: LossyLine) -> None:
    with Proxy([(centre.broker.host, centre.broker.port)], line.listen()) as proxy, centre.agent():
        async with behind(centre, state_dir, proxy, EAGER, line.host) as ours:
            line.drop(5)
            await all_arrive(ours, 20, within_s=60)
            last = 20
            async with asyncio.timeout(60):  # the control: packets were lost, and records went on arriving all the while
                while line.dropped() < 5:
                    last = ours.write()
                    await ours.until_answered(last)
    assert centre.records() == list(range(1, last + 1))


@pytest.mark.root
async def test_when_no_packet_comes_through_the_kiosk_knows_and_when_they_do_again_all_arrives(
    centre: Centre, state_dir: Path, line: LossyLine
) -> None:
    """Half-open TCP: no reset, no farewell, nothing acknowledged by anybody."""
    with Proxy([(centre.broker.host, centre.broker.port)], line.listen()) as proxy, centre.agent():
        async with behind(centre, state_dir, proxy, EAGER, line.host) as ours:
            await all_arrive(ours, 1, within_s=20)
            line.drop(100)
            seqs = [ours.write() for _ in range(5)]
            async with asyncio.timeout(DEAD_S):
                await ours.until_trouble(Trouble.LOST)
            assert centre.records() == [1]
            line.drop(0)
            for seq in seqs:
                await ours.until_answered(seq)
    assert centre.records() == list(range(1, 7))


@pytest.mark.root
@pytest.mark.long
@pytest.mark.timeout(400)
async def test_loss_delay_a_narrow_line_and_cuts_together_lose_nothing_of_a_long_backlog(
    centre: Centre, state_dir: Path, line: LossyLine
) -> None:
    count = 300
    with Proxy([(centre.broker.host, centre.broker.port)], line.listen()) as proxy, centre.agent():
        patient = EAGER.model_copy(update={"keepalive_s": 10, "resend_s": 5.0})
        async with behind(centre, state_dir, proxy, patient, line.host) as ours:
            line.drop(5)
            proxy.delay_s, proxy.bytes_per_s = 0.25, 64_000
            seqs = [ours.write() for _ in range(count)]
            for _ in range(4):
                proxy.cut_after(20_000)
                await asyncio.to_thread(proxy.wait_until_cut, 20)
            async with asyncio.timeout(300):
                while ours.outbox.progress(seqs[-1]).state is not State.ANSWERED:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await ours.line.news()
                for seq in seqs:
                    await ours.until_answered(seq)
    assert centre.records() == list(range(1, count + 1))
