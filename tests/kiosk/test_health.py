"""The self-test: tells every change once, and closes the counter only for what a visit cannot do without."""

from __future__ import annotations

import asyncio

import pytest

from kiosk.clock import SystemClock
from kiosk.health import Closed, SelfTest
from sync_agent.contract.kinds import Health, PartHealth, PartState


def part(state: PartState, code: str = "") -> PartHealth:
    return PartHealth(state=state, code=code, since=SystemClock().now())


class Bench:
    """Parts whose state the test sets."""

    def __init__(self) -> None:
        self.parts = {name: part(PartState.WELL) for name in ("reader", "camera", "face", "storage")}
        self.told: list[Health] = []
        asks = {name: (lambda name=name: self.parts[name]) for name in self.parts}
        self.test = SelfTest(asks, self.hear, SystemClock())

    async def hear(self, health: Health) -> None:
        self.told.append(health)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_first_check_tells_everything(bench: Bench) -> None:
    await bench.test.check()
    assert [set(health.parts) for health in bench.told] == [{"reader", "camera", "face", "storage"}]


async def test_a_fault_is_told_once_with_its_code_and_its_end_too(bench: Bench) -> None:
    await bench.test.check()
    bench.parts["reader"] = part(PartState.ABSENT, "CARD-01")
    await bench.test.check()
    await bench.test.check()
    bench.parts["reader"] = part(PartState.WELL)
    await bench.test.check()
    assert [health.parts["reader"].code for health in bench.told] == ["", "CARD-01", ""]


@pytest.mark.parametrize(("name", "closes"), [("reader", True), ("storage", True), ("camera", False), ("face", False)])
async def test_only_what_no_record_can_be_made_without_closes_the_counter(bench: Bench, name: str, closes: bool) -> None:
    await bench.test.check()
    assert bench.test.closed() is None
    bench.parts[name] = part(PartState.FAILED, "X-01")
    await bench.test.check()
    assert (bench.test.closed() is not None) is closes


async def test_who_waits_for_the_counter_to_close_hears_of_it_and_of_nothing_else(bench: Bench) -> None:
    await bench.test.check()
    waiting = asyncio.ensure_future(bench.test.other_than(None))
    bench.parts["camera"] = part(PartState.FAILED, "CAM-01")
    await bench.test.check()
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done(), "a camera does not close the counter"
    bench.parts["reader"] = part(PartState.ABSENT, "CARD-01")
    await bench.test.check()
    async with asyncio.timeout(5):
        await waiting


async def test_a_change_between_looking_and_waiting_is_not_lost(bench: Bench) -> None:
    await bench.test.check()
    seen = bench.test.closed()
    bench.parts["storage"] = part(PartState.FAILED, "BOX-01")
    await bench.test.check()
    async with asyncio.timeout(5):
        await bench.test.other_than(seen)


async def test_another_reason_for_being_closed_is_told_as_well(bench: Bench) -> None:
    bench.parts["reader"] = part(PartState.ABSENT, "CARD-01")
    await bench.test.check()
    waiting = asyncio.ensure_future(bench.test.other_than(bench.test.closed()))
    bench.parts["reader"] = part(PartState.FAILED, "CARD-05")
    await bench.test.check()
    async with asyncio.timeout(5):
        await waiting
    assert bench.test.closed() == Closed("reader", "CARD-05")
