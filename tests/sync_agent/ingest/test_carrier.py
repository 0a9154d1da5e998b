"""Records carried by hand are held like any."""

from __future__ import annotations

from io import BytesIO

import pytest
from joserfc.jwk import OKPKey

from sync_agent.contract import carried
from sync_agent.contract.carried import NotCarried
from sync_agent.contract.codes import Fault
from sync_agent.ingest.carrier import Brought, bring_in
from tests.sync_agent.ingest.centre import DEVICE, TENANT, Centre


def file_of(centre: Centre, *messages: bytes) -> BytesIO:
    return BytesIO(b"".join(carried.write((TENANT, DEVICE), messages, centre.registry_key)))


def bring(centre: Centre, file: BytesIO) -> Brought:
    return bring_in(centre.database, centre.office, [OKPKey.generate_key("X25519"), centre.registry_key], file)


def test_what_is_carried_is_held_judged_and_confirmed_at_the_next_sending(centre: Centre) -> None:
    signed = centre.chain(5)
    centre.take(signed[0].message, signed[4].message)
    assert bring(centre, file_of(centre, *(one.message for one in signed))) == Brought(5, 0)
    assert centre.held() == [1, 2, 3, 4, 5]
    (receipt,) = centre.decide()
    assert (receipt.upto, receipt.gaps, len(receipt.rulings)) == (5, (), 5)
    assert centre.alarms() == {}


def test_twice_the_same_file_changes_nothing(small_centre: Centre) -> None:
    signed = small_centre.chain(3)
    for _ in range(2):
        assert bring(small_centre, file_of(small_centre, *(one.message for one in signed))) == Brought(3, 0)
    assert small_centre.held() == [1, 2, 3]


def test_what_cannot_be_held_is_counted_and_quarantined(small_centre: Centre) -> None:
    good = small_centre.record(1)
    stranger = small_centre.record(2, key=OKPKey.generate_key("Ed25519"))
    assert bring(small_centre, file_of(small_centre, good.message, stranger.message)) == Brought(2, 1)
    assert (small_centre.held(), small_centre.faults()) == ([1], [Fault.UNKNOWN_KEY])


def test_a_file_that_breaks_off_says_so(small_centre: Centre) -> None:
    whole = file_of(small_centre, small_centre.record(1).message).getvalue()
    with pytest.raises(NotCarried):
        bring(small_centre, BytesIO(whole[:-100]))
    assert small_centre.held() == []
