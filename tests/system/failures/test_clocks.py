"""Row 16 of the failure matrix: a clock that is wrong by years or goes back. What counts is sequence and time of arrival."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from kiosk.uplink import identity
from sync_agent import service
from sync_agent.registry.tables import AlarmKind, RecordRow
from tests.system.centre import Centre
from tests.system.failures.hand import Hand

pytestmark = [pytest.mark.broker, pytest.mark.slow]
YEAR = timedelta(days=365)


@pytest.fixture
def hand(centre: Centre) -> Iterator[Hand]:
    with centre.agent(), Hand(centre, identity.load(centre.identity_dir)) as hand:
        hand.knock()
        yield hand


@pytest.mark.parametrize(
    ("steps", "alarms"),
    [
        ((timedelta(), timedelta(seconds=1), timedelta(seconds=2)), set()),  # the negative control: a clock as it should be
        ((timedelta(), -timedelta(hours=1), timedelta(seconds=1)), {AlarmKind.CLOCK}),
        ((5 * YEAR, -20 * YEAR, timedelta()), {AlarmKind.CLOCK}),
    ],
    ids=["right", "an hour back", "by years"],
)
def test_records_stand_by_sequence_with_the_time_of_their_arrival(
    centre: Centre, hand: Hand, steps: tuple[timedelta, ...], alarms: set[AlarmKind]
) -> None:
    begun = service.now()
    signed = hand.chain(3, at=[begun + step for step in steps])
    hand.say(*(one.message for one in reversed(signed)))
    hand.until_ruled(1, 2, 3)
    with centre.office.database.read() as session:
        rows = session.scalars(select(RecordRow).order_by(RecordRow.seq)).all()
        assert [row.digest for row in rows] == [one.digest for one in signed]
        assert [row.time for row in rows] == [begun + step for step in steps]
        assert all(begun <= row.received_at <= service.now() for row in rows)
    assert centre.quarantined() == 0
    assert centre.alarms() == alarms
