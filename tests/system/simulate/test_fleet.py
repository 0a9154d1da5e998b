"""A simulated fleet at a real broker and the real sync agent: every record exactly once, and the fleet's account is true."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import select

from sync_agent.registry.tables import RecordRow
from system.simulate.fleet import Fleet, Held, Verdict
from system.simulate.fleet_kiosk import FullJitter, Pace
from system.simulate.fleet_roll import Roll, enrol
from tests.system.centre import Centre

pytestmark = [pytest.mark.broker, pytest.mark.slow]

HASTY = Pace(wait=FullJitter(scale=0.02), resend_s=1.0)
WITHIN_S = 60.0


def held(centre: Centre) -> list[Held]:
    """Return the ledger."""
    asked = select(RecordRow.device_id, RecordRow.epoch, RecordRow.seq, RecordRow.digest)
    with centre.office.database.read() as session:
        return [Held(device, epoch, seq, digest) for device, epoch, seq, digest in session.execute(asked)]


def fleet_of(centre: Centre, folder: Path, count: int, pace: Pace = HASTY) -> Fleet:
    """Return a fleet that the centre knows."""
    return Fleet(enrol(centre.office, folder, count), centre.broker.host, centre.broker.port, pace)


@contextmanager
def agent(centre: Centre) -> Iterator[None]:
    """Run a sync agent beside the test."""
    process = centre.agent_process()
    process.start(lambda: True)
    try:
        yield
    finally:
        process.stop(within_s=20.0)


async def test_every_record_of_fifty_kiosks_is_there_exactly_once(centre: Centre, state_dir: Path) -> None:
    fleet = fleet_of(centre, state_dir / "fleet", 50)
    for kiosk in fleet.kiosks[:10]:
        kiosk.prepare(45)
        for _ in range(45):
            kiosk.happen()  # a backlog: there is no connection yet
    with agent(centre):
        async with fleet:
            await fleet.connected(WITHIN_S)
            for kiosk in fleet.kiosks:
                kiosk.happen()
            await fleet.settled(WITHIN_S)
            await fleet.until(lambda kiosk: all(record.ruling is not None for record in kiosk.written.values()), WITHIN_S)
    assert fleet.compare(held(centre)).is_exactly_once
    assert sum(len(kiosk.written) for kiosk in fleet.kiosks) == 10 * 45 + 50
    assert not any(kiosk.rejections or kiosk.forged for kiosk in fleet.kiosks)


async def test_control__without_a_sync_agent_nothing_is_receipted_and_everything_counts_as_lost(
    centre: Centre, state_dir: Path
) -> None:
    fleet = fleet_of(centre, state_dir / "fleet", 3)
    async with fleet:
        await fleet.connected(WITHIN_S)
        for kiosk in fleet.kiosks:
            kiosk.happen()
        with pytest.raises(TimeoutError, match="3 of 3"):
            await fleet.settled(0.5)
    assert len(fleet.compare(held(centre)).lost) == 3


async def test_the_comparison_tells_what_is_lost_doubled_and_strange(centre: Centre, state_dir: Path) -> None:
    fleet = fleet_of(centre, state_dir / "fleet", 1)
    first, second = (fleet.kiosks[0].happen() for _ in range(2))
    device, epoch = fleet.kiosks[0].member.device, fleet.kiosks[0].epoch
    one, two = (Held(device, epoch, record.seq, record.digest) for record in (first, second))
    other = dataclasses.replace(one, digest="0" * 64)
    assert fleet.compare([one, two]).is_exactly_once
    told = fleet.compare([one, one, other])
    assert told == Verdict(frozenset([two]), frozenset([one]), frozenset([other]))


def test_a_roll_is_made_once_and_entered_into_any_registry(centre: Centre, state_dir: Path) -> None:
    roll = Roll(state_dir / "roll")
    made = roll.members(6)
    begun = monotonic()
    again = roll.members(6)
    assert monotonic() - begun < 5.0
    assert [(m.device, m.signing_key.thumbprint(), m.tls.read_bytes()) for m in made] == [
        (m.device, m.signing_key.thumbprint(), m.tls.read_bytes()) for m in again
    ]
    roll.enter(centre.office.database, made)
    assert [m.device for m in enrol(centre.office, state_dir / "roll" / "devices", 6)] == [m.device for m in made]


on_postgres = pytest.mark.parametrize("centre", ["postgresql"], indirect=True)

STORM = Pace(wait=FullJitter(scale=0.02), resend_s=2.0)
IN_STEP = Pace(wait=lambda failures, _chance: 0.02 * min(300.0, 2.0**failures), resend_s=2.0)


async def storm(centre: Centre, state_dir: Path, count: int, pace: Pace) -> float:
    """Kill the broker under a connected fleet, start it again, and return the share of tries in the busiest tenth of a second.

    Before that, everything must be in order again: all connected, every record there once.
    """
    fleet = fleet_of(centre, state_dir / "fleet", count, pace)
    with agent(centre):
        async with fleet:
            await fleet.connected(WITHIN_S)
            for kiosk in fleet.kiosks:
                kiosk.happen()
            await fleet.settled(WITHIN_S)
            centre.broker.kill()
            before = {kiosk.member.device: len(kiosk.tried_at) for kiosk in fleet.kiosks}
            for kiosk in fleet.kiosks:
                kiosk.happen()
            await fleet.until(lambda kiosk: len(kiosk.tried_at) >= before[kiosk.member.device] + 5, WITHIN_S)
            centre.broker.start()
            back = monotonic()
            await fleet.connected(WITHIN_S)
            await fleet.settled(WITHIN_S)
    assert fleet.compare(held(centre)).is_exactly_once
    return busiest([next(at for at in kiosk.tried_at if at >= back) for kiosk in fleet.kiosks], 0.1)


def busiest(moments: list[float], width_s: float) -> float:
    """Return the largest share of the moments that lies within any `width_s`."""
    ordered, start, most = sorted(moments), 0, 0
    for end, moment in enumerate(ordered):
        while moment - ordered[start] > width_s:
            start += 1
        most = max(most, end - start + 1)
    return most / len(ordered)


@pytest.mark.postgres
@on_postgres
async def test_after_a_reconnect_storm_nothing_is_lost_and_the_kiosks_come_back_one_by_one(
    centre: Centre, state_dir: Path
) -> None:
    assert await storm(centre, state_dir, 200, STORM) < 0.4


@pytest.mark.long
@pytest.mark.postgres
@on_postgres
async def test_control__without_jitter_the_kiosks_come_back_all_at_once(centre: Centre, state_dir: Path) -> None:
    assert await storm(centre, state_dir, 60, IN_STEP) > 0.8


@pytest.mark.long
@pytest.mark.postgres
@on_postgres
@pytest.mark.timeout(600)
async def test_a_storm_of_two_thousand_kiosks_passes(centre: Centre, state_dir: Path) -> None:
    assert await storm(centre, state_dir, 2000, Pace(wait=FullJitter(scale=0.2), resend_s=10.0)) < 0.2
