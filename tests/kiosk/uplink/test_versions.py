"""An update and a step back to the release before: every row is kept, goes out, and is settled once, whoever wrote it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kiosk.uplink import versions
from kiosk.uplink.faults import OutboxNewer
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.settling import Spot
from kiosk.uplink.store import State
from sync_agent.contract.receipts import Standing
from tests.kiosk.uplink.filled import NOW, add, receipt, ruling, sign
from tests.kiosk.uplink.release_1.outbox import Outbox as Outbox1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def add_1(box: Outbox1) -> int:
    return box.add(f"old-{box.tail().last_seq + 1}", "case", NOW, lambda place: sign(place))


def schema(path: Path) -> set[tuple[str, ...]]:
    """Every table's and index's columns, whatever the order in which they came to be."""
    with closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {(name, *map(str, column[1:])) for name in names for column in database.execute(f"PRAGMA table_info({name})")}


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def set_version(path: Path, number: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {number}")


def test_what_release_1_left_is_taken_over_whole(path: Path) -> None:
    with closing(Outbox1(path)) as old:
        for _ in range(4):
            add_1(old)
        old.settle(receipt(old, 2), NOW)  # type: ignore[arg-type]  # the epoch is all that is asked of it
        tail, messages = old.tail(), {row.seq: row.message for row in old.unanswered(10)}
    with closing(Outbox(path)) as new:
        assert (new.tail().epoch, new.tail().last_seq, new.tail().last_digest) == (tail.epoch, tail.last_seq, tail.last_digest)
        assert [row.progress.state for row in new.listing()] == [State.RECEIVED, State.RECEIVED, State.WAITING, State.WAITING]
        assert [row.spot.seq for row in new.fetch(new.waiting(10))] == [3, 4]
        assert list(new.messages()) == list(messages.values())
        assert add(new) == 5
    assert version(path) == 1002


def test_release_1_goes_on_with_what_this_one_used_and_this_one_takes_over_again(path: Path) -> None:
    with closing(Outbox(path)) as new:
        for _ in range(3):
            add(new)
        new.settle(receipt(new, 2, rulings=[ruling(new, 1)]), NOW)
    with closing(Outbox1(path)) as old:
        assert [add_1(old) for _ in range(100)] == list(range(4, 104))
        sent = {row.seq: row.message for row in old.unanswered(200)}
        assert sorted(sent) == list(range(2, 104)), "all but the answered one go out, each once"
        old.settle(receipt(old, 50), NOW)  # type: ignore[arg-type]  # the epoch is all that is asked of it
        assert old.begin_boot() == 1
    with closing(Outbox(path)) as new:
        rows = list(new.listing())
        assert [row.seq for row in rows] == list(range(1, 104))
        assert [row.progress.state for row in rows] == [State.ANSWERED] + [State.RECEIVED] * 49 + [State.WAITING] * 53
        assert {row.spot.seq: row.message for row in new.fetch(new.waiting(200))} == {n: sent[n] for n in range(51, 104)}
        assert new.settle(receipt(new, 103, rulings=[ruling(new, 60, Standing.REFUSED)]), NOW)[-1].seq == 103
        assert add(new) == 104
        assert new.begin_boot() == 2


def test_a_former_epoch_is_nothing_to_release_1_and_still_goes_out_after_it(path: Path) -> None:
    with closing(Outbox(path)) as new:
        add(new), add(new)
        former = new.epoch
        new.settle(receipt(new, 7), NOW)
        add(new)
    with closing(Outbox1(path)) as old:
        assert [row.seq for row in old.unanswered(10)] == [1]
        assert old.epoch != former
        assert add_1(old) == 2
        old.settle(receipt(old, 2), NOW)  # type: ignore[arg-type]  # the epoch is all that is asked of it
    with closing(Outbox(path)) as new:
        assert new.waiting(10) == [Spot(former, 1), Spot(former, 2)]


def test_a_new_file_and_one_brought_up_are_alike(path: Path, tmp_path: Path) -> None:
    Outbox1(path).close()
    before = schema(path)
    Outbox(path).close()
    Outbox(tmp_path / "new.db").close()
    assert schema(path) == schema(tmp_path / "new.db") > before


def test_a_step_only_adds_so_that_release_1_finds_all_it_knows(path: Path, tmp_path: Path) -> None:
    Outbox1(tmp_path / "old.db").close()
    Outbox(path).close()
    assert schema(tmp_path / "old.db") <= schema(path)


@pytest.fixture
def newer(path: Path) -> Iterator[Path]:
    with closing(Outbox(path)) as box:
        add(box)
    yield path


def test_a_later_file_that_still_serves_us_is_used_and_keeps_its_version(newer: Path) -> None:
    set_version(newer, 2000 + versions.VERSION + 1)
    with closing(Outbox(newer)) as box:
        assert add(box) == 2
    assert version(newer) == 2000 + versions.VERSION + 1


def test_a_later_file_that_does_not_serve_us_is_named_and_not_touched(newer: Path) -> None:
    set_version(newer, (versions.VERSION + 1) * 1000 + versions.VERSION + 1)
    before = newer.read_bytes()
    with pytest.raises(OutboxNewer, match="version 3") as refused:
        Outbox(newer)
    assert refused.value.code == "BOX-06"
    assert newer.read_bytes() == before
    set_version(newer, 1002)
    with closing(Outbox(newer)) as box:
        assert add(box) == 2
