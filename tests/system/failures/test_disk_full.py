"""Row 19 of the failure matrix: disks without room, real ones, at the kiosk and at the centre. What is kept stays.

That the counter then closes for visitors is in tests/system/test_faults.py.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kiosk.clock import SystemClock
from kiosk.uplink import identity
from kiosk.uplink.faults import OutboxFull
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from kiosk.uplink.store import State
from tests.system.centre import CASE, Centre, enrolled, kiosk, opened
from tests.system.promises import Promised, broken

pytestmark = [pytest.mark.root, pytest.mark.slow]


def small_disk(folder: Path, size_kb: int) -> Iterator[Path]:
    """Mount a small disk for as long as the generator lives."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def kiosk_disk(state_dir: Path) -> Iterator[Path]:
    yield from small_disk(state_dir / "small", 1024)


def test_a_full_disk_refuses_the_next_record_and_keeps_every_one_before(state_dir: Path, kiosk_disk: Path) -> None:
    with enrolled(state_dir / "centre"):
        who = identity.load(state_dir / "centre" / "identity")
    path, digests = kiosk_disk / "outbox.db", dict[int, str]()
    with closing(Outbox(path)) as outbox:
        pen = Pen(outbox, who, SystemClock())
        ballast = kiosk_disk / "ballast"
        ballast.write_bytes(bytes(400_000))
        with pytest.raises(OutboxFull):
            for _ in range(10_000):
                seq = pen.write(CASE, None).seq
                digests[seq] = outbox.tail().last_digest
        assert digests
        assert outbox.tail().last_seq == len(digests), "the refused one took no sequence"
        assert {row[3].state for row in outbox.listing()} == {State.WAITING}
        ballast.unlink()
        assert pen.write(CASE, None).seq == len(digests) + 1
        before = Promised(outbox.epoch, outbox.boot, digests)
    assert broken(before, path, who) == ""


@pytest.fixture
def centre_on_small_disk(state_dir: Path) -> Iterator[Centre]:
    disk = small_disk(state_dir / "agent", 4096)
    next(disk)
    try:
        with opened(state_dir) as centre:
            yield centre
    finally:
        next(disk, None)


@pytest.mark.broker
async def test_a_centre_without_room_says_of_nothing_that_it_is_received_and_catches_up(
    centre_on_small_disk: Centre, state_dir: Path
) -> None:
    centre, disk = centre_on_small_disk, state_dir / "agent"
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir)) as ours:
            await ours.until_answered(ours.write())
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(shutil.disk_usage(disk).free))
            await ours.until(lambda: shutil.disk_usage(disk).free == 0, "the full disk")
            waiting = [ours.write() for _ in range(200)]
            await ours.until(lambda: any(ours.outbox.progress(seq).state is State.WAITING for seq in waiting), "a record waiting")
            ballast.unlink()
            for seq in waiting:
                await ours.until_answered(seq, 40)
    assert centre.records() == list(range(1, 202))
