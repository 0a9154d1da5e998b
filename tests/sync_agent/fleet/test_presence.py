from __future__ import annotations

from datetime import timedelta

import pytest

from kiosk.uplink import courier
from sync_agent.contract.kinds import PartHealth, PartState
from sync_agent.contract.status import Birth, Link, State, Telemetry
from sync_agent.contract.topics import DeviceId, Up
from sync_agent.fleet import alarms, presence
from sync_agent.fleet.presence import Presence, Seen, hear, look
from sync_agent.registry.tables import AlarmKind, DeviceStatus
from sync_agent.settings import FleetSettings
from tests.sync_agent.world import DEVICE, NOW, World, health

FLEET = FleetSettings()


def after(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def birth(boot: int) -> Birth:
    return Birth(boot=boot, version="0.1.0", site="site-7", epoch="a" * 16, last_seq=3, last_digest="b" * 64)


def connects(status: DeviceStatus, boot: int, at: float = 0) -> None:
    """Say what a device says on every connection."""
    hear(status, birth(boot), NOW + after(at))
    hear(status, State(boot=boot, link=Link.ONLINE), NOW + after(at))


def telemetry(at: float = 0, queue: int = 0, oldest_age_s: int = 0, begun: float | None = None, **parts: PartState) -> Telemetry:
    """What a device says in between; its parts are so since `begun`, absent since it says so."""
    since = NOW + after(at if begun is None else begun)
    lines = {
        name: PartHealth(state=state, code="" if state is PartState.WELL else f"{name.upper()}-01", since=since)
        for name, state in parts.items()
    }
    return Telemetry(at=NOW + after(at), queue=queue, oldest_age_s=oldest_age_s, parts=lines)


@pytest.fixture
def status() -> DeviceStatus:
    return DeviceStatus(
        device_id=DEVICE,
        link=Link.OFFLINE,
        boot=0,
        link_since=NOW,
        heard_at=NOW,
        parts={},
        version="",
        queue=0,
        telemetry_at=None,
    )


def seen(status: DeviceStatus, at: float) -> Seen:
    return look(status, None, FLEET, NOW + after(at))


def test_a_device_that_never_spoke_is_not_called_offline(status: DeviceStatus) -> None:
    assert look(None, None, FLEET, NOW) == look(status, None, FLEET, NOW) == Seen(Presence.NEVER_SEEN, None)


def test_a_born_device_is_connected_since_then(status: DeviceStatus) -> None:
    connects(status, 1, 5)
    assert seen(status, 6) == Seen(Presence.CONNECTED, NOW + after(5))
    assert (status.version, status.last_seq) == ("0.1.0", 3)


def test_a_will_makes_it_silent_since_then(status: DeviceStatus) -> None:
    connects(status, 1)
    hear(status, State(boot=1, link=Link.OFFLINE), NOW + after(60))
    hear(status, State(boot=1, link=Link.OFFLINE), NOW + after(90))
    assert seen(status, 100) == Seen(Presence.SILENT, NOW + after(60), is_cut=True)


@pytest.mark.parametrize(
    ("boot", "expected"), [(1, Presence.CONNECTED), (2, Presence.SILENT)], ids=["earlier start", "this start"]
)
def test_a_late_will_of_an_earlier_start_is_ignored(status: DeviceStatus, boot: int, expected: Presence) -> None:
    connects(status, 2)
    hear(status, State(boot=boot, link=Link.OFFLINE), NOW + after(1))
    assert seen(status, 2).presence is expected


def test_a_birth_of_an_earlier_start_is_ignored_too(status: DeviceStatus) -> None:
    hear(status, State(boot=2, link=Link.OFFLINE), NOW)
    connects(status, 1, 1)
    assert seen(status, 2).presence is Presence.SILENT


def test_a_birth_that_the_broker_kept_does_not_bring_back_who_has_gone(status: DeviceStatus) -> None:
    """After a restart of the sync agent the broker gives what it kept, in any order."""
    hear(status, State(boot=3, link=Link.OFFLINE), NOW)
    hear(status, birth(3), NOW + after(1))
    assert seen(status, 2) == Seen(Presence.SILENT, NOW, is_cut=True)


def test_a_repeated_birth_does_not_change_since_when_it_is_connected(status: DeviceStatus) -> None:
    connects(status, 1)
    connects(status, 1, 50)
    assert seen(status, 60).since == NOW
    connects(status, 2, 70)
    assert seen(status, 80).since == NOW + after(70)


def test_a_connected_device_that_says_nothing_falls_silent(status: DeviceStatus) -> None:
    connects(status, 1)
    hear(status, telemetry(10), NOW + after(10))
    assert seen(status, 10 + FLEET.silent_after_s).presence is Presence.CONNECTED
    assert seen(status, 11 + FLEET.silent_after_s) == Seen(Presence.SILENT, NOW + after(10))


def test_a_connected_device_with_a_part_that_is_not_well_is_not_well(status: DeviceStatus) -> None:
    connects(status, 1)
    hear(status, telemetry(10, reader=PartState.WELL, camera=PartState.FAILED, door=PartState.ABSENT), NOW + after(11))
    assert seen(status, 20) == Seen(Presence.NOT_WELL, NOW + after(10), ("camera", "door"))
    hear(status, telemetry(30, reader=PartState.WELL, camera=PartState.WELL, door=PartState.WELL), NOW + after(31))
    assert seen(status, 40).presence is Presence.CONNECTED


def test_since_when_a_part_is_ill_does_not_move_while_it_stays_so(status: DeviceStatus) -> None:
    connects(status, 1)
    for at in (10, 300, 600):
        hear(status, telemetry(at, begun=10, camera=PartState.FAILED), NOW + after(at))
    assert seen(status, 601).since == NOW + after(10)


def test_a_queue_that_waits_too_long_is_not_well(status: DeviceStatus) -> None:
    connects(status, 1)
    hear(status, telemetry(0, queue=2, oldest_age_s=100), NOW)
    assert seen(status, FLEET.queue_late_s - 100).presence is Presence.CONNECTED
    late = seen(status, FLEET.queue_late_s - 99)
    assert (late.presence, late.is_late, late.since) == (Presence.NOT_WELL, True, NOW + after(FLEET.queue_late_s - 100))


def test_telemetry_that_was_overtaken_is_ignored(status: DeviceStatus) -> None:
    hear(status, telemetry(10, queue=1), NOW + after(11))
    hear(status, telemetry(5, queue=7), NOW + after(12))
    assert status.queue == 1


def test_a_revoked_device_is_that_above_all(status: DeviceStatus) -> None:
    connects(status, 1)
    assert look(status, NOW, FLEET, NOW) == Seen(Presence.REVOKED, NOW)


def take(world: World, what: Up, payload: bytes, device: DeviceId = DEVICE) -> presence.Said | None:
    with world.database.write() as session:
        return presence.take(session, device, what, payload, NOW, alarms.Gathered())


def row(world: World) -> DeviceStatus | None:
    with world.database.read() as session:
        return session.get(DeviceStatus, DEVICE)


def test_what_a_device_says_is_kept(world: World) -> None:
    assert take(world, Up.BIRTH, birth(1).model_dump_json().encode()) == birth(1)
    take(world, Up.STATE, State(boot=1, link=Link.ONLINE).model_dump_json().encode())
    take(world, Up.TELEMETRY, telemetry(0, queue=4, reader=PartState.WELL).model_dump_json().encode())
    kept = row(world)
    assert kept is not None
    assert (kept.link, kept.queue, kept.parts["reader"]["state"]) == (Link.ONLINE, 4, "well")


def test_the_code_of_a_fault_is_known_whichever_comes_first_telemetry_or_the_record_of_the_self_test(world: World) -> None:
    take(world, Up.TELEMETRY, telemetry(60, camera=PartState.FAILED).model_dump_json().encode())
    world.happens(health(camera=PartState.FAILED))
    kept = row(world)
    assert kept is not None
    assert kept.parts["camera"]["code"] == "CAMERA-01"
    take(world, Up.TELEMETRY, telemetry(90, camera=PartState.WELL).model_dump_json().encode())
    kept = row(world)
    assert kept is not None
    assert kept.parts["camera"] == {"state": "well", "code": "", "since": (NOW + after(90)).isoformat()}


@pytest.mark.parametrize(
    "payload", [b"{}", b"\xff\x00", b"[" * 5000, b'{"boot": 0, "link": "offline"}', b'{"boot": 1, "link": "gone"}']
)
def test_what_does_not_fit_is_said_and_changes_nothing(world: World, payload: bytes) -> None:
    with pytest.raises(presence.Unfit, match=r"^state: "):
        take(world, Up.STATE, payload)
    assert row(world) is None


def test_a_retained_message_that_is_removed_says_nothing(world: World) -> None:
    assert take(world, Up.STATE, b"") is None
    assert row(world) is None


def test_a_device_that_nobody_knows_leaves_no_trace(world: World) -> None:
    assert take(world, Up.BIRTH, birth(1).model_dump_json().encode(), DeviceId("stranger")) is None
    with world.database.read() as session:
        assert session.get(DeviceStatus, "stranger") is None


def test_a_record_is_not_about_presence(world: World) -> None:
    with pytest.raises(presence.Unfit, match="rec is not about presence"):
        take(world, Up.RECORD, b"x")


def forged(world: World, state: PartState, code: str, since: float, at: float) -> list[tuple[str, int]]:
    """Have the device say how its receipts are; return the open alarms of that kind."""
    part = PartHealth(state=state, code=code, since=NOW + after(since))
    said = Telemetry(at=NOW + after(at), queue=0, oldest_age_s=0, parts={"receipts": part})
    with world.database.write() as session:
        gathered = alarms.Gathered()
        presence.take(session, DEVICE, Up.TELEMETRY, said.model_dump_json().encode(), NOW + after(at), gathered)
        gathered.sound(session, NOW + after(at))
    with world.database.read() as session:
        return [(each.subject, each.times) for each in alarms.open_alarms(session) if each.kind is AlarmKind.FORGED]


def test_a_forged_word_that_a_device_met_is_an_alarm_counted_once_each_time(world: World) -> None:
    assert forged(world, PartState.WELL, "", 0, 0) == []
    assert forged(world, PartState.FAILED, "CARD-01", 1, 1) == [], "another fault is none"
    assert forged(world, PartState.FAILED, "RCPT-01", 2, 2) == [("RCPT-01", 1)]
    assert forged(world, PartState.FAILED, "RCPT-01", 2, 3) == [("RCPT-01", 1)], "said again"
    assert forged(world, PartState.FAILED, "RCPT-01", 4, 4) == [("RCPT-01", 2)]
    assert forged(world, PartState.WELL, "", 5, 5) == [("RCPT-01", 2)], "a person looks at it"


def test_the_codes_of_a_forged_word_are_those_that_kiosks_say() -> None:
    assert set(presence.FORGED) == {courier.FORGED, courier.FORGED_LIST}
