from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc.jwk import OKPKey

from sync_agent.contract.kinds import Direction, Liveness, LivenessCheck, Method, Outcome, PartHealth, PartState, Scoring
from sync_agent.contract.receipts import Standing
from sync_agent.contract.status import Birth, Link, State, Telemetry
from sync_agent.contract.topics import DeviceId, Up
from sync_agent.fleet import presence
from sync_agent.fleet.alarms import Gathered
from sync_agent.fleet.presence import Presence
from sync_agent.registry.database import Database
from sync_agent.registry.tables import DeviceSeen, GapLine, LibraryStatus
from sync_agent.settings import FleetSettings
from sync_agent.web import board
from sync_agent.web.board import Answer, Board, ComparisonView, Tally
from system.simulate.people import PEOPLE
from tests.sync_agent.world import (
    DEVICE,
    EPOCH,
    NOW,
    SITE,
    World,
    attendance,
    capture,
    case,
    health,
    holder,
    reference,
    verification,
)

OTHER = DeviceId("kiosk-2")


@pytest.fixture
def world(database: Database) -> World:  # the queries must work on both databases
    return World(database)


def look(world: World, seconds: float = 0) -> Board:
    with world.database.read() as session:
        return board.look(session, FleetSettings(), NOW + timedelta(seconds=seconds))


def holds(world: World, upto: int, gaps: list[tuple[int, int]], epoch: str = EPOCH) -> None:
    lines: list[GapLine] = [{"first": first, "last": last, "since": NOW.isoformat()} for first, last in gaps]
    with world.database.write() as session:
        session.add(DeviceSeen(device_id=DEVICE, epoch=epoch, upto=upto, gaps=lines, updated_at=NOW))


def says(world: World, said: Birth | State | Telemetry, device: DeviceId = DEVICE) -> None:
    what = {Birth: Up.BIRTH, State: Up.STATE, Telemetry: Up.TELEMETRY}[type(said)]
    with world.database.write() as session:
        presence.take(session, device, what, said.model_dump_json().encode(), NOW, Gathered())


def born(world: World, device: DeviceId = DEVICE) -> None:
    says(world, Birth(boot=1, version="0.1.0", site=SITE, epoch=EPOCH, last_seq=0, last_digest=""), device)
    says(world, State(boot=1, link=Link.ONLINE), device)


def test_nothing_is_here_at_first(world: World) -> None:
    seen = look(world)
    assert seen.tally == Tally(received=0, missing=0, waiting=0, oldest_at=None, unreachable=0)
    assert (seen.tally.answer, seen.records) == (Answer.NOTHING_YET, ())
    assert [(device.id, device.seen.presence, device.waiting) for device in seen.devices] == [(DEVICE, Presence.NEVER_SEEN, None)]


def test_every_record_that_a_device_numbered_is_received_or_missing(world: World) -> None:
    holds(world, 10, [(2, 3), (7, 7)])
    holds(world, 5, [], "00000000000000bb")
    seen = look(world)
    assert (seen.tally.received, seen.tally.missing, seen.tally.answer) == (12, 3, Answer.MISSING)
    assert seen.devices[0].missing == 3


def test_what_devices_hold_is_on_the_way_since_the_oldest_was_made(world: World) -> None:
    holds(world, 10, [])
    born(world)
    says(world, Telemetry(at=NOW, queue=2, oldest_age_s=90))
    tally = look(world).tally
    assert (tally.waiting, tally.oldest_at, tally.answer) == (2, NOW - timedelta(seconds=90), Answer.ON_THE_WAY)


def test_a_device_out_of_reach_makes_the_answer_uncertain(world: World) -> None:
    holds(world, 10, [])
    born(world)
    assert look(world).tally.answer is Answer.ALL_HERE
    says(world, State(boot=1, link=Link.OFFLINE))
    assert (look(world).tally.unreachable, look(world).tally.answer) == (1, Answer.UNCERTAIN)


def test_devices_that_need_somebody_stand_first(world: World) -> None:
    with world.database.write() as session:
        world.enrol(session, OTHER, OKPKey.generate_key("Ed25519"))
    born(world)
    born(world, OTHER)
    assert [device.id for device in look(world).devices] == [DEVICE, OTHER]
    says(
        world, Telemetry(at=NOW, queue=0, oldest_age_s=0, parts={"reader": PartHealth(state=PartState.ABSENT, since=NOW)}), OTHER
    )
    assert [device.id for device in look(world).devices] == [OTHER, DEVICE]


def test_a_self_test_is_shown_part_by_part(world: World) -> None:
    world.happens(health(reader=PartState.WELL, camera=PartState.FAILED))
    camera, reader = look(world).devices[0].parts
    assert (camera.name, camera.state, camera.code, camera.since) == ("camera", PartState.FAILED, "CAMERA-01", NOW)
    assert (reader.name, reader.state, reader.code) == ("reader", PartState.WELL, "")


def test_each_kind_of_record_says_what_was_found(world: World) -> None:
    world.expect("zhaxi", LibraryStatus.IN_LIBRARY)
    for minute, (facts, personal) in enumerate(
        [
            (capture(), holder("zhaxi")),
            (verification(Outcome.NO_MATCH, distance=0.9), holder("zhaxi")),
            (attendance(Direction.LEAVE), reference("zhaxi")),
            (attendance(), reference("wang")),
            (case(), None),
            (health(), None),
        ]
    ):
        world.happens(facts, personal, time=NOW + timedelta(minutes=minute))
    told = [(record.kind, record.result, record.standing, record.name) for record in look(world).records]
    name = "扎*顿珠"
    assert told == [
        ("health", None, Standing.ACCEPTED, ""),
        ("case", ("cause", "help"), Standing.IN_REVIEW, ""),
        ("attendance", None, Standing.REFUSED, ""),
        ("attendance", ("direction", "leave"), Standing.ACCEPTED, name),
        ("verification", ("outcome", "no-match"), Standing.IN_REVIEW, name),
        ("capture", None, Standing.ACCEPTED, name),
    ]


def test_a_verification_says_how_the_face_was_compared(world: World) -> None:
    plain = verification()
    (made,) = plain.comparisons
    checks = (LivenessCheck.CHALLENGE, LivenessCheck.IDENTITY)
    worse = {"outcome": Outcome.NOT_LIVE, "liveness": Liveness.FAILED, "quality": "stranger"}
    better = {"liveness": Liveness.PASSED, "checks": checks, "scoring": Scoring.COHORT, "calibration": "c" * 64}
    tested = plain.model_copy(update={"comparisons": (made.model_copy(update=worse), made.model_copy(update=better))})
    manual = verification(Outcome.TO_CONFIRM, method=Method.MANUAL, consents=False)
    for minute, facts in enumerate((plain, tested, manual)):
        world.happens(facts, holder("zhaxi"), time=NOW + timedelta(minutes=minute))
    once = ComparisonView(Outcome.MATCH, "", made.liveness, (), Scoring.EUCLIDEAN, False)
    failed = ComparisonView(Outcome.NOT_LIVE, "stranger", Liveness.FAILED, (), Scoring.EUCLIDEAN, False)
    assert [record.comparisons for record in look(world).records] == [
        (),
        (failed, ComparisonView(Outcome.MATCH, "", Liveness.PASSED, checks, Scoring.COHORT, True)),
        (once,),
    ]


def test_people_are_masked_before_they_are_shown(world: World) -> None:
    world.happens(verification(), holder("zhaxi"))
    seen = look(world)
    assert (seen.records[0].name, seen.records[0].number) == ("扎*顿珠", "540102********0011")
    assert not any(value in repr(seen) for value in (PEOPLE["zhaxi"].name, PEOPLE["zhaxi"].number))


def test_no_more_is_shown_than_fits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "RECORDS", 2)
    monkeypatch.setattr(board, "DEVICES", 0)
    for minute in range(3):
        world.happens(case(), time=NOW + timedelta(minutes=minute))
    seen = look(world)
    assert [record.seq for record in seen.records] == [3, 2]
    assert (seen.devices, seen.devices_in_all) == ((), 1)
