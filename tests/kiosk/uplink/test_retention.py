"""What is deleted, and what never is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from kiosk.uplink import outbox as outbox_module
from kiosk.uplink.outbox import Outbox
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import GENESIS, Place, Signed
from sync_agent.contract.receipts import Rejection, Ruling, Standing
from tests.kiosk.uplink.filled import NOW, StillClock, add, digest, receipt, ruling

MONTH = timedelta(days=30)
A_DAY = timedelta(days=1)
ROOMY, SHORT = 1, 10**9


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Accepted, refused, in review, received, rejected, waiting, accepted, and an accepted one at the end."""
    with closing(Outbox(tmp_path / "outbox.db")) as box:
        for _ in range(8):
            add(box)
        standings = {1: Standing.ACCEPTED, 2: Standing.REFUSED, 3: Standing.IN_REVIEW, 7: Standing.ACCEPTED, 8: Standing.ACCEPTED}
        rejected = Rejection(message_sha256="", digest=digest(box, 5), fault=Fault.BAD_CONTENT)
        rulings = [ruling(box, seq, standing) for seq, standing in standings.items()]
        box.settle(receipt(box, 4, rulings=rulings, rejections=[rejected]), NOW)
        yield box


def seqs(box: Outbox) -> list[int]:
    return [row.seq for row in box.listing()]


def test_after_their_time_only_finally_answered_records_go_and_never_the_last(outbox: Outbox) -> None:
    tail = outbox.tail()
    assert outbox.prune(NOW + MONTH + A_DAY, keep_days=30, min_free_mb=ROOMY) == 3
    assert seqs(outbox) == [3, 4, 5, 6, 8]
    assert outbox.tail() == tail
    assert add(outbox) == 9


def test_before_their_time_nothing_goes(outbox: Outbox) -> None:
    assert outbox.prune(NOW + MONTH - A_DAY, keep_days=30, min_free_mb=ROOMY) == 0
    assert len(seqs(outbox)) == 8


def test_where_room_is_short_answered_records_go_sooner_and_no_others(outbox: Outbox) -> None:
    assert outbox.prune(NOW + A_DAY, keep_days=30, min_free_mb=SHORT) == 3
    assert seqs(outbox) == [3, 4, 5, 6, 8]


def test_it_goes_in_small_steps_and_ends(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "PRUNE_STEP", 1)
    assert outbox.prune(NOW + MONTH + A_DAY, keep_days=30, min_free_mb=ROOMY) == 3


def test_answered_records_of_a_former_epoch_go_too_and_its_others_stay(outbox: Outbox) -> None:
    outbox.settle(receipt(outbox, 99), NOW)
    assert outbox.prune(NOW + MONTH + A_DAY, keep_days=30, min_free_mb=ROOMY) == 4
    assert seqs(outbox) == [3, 4, 5, 6]


def test_a_receipt_for_what_has_gone_changes_nothing(outbox: Outbox) -> None:
    again = receipt(outbox, 8, rulings=[ruling(outbox, 1, Standing.REFUSED)], at=NOW + MONTH)
    outbox.prune(NOW + MONTH + A_DAY, keep_days=30, min_free_mb=ROOMY)
    assert 1 not in [spot.seq for spot in outbox.settle(again, NOW + MONTH)]


def test_room_inside_the_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file never shrinks, but what was deleted makes room for new records: the counter need not stay closed."""

    def large(place: Place, _at: datetime) -> Signed:
        return Signed(bytes(2_000_000), sha256(str(place).encode()).hexdigest())

    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=10_000_000))
    with closing(Outbox(tmp_path / "outbox.db")) as box:
        for number in (1, 2):
            box.add(f"id-{number}", "case", StillClock(), large)
        first = sha256(str(Place(box.epoch, 1, GENESIS)).encode()).hexdigest()
        box.settle(receipt(box, 2, rulings=[Ruling(seq=1, digest=first, standing=Standing.ACCEPTED)]), NOW)
        before = box.free_mb()
        assert box.prune(NOW + MONTH + A_DAY, keep_days=30, min_free_mb=ROOMY) == 1
        assert box.free_mb() > before
