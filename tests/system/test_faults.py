"""Every fault at the counter, made to happen at a real kiosk: the person reads what happened and what to do, no record is lost.

One installation for all tests of this file; each leaves the kiosk at rest. The first test shows that without a fault all works.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from system.simulate.card import Fault
from system.simulate.pilot import Pilot, Seen
from system.simulate.visitor import be_the_person
from system.simulate.world import Places, World, card_of, change_film, wait_until
from tests.planted import PLANTED, found_below
from tests.processes import running

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.pcsc, pytest.mark.broker, pytest.mark.timeout(300)]

FILMS = Path(__file__).parents[2] / ".cache" / "films"
DISK_MB = 48


@pytest.fixture(scope="module")
def world(pcscd_can_run: None) -> Iterator[World]:
    """An installation whose kiosk has a small disk of its own."""
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder:
        places = Places(Path(folder))
        places.kiosk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", places.kiosk], check=True)
        try:
            with World(places, FILMS) as running:
                yield running
                assert list(found_below(places.root)) == []
        finally:
            subprocess.run(["umount", "-l", places.kiosk], check=True)


@pytest.fixture
def pilot(world: World) -> Iterator[Pilot]:
    world.wait_until_connected()
    with world.pilot() as hand:
        yield hand
    with world.pilot() as hand:  # anew: the test may have started the kiosk again
        hand.wait("Attract", timeout_s=40)


@contextmanager
def visit(world: World, person: str = "zhaxi", film: str = "right", fault: str = "") -> Iterator[None]:
    change_film(world.places, world.films, film)
    with card_of(person, "right", world.vpcd_port, Fault.parse(fault) if fault else None).down():
        yield


def agree(pilot: Pilot) -> None:
    pilot.wait("Consent")
    pilot.press("tick-compare")
    pilot.press("agree")


def turn_as_asked(world: World, pilot: Pilot) -> None:
    be_the_person(world.places, world.films, pilot)


def shown(pilot: Pilot, page: str, text: str, within_s: float = 40.0) -> Seen:
    return pilot.wait(page, text=text, timeout_s=within_s)


def last_record(world: World) -> dict[str, object]:
    rows = world.rows("SELECT * FROM record WHERE kind = 'verification' ORDER BY seq DESC LIMIT 1")
    return rows[0] if rows else {"seq": 0}


def last_verification(world: World) -> dict[str, object]:
    return world.rows("SELECT v.* FROM verification v JOIN record r ON r.id = v.record_id ORDER BY r.seq DESC LIMIT 1")[0]


def test_without_a_fault_the_visitor_is_verified(world: World, pilot: Pilot) -> None:
    with visit(world):
        agree(pilot)
        turn_as_asked(world, pilot)
        shown(pilot, "Result", "result.verified.headline")
        pilot.press("done")
    assert last_record(world)["standing"] == "accepted"


def test_what_sees_cards_and_faces_has_no_network(world: World, pilot: Pilot) -> None:
    run, uplink = process(world, " run "), process(world, " uplink ")
    spaces = {pid: Path(f"/proc/{pid}/ns/net").readlink() for pid in (run, face_worker(world), uplink)}
    assert spaces[run] == spaces[face_worker(world)] != spaces[uplink]
    cards = Path(f"/proc/{run}/net/dev").read_text().splitlines()[2:]
    assert [card.split(":")[0].strip() for card in cards] == ["lo"]


def test_nothing_of_a_visitor_lies_in_the_clear_at_kiosk_broker_or_centre(world: World, pilot: Pilot) -> None:
    with visit(world):
        agree(pilot)
        turn_as_asked(world, pilot)
        shown(pilot, "Result", "result.verified.headline")
        pilot.press("done")
    world.broker.stop()  # it writes down what it holds
    world.start_broker()
    planted = [spelt for value in PLANTED for spelt in (value.encode(), value.encode("utf-16-le"))]
    searched = 0
    for folder in (world.places.kiosk, world.places.root / "mosquitto", world.places.agent):
        for path in (path for path in folder.rglob("*") if path.is_file()):
            held = path.read_bytes()
            searched += len(held)
            assert not [one for one in planted if one in held], path.name
            assert b"\xff\xd8\xff" not in held, f"a JPEG in {path.name}"
    roster = (world.places.root / "roster.csv").read_bytes()
    assert searched > 100_000, "records, receipts and registry were searched"
    assert [one for one in planted if one in roster], "the search finds what lies in the clear"


def test_a_reader_that_goes_away_closes_the_counter_within_five_seconds_and_opens_it_again(world: World, pilot: Pilot) -> None:
    world.reader.stop()
    try:
        shown(pilot, "OutOfService", "out.reader", within_s=5)
        health = "SELECT * FROM device_status WHERE CAST(parts AS TEXT) LIKE '%CARD-01%'"
        wait_until(lambda: bool(world.rows(health)), "the centre hearing of it", within_s=5)
    finally:
        world.reader.start()
    pilot.wait("Attract", timeout_s=10)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("lifted-after-page:2", "card.lifted"),
        ("unknown-card", "card.unknown"),
        ("truncated-page:1", "card.damaged"),
        ("corrupted-page:0", "card.damaged"),
        ("unknown-flag", "card.unknown"),
    ],
)
def test_a_card_that_cannot_be_read_is_named_and_the_next_try_works(world: World, pilot: Pilot, fault: str, text: str) -> None:
    with visit(world, fault=fault):
        shown(pilot, "PresentCard", text)
    with visit(world):
        pilot.wait("Consent")
        pilot.press("leave")


def test_without_a_portrait_that_can_be_decoded_a_person_compares(world: World, pilot: Pilot) -> None:
    with visit(world, fault="wlt-portrait"):
        agree(pilot)
        shown(pilot, "Result", "result.review.advice")
        pilot.press("done")
    assert last_verification(world)["outcome"] == "no-reference"


@pytest.mark.parametrize(
    ("film", "hint"),
    [
        ("nobody", "face.hint.no-face"),
        ("two-people", "face.hint.two-faces"),
        ("far", "face.hint.too-far"),
        ("dark", "face.hint.too-dark"),
        ("blurred", "face.hint.blurred"),
    ],
)
def test_what_the_camera_cannot_use_is_said_as_one_hint(world: World, pilot: Pilot, film: str, hint: str) -> None:
    with visit(world, film=film):
        agree(pilot)
        shown(pilot, "Face", hint)
        pilot.press("leave")


def test_who_refuses_the_face_is_checked_by_a_person_and_the_camera_stays_shut(world: World, pilot: Pilot) -> None:
    with visit(world):
        pilot.wait("Consent")
        pilot.press("other-way")
        shown(pilot, "Result", "result.review.advice")
        pilot.press("done")
    row = last_verification(world)
    assert (row["method"], row["outcome"]) == ("manual", "to-confirm")


def test_who_cannot_turn_their_head_is_compared_and_then_confirmed_by_a_person(world: World, pilot: Pilot) -> None:
    with visit(world):
        agree(pilot)
        pilot.wait("Face")
        pilot.press("gentle")
        shown(pilot, "Face", "face.gentle")
        shown(pilot, "Result", "result.review.advice")
        pilot.press("done")
    assert (last_verification(world)["method"], last_verification(world)["outcome"]) == ("face", "to-confirm")
    assert last_record(world)["standing"] == "in-review"


def test_a_camera_that_stops_in_the_middle_leads_to_a_person(world: World, pilot: Pilot) -> None:
    with visit(world, film="nobody"):
        agree(pilot)
        shown(pilot, "Face", "face.hint.no-face")
        world.places.film.unlink()
        shown(pilot, "Result", "camera.gone")
        pilot.press("done")
        shown(pilot, "Result", "result.review.advice")
        pilot.press("done")
    assert last_verification(world)["method"] == "manual"
    change_film(world.places, world.films, "right")


def test_a_face_worker_that_is_killed_leads_to_a_person_and_is_back_for_the_next(world: World, pilot: Pilot) -> None:
    with visit(world, film="nobody"):
        agree(pilot)
        shown(pilot, "Face", "face.hint.no-face")
        os.kill(face_worker(world), signal.SIGKILL)
        shown(pilot, "Result", "face.unavailable")
        pilot.press("done")
        shown(pilot, "Result", "result.review.advice")
        pilot.press("done")
    test_without_a_fault_the_visitor_is_verified(world, pilot)


def face_worker(world: World) -> int:
    return process(world, "multiprocessing.spawn")


def process(world: World, words: str) -> int:
    """Return the process of the kiosk's whose command line holds some words."""
    for pid, args in running().items():
        with suppress(ProcessLookupError):
            if os.getsid(pid) == world.kiosk.pid and words in args:
                return pid
    raise AssertionError(f"no process {words!r} runs")


def test_while_the_sync_agent_is_down_the_record_is_kept_and_later_accepted(world: World, pilot: Pilot) -> None:
    before = last_record(world)["seq"]
    world.agent.stop()
    with visit(world):
        agree(pilot)
        turn_as_asked(world, pilot)
        shown(pilot, "Result", "result.waiting.advice")
        pilot.press("done")
    assert last_record(world)["seq"] == before
    world.start_agent()
    wait_until(lambda: last_record(world)["seq"] != before, "the record arriving")
    wait_until(lambda: last_record(world)["standing"] is not None, "the record being judged")
    assert last_record(world)["standing"] == "accepted"


def test_a_full_disk_closes_the_counter_and_room_opens_it_again(world: World, pilot: Pilot) -> None:
    ballast = world.places.kiosk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(world.places.kiosk).free - 3_000_000))
    shown(pilot, "OutOfService", "out.storage", within_s=5)
    ballast.unlink()
    pilot.wait("Attract", timeout_s=10)


def test_help_opens_a_case_in_one_touch(world: World, pilot: Pilot) -> None:
    with visit(world):
        pilot.wait("Consent")
        pilot.press("help")
        shown(pilot, "Result", "help.advice")
        pilot.press("done")
    wait_until(lambda: bool(world.rows("SELECT * FROM review_case WHERE kind = 'help' AND step = 'consent'")), "the case")


def test_a_kiosk_that_is_killed_in_a_visit_comes_back_at_rest_and_its_chain_goes_on(world: World, pilot: Pilot) -> None:
    with visit(world, film="nobody"):
        agree(pilot)
        shown(pilot, "Face", "face.hint.no-face")
        world.kiosk.kill()
    world.start_kiosk()
    with world.pilot() as again:
        again.wait("Attract", timeout_s=40)
        with visit(world):
            agree(again)
            turn_as_asked(world, again)
            shown(again, "Result", "result.verified.headline")
            again.press("done")
        again.wait("Attract", timeout_s=40)
    gaps = world.rows("SELECT gaps FROM device_seen")
    assert [str(row["gaps"]) for row in gaps] == ["[]"]


def test_a_model_file_that_is_not_the_one_it_should_be_leads_to_a_person(world: World, pilot: Pilot) -> None:
    world.kiosk.stop()
    with world.spoilt_weights():
        world.start_kiosk()
        with world.pilot() as again:
            with visit(world):
                agree(again)
                shown(again, "Result", "face.unavailable")
                again.press("done")
                shown(again, "Result", "result.review.advice")
                again.press("done")
            again.wait("Attract", timeout_s=40)
        world.kiosk.stop()
    world.start_kiosk()
