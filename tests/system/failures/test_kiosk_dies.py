"""Row 3 of the failure matrix: the kiosk is killed at any step of writing a record, and its uplink at any step of carrying one.

What a power cut takes on top, at every step, is in tests/system/test_power_cut.py.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from kiosk.clock import SystemClock
from kiosk.uplink import identity
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from kiosk.uplink.store import State
from system.simulate.world import wait_until
from tests.system.centre import CASE, Centre, enrolled
from tests.system.failures.killing import killed_at
from tests.system.promises import broken, promised
from tests.system.writer import seeded

pytestmark = pytest.mark.slow
SEED: Final = 20261123
KILLED: Final = (-signal.SIGKILL, 128 + signal.SIGKILL)
Death = tuple[str, int]
"""The n-th call of a kind."""

CALLS: Final = ("pwrite64", "fdatasync", "ftruncate", "unlink")


@pytest.fixture
def identity_dir(state_dir: Path) -> Iterator[Path]:
    """The identity of an enrolled device."""
    with enrolled(state_dir / "centre"):
        yield state_dir / "centre" / "identity"


def lives(outbox: Path, identity_dir: Path, deaths: Sequence[Death], *weaker: str) -> tuple[list[str], int]:
    """Let kiosks write on one outbox, one after the other, each to its death; return what they said and how many were killed."""
    said, killed = list[str](), 0
    for call, when in deaths:
        words: list[str | Path] = [sys.executable, "-m", "tests.system.writer", identity_dir, outbox, "8", "2", *weaker]
        command: list[str | Path] = [*killed_at(call, when, files_of(outbox)), *words]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        killed += ran.returncode in KILLED
        said += ran.stdout.splitlines()
    return said, killed


def files_of(outbox: Path) -> list[Path]:
    return [outbox, outbox.with_name(f"{outbox.name}-wal"), outbox.with_name(f"{outbox.name}-journal")]


def nothing_is_broken_after(many: int, identity_dir: Path, state_dir: Path) -> None:
    outbox, luck = state_dir / "outbox" / "outbox.db", random.Random(SEED)
    deaths = [(luck.choice(CALLS), luck.choice((1, 1, 2, 3, luck.randint(1, 40)))) for _ in range(many)]
    said, killed = lives(outbox, identity_dir, deaths)
    assert killed > many / 2
    assert len(promised(said).digests) > many, "they wrote in between"
    assert broken(promised(said), outbox, seeded(identity.load(identity_dir))) == ""


def test_a_kiosk_killed_at_any_step_of_writing_uses_no_sequence_twice_and_its_chain_goes_on(
    identity_dir: Path, state_dir: Path
) -> None:
    nothing_is_broken_after(7, identity_dir, state_dir)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_kiosk_killed_two_hundred_times_uses_no_sequence_twice_and_its_chain_goes_on(
    identity_dir: Path, state_dir: Path
) -> None:
    nothing_is_broken_after(200, identity_dir, state_dir)


def test_an_outbox_without_its_log_does_not_outlive_such_deaths(identity_dir: Path, state_dir: Path) -> None:
    """The negative control: what was being changed when the kiosk was killed is kept in memory only."""
    outbox, who = state_dir / "outbox" / "outbox.db", seeded(identity.load(identity_dir))
    for number in range(20, 60):
        said, _ = lives(outbox, identity_dir, [("pwrite64", number)], "journal_mode=MEMORY")
        if broken(promised(said), outbox, who):
            return
        shutil.rmtree(outbox.parent)
    pytest.fail("every death was outlived")


UPLINK_DEATHS: Final = (("pwrite64", 1), ("pwrite64", 6), ("fdatasync", 1), ("fdatasync", 3))


@pytest.mark.broker
def test_an_uplink_killed_at_any_step_of_carrying_loses_and_doubles_nothing(centre: Centre, state_dir: Path) -> None:
    kiosk_dir = centre.identity_dir.parent
    with centre.agent(), closing(Outbox(kiosk_dir / "outbox" / "outbox.db")) as outbox:
        pen = Pen(outbox, identity.load(centre.identity_dir), SystemClock())
        for call, when in UPLINK_DEATHS:
            for _ in range(3):
                pen.write(CASE, None)
            doomed = centre.uplink_process(before=killed_at(call, when, files_of(kiosk_dir / "outbox" / "outbox.db")))
            doomed.start(lambda: True)
            assert doomed.wait(20) in KILLED, f"at {call} number {when}"
        uplink = centre.uplink_process()
        uplink.start(lambda: True)
        try:
            wait_until(lambda: {row[3].state for row in outbox.listing()} == {State.ANSWERED}, "answers to all records")
        finally:
            uplink.stop()
        assert centre.records() == list(range(1, outbox.tail().last_seq + 1))
        assert centre.quarantined() == 0
