"""Every way in which a disk can fail the outbox has its own name, and none of them costs a record."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from kiosk.app import storage
from kiosk.screens.pages import Text
from kiosk.screens.words import Language, Words
from kiosk.uplink import outbox as outbox_module
from kiosk.uplink.faults import (
    OutboxBusy,
    OutboxDamaged,
    OutboxFault,
    OutboxFull,
    OutboxNewer,
    OutboxOutOfReach,
    OutboxReadOnly,
    told_apart,
)
from kiosk.uplink.outbox import Outbox
from sync_agent.contract.kinds import PartState
from tests.kiosk.uplink.filled import StillClock, add

FAULTS = (OutboxFull, OutboxBusy, OutboxReadOnly, OutboxDamaged, OutboxOutOfReach, OutboxNewer)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(Outbox(tmp_path / "outbox.db")) as box:
        for _ in range(40):
            add(box)
    return tmp_path / "outbox.db"


def test_a_file_that_is_no_database_is_damaged_and_left_as_it_is(path: Path) -> None:
    content = b"not a database at all" * 500
    path.write_bytes(content)
    with pytest.raises(OutboxDamaged):
        Outbox(path)
    assert path.read_bytes() == content


def test_a_damaged_page_is_named_when_it_is_met(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 8192))
    with pytest.raises(OutboxDamaged), closing(Outbox(path)) as box:
        add(box)


@pytest.mark.parametrize(("first", "last"), [(100, 4096), (4096, None)], ids=["list of tables", "tables"])
def test_an_outbox_that_cannot_be_opened_leaves_no_file_open(path: Path, first: int, last: int | None) -> None:
    with closing(Outbox(path)):
        assert open_below(path.parent)  # the control: an open one shows
    with path.open("r+b") as file:
        file.seek(first)
        file.write(b"\xff" * ((last or path.stat().st_size) - first))
    gc.disable()  # would close by and by what was forgotten
    try:
        with pytest.raises(OutboxDamaged):
            Outbox(path)
        assert open_below(path.parent) == []
    finally:
        gc.enable()


def open_below(folder: Path) -> list[str]:
    names = (str(link.readlink()) for link in list(Path("/proc/self/fd").iterdir()) if link.is_symlink())
    return [name for name in names if name.startswith(str(folder))]


@pytest.mark.root
def test_a_disk_that_turned_read_only_is_named_and_the_same_disk_writable_takes_the_record(path: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
    try:
        with closing(Outbox(disk / "outbox.db")) as box:
            assert add(box) == 1
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(OutboxReadOnly):
            Outbox(disk / "outbox.db")
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        with closing(Outbox(disk / "outbox.db")) as box:
            assert add(box) == 2
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_file_that_was_taken_away_is_out_of_reach_and_not_made_anew_by_the_probe(path: Path) -> None:
    with closing(Outbox(path)) as box:
        box.probe()
        path.rename(path.with_suffix(".away"))
        with pytest.raises(OutboxOutOfReach):
            box.probe()
        assert not path.exists()
        path.with_suffix(".away").rename(path)
        box.probe()


def test_a_folder_that_cannot_be_made_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")
    with pytest.raises(OutboxOutOfReach):
        Outbox(tmp_path / "state" / "outbox.db")
    (tmp_path / "state").unlink()
    Outbox(tmp_path / "state" / "outbox.db").close()


def test_the_self_test_names_the_fault_and_is_well_again_after_it(path: Path) -> None:
    with closing(Outbox(path)) as box:
        assert storage(box, 1, StillClock()).state is PartState.WELL
        path.rename(path.with_suffix(".away"))
        health = storage(box, 1, StillClock())
        assert (health.state, health.code) == (PartState.FAILED, OutboxOutOfReach.code)
        path.with_suffix(".away").rename(path)
        assert storage(box, 1, StillClock()).state is PartState.WELL


def test_a_lock_of_the_other_process_is_no_fault_of_the_storage(path: Path) -> None:
    with closing(Outbox(path)) as box, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert storage(box, 1, StillClock()).state is PartState.WELL


def test_reading_a_locked_outbox_does_not_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "BUSY_MS", 0)
    with closing(Outbox(path)) as box, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert box.tail().last_seq == 40
        with pytest.raises(OutboxBusy):
            add(box)


def test_a_bug_is_not_taken_for_a_fault_of_the_disk() -> None:
    with pytest.raises(sqlite3.OperationalError), told_apart("testing"), closing(sqlite3.connect(":memory:")) as database:
        database.execute("SELECT nonsense FROM nowhere")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("language", [Language.CHINESE, Language.ENGLISH])
def test_every_fault_has_its_own_code_and_words(fault: type[OutboxFault], language: Language) -> None:
    words = [Words(language).say(Text(one.message)) for one in FAULTS]
    assert words.count(Words(language).say(Text(fault.message))) == 1
    assert len({one.code for one in FAULTS}) == len(FAULTS)
