"""Row 16 of the failure matrix: a clock that is wrong by years or goes back. What counts is sequence and time of arrival."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select

from kiosk.uplink import identity
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.tls import Trouble
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


@pytest.mark.parametrize(
    ("off", "trouble"),
    [("+0d", ""), ("+20y", Trouble.BROKER_EXPIRED), ("-5y", Trouble.CLOCK_BEHIND)],
    ids=["right", "years ahead", "years behind"],
)
def test_an_uplink_whose_clock_is_wrong_by_years_says_that_it_is_the_time(centre: Centre, off: str, trouble: str) -> None:
    """With the right time, the negative control, the same process connects."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("needs Debian's faketime")
    state_dir = centre.identity_dir.parent
    with closing(Outbox(state_dir / "outbox" / "outbox.db")) as outbox:
        outbox.begin_boot()
    uplink, log = centre.uplink_process(before=(faketime, "-f", off)), state_dir / "uplink.log"
    with centre.agent():
        uplink.start(lambda: b"link.handshake-failed" in log.read_bytes() if trouble else centre.link() == "online", within_s=25)
        uplink.stop()
    said = [json.loads(line) for line in log.read_text().splitlines() if "link.handshake-failed" in line]
    assert {line["trouble"] for line in said} == ({trouble} if trouble else set())
    assert (centre.link() == "online") is not bool(trouble)
