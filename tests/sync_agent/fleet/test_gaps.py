"""What is missing, and which of it came and was refused."""

from __future__ import annotations

from sync_agent.contract import envelope
from sync_agent.contract.codes import Fault
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import gaps
from sync_agent.registry.database import Database
from tests.sync_agent.ingest.centre import DEVICE, EPOCH, NOW, Centre


def test_a_refused_record_explains_its_gap(database: Database) -> None:
    centre = Centre(database)
    signed = centre.chain(6)
    payload = envelope.payload_of(signed[2].message).replace(b'"cause":"help"', b'"cause":"nope"')
    refused = INTL_1.sign(payload, centre.device_key, envelope.MEDIA_TYPE)
    centre.take(signed[0].message, refused, signed[5].message)
    with database.read() as session:
        (gap,) = gaps.listing(session)
        assert gaps.listing(session, DeviceId("another")) == []
    assert gap == gaps.Missing(DEVICE, EPOCH, 2, 5, NOW, ((3, Fault.BAD_CONTENT),))
    assert gap.lost == 3
    line = f"{DEVICE} {EPOCH} 2-5 since 2026-11-23 08:00:00Z, 3 missing, 3 refused (bad-content)"
    assert " ".join(str(gap).split()) == line


def test_what_comes_after_all_is_no_gap(database: Database) -> None:
    centre = Centre(database)
    one, two, three = centre.chain(3)
    centre.take(one.message, three.message)
    centre.take(two.message)
    with database.read() as session:
        assert gaps.listing(session) == []
