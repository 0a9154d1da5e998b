"""The outbox: numbered, chained, kept through everything a disk and a centre can do."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from kiosk.uplink import outbox as outbox_module
from kiosk.uplink.faults import OutboxBusy, OutboxFull
from kiosk.uplink.outbox import Depth, Outbox, Tail
from kiosk.uplink.settling import Spot
from kiosk.uplink.store import State
from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.envelope import GENESIS, Place, Signed
from sync_agent.contract.receipts import Rejection, Ruling, Standing
from tests.kiosk.uplink.filled import NOW, StillClock, add, receipt


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db")
    yield box
    box.close()


def spots(box: Outbox, *seqs: int) -> list[Spot]:
    return [Spot(box.epoch, seq) for seq in seqs]


def test_records_are_numbered_and_each_names_the_one_before(outbox: Outbox) -> None:
    assert [add(outbox) for _ in range(3)] == [1, 2, 3]
    first, second, third = (row.decode().split("/") for row in outbox.messages())
    assert first[2] == GENESIS
    assert second[2] == sha256("/".join(first).encode()).hexdigest()
    assert third[2] == sha256("/".join(second).encode()).hexdigest()


def test_a_record_survives_the_process_that_wrote_it(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as before:
        add(before)
        tail = before.tail()
    with closing(Outbox(tmp_path / "outbox.db")) as after:
        assert after.tail() == tail
        assert add(after) == 2


def test_a_new_database_has_another_epoch(tmp_path: Path) -> None:
    epochs = set()
    for name in ("a.db", "b.db"):
        with closing(Outbox(tmp_path / name)) as box:
            epochs.add(box.epoch)
    assert len(epochs) == 2


def test_every_start_counts(outbox: Outbox) -> None:
    assert [outbox.begin_boot(), outbox.begin_boot(), outbox.boot] == [1, 2, 2]


def test_a_signature_that_fails_uses_up_no_number(outbox: Outbox) -> None:
    def fails(_place: Place, _at: datetime) -> Signed:
        raise RuntimeError("no key")

    with pytest.raises(RuntimeError):
        outbox.add("id-1", "case", StillClock(), fails)
    assert add(outbox) == 1


def test_a_receipt_marks_all_it_covers_but_the_gaps(outbox: Outbox) -> None:
    for _ in range(4):
        add(outbox)
    assert outbox.settle(receipt(outbox, 3, gaps=[[2, 2]]), NOW) == spots(outbox, 1, 3)
    assert [outbox.progress(seq).state for seq in range(1, 5)] == [State.RECEIVED, State.WAITING, State.RECEIVED, State.WAITING]
    assert outbox.depth(NOW) == Depth(2, 0)


def test_a_received_record_is_asked_for_until_the_rules_have_answered(outbox: Outbox) -> None:
    add(outbox)
    digest = outbox.tail().last_digest
    outbox.settle(receipt(outbox, 1), NOW)
    assert [row.spot.seq for row in outbox.unruled(None, 10)] == [1]
    ruling = Ruling(seq=1, digest=digest, standing=Standing.REFUSED, code=Code.PERSON_NOT_EXPECTED)
    assert outbox.settle(receipt(outbox, 1, rulings=[ruling]), NOW) == spots(outbox, 1)
    progress = outbox.progress(1)
    assert (progress.state, progress.standing, progress.code) == (State.ANSWERED, Standing.REFUSED, Code.PERSON_NOT_EXPECTED)
    assert outbox.waiting(10) == [] == outbox.unruled(None, 10)


def test_a_ruling_on_other_bytes_changes_nothing(outbox: Outbox) -> None:
    add(outbox)
    forged = Ruling(seq=1, digest="f" * 64, standing=Standing.ACCEPTED)
    outbox.settle(receipt(outbox, 0, rulings=[forged]), NOW)
    assert outbox.progress(1).state is State.WAITING
    right = forged.model_copy(update={"digest": outbox.tail().last_digest})
    outbox.settle(receipt(outbox, 0, rulings=[right]), NOW)
    assert outbox.progress(1).state is State.ANSWERED


def test_a_receipt_of_another_epoch_changes_nothing(outbox: Outbox) -> None:
    add(outbox)
    assert outbox.settle(receipt(outbox, 1).model_copy(update={"epoch": "0" * 16}), NOW) == []
    assert outbox.progress(1).state is State.WAITING


def test_a_rejected_record_stays_for_staff_and_is_not_sent_again(outbox: Outbox) -> None:
    add(outbox)
    (message,) = outbox.messages()
    rejection = Rejection(message_sha256=sha256(message).hexdigest(), fault=Fault.BAD_SIGNATURE)
    assert outbox.settle(receipt(outbox, 0, rejections=[rejection]), NOW) == spots(outbox, 1)
    assert (outbox.progress(1).state, outbox.progress(1).fault) == (State.REJECTED, Fault.BAD_SIGNATURE)
    assert outbox.waiting(10) == [] == outbox.unruled(None, 10)
    assert [seq for seq, *_ in outbox.listing()] == [1]


def test_the_depth_says_how_old_the_oldest_is(outbox: Outbox) -> None:
    add(outbox, NOW - timedelta(seconds=90))
    add(outbox)
    assert outbox.depth(NOW) == Depth(2, 90)


def test_a_locked_outbox_is_busy_and_nothing_is_lost(outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "BUSY_MS", 50)
    with closing(Outbox(tmp_path / "outbox.db")) as impatient, closing(sqlite3.connect(tmp_path / "outbox.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutboxBusy):
            add(impatient)
        other.rollback()
        assert add(impatient) == 1


@pytest.mark.root
def test_a_full_disk_refuses_and_keeps_what_is_there(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=True)
    try:
        with closing(Outbox(disk / "outbox.db")) as box:
            add(box)
            ballast = disk / "ballast"
            fill(ballast)
            with pytest.raises(OutboxFull):
                for _ in range(200):
                    add(box)
            tail = box.tail()
            assert tail.last_seq >= 1
            assert box.waiting(1000) == spots(box, *range(1, tail.last_seq + 1))
            ballast.unlink()
            assert add(box) == tail.last_seq + 1
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def fill(ballast: Path) -> None:
    """Leave no free block on the disk."""
    with pytest.raises(OSError, match="No space left"), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def test_an_empty_outbox_has_an_empty_chain(outbox: Outbox) -> None:
    assert outbox.tail() == Tail(outbox.epoch, 0, GENESIS)


@pytest.mark.slow
def test_two_processes_may_make_the_outbox_at_once(tmp_path: Path) -> None:
    for attempt in range(5):
        path = tmp_path / str(attempt) / "outbox.db"
        opening = f"from pathlib import Path; from kiosk.uplink.outbox import Outbox; Outbox(Path({str(path)!r})).close()"
        both = [subprocess.Popen([sys.executable, "-c", opening]) for _ in range(2)]
        assert [process.wait(30) for process in both] == [0, 0]
