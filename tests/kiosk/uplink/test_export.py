"""The outbox on a USB stick: all of it, for the registry alone, and nothing half."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from kiosk.uplink import export
from kiosk.uplink.outbox import Outbox
from sync_agent.contract import carried
from sync_agent.contract.topics import DeviceId, Tenant
from tests.kiosk.uplink.filled import NOW, add, receipt

SOURCE = (Tenant("xz"), DeviceId("kiosk-01"))


def test_every_kept_record_of_every_epoch_goes_along_and_only_the_registry_reads_it(tmp_path: Path) -> None:
    key = OKPKey.generate_key("X25519")
    with closing(Outbox(tmp_path / "outbox.db")) as box:
        for _ in range(3):
            add(box)
        box.settle(receipt(box, 9), NOW)
        add(box)
        assert export.write(box, SOURCE, OKPKey.import_key(key.as_dict(private=False)), tmp_path / "stick") == 4
        with (tmp_path / "stick").open("rb") as file:
            assert [one.message for one in carried.read(file, [key])] == list(box.messages())
        assert box.epoch.encode() not in (tmp_path / "stick").read_bytes()
        assert len(box.waiting(9)) == 4, "nothing is settled by it"


def test_a_stick_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    key = OKPKey.generate_key("X25519")
    (tmp_path / "stick").write_bytes(b"before")
    (tmp_path / "stick.part").mkdir()
    with closing(Outbox(tmp_path / "outbox.db")) as box:
        add(box)
        with pytest.raises(OSError):
            export.write(box, SOURCE, key, tmp_path / "stick")
        assert (tmp_path / "stick").read_bytes() == b"before"
        (tmp_path / "stick.part").rmdir()
        assert export.write(box, SOURCE, key, tmp_path / "stick") == 1
    assert sorted(path.name for path in tmp_path.glob("stick*")) == ["stick"]
