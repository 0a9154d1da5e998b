"""Renewal and rotation over the door: at two thirds of a life, after its end, with another record key; nothing is taken twice."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from joserfc.jwk import OKPKey
from sqlalchemy import select

from kiosk.uplink import identity
from kiosk.uplink.door import DoorRefused
from kiosk.uplink.wallet import Wallet, WrongAnswer
from sync_agent.contract.enrolment import RENEWAL_MEDIA_TYPE, DoorFault, Renewal
from sync_agent.contract.suites import INTL_1
from sync_agent.fleet import enrolment, keys, renewal, trust
from sync_agent.fleet.trust import OVERLAP
from sync_agent.registry.tables import DeviceCertificate, DeviceKey
from tests.sync_agent.trust.conftest import DEVICE, Centre


def request(wallet: Wallet, at: datetime, *, key: OKPKey | None = None, nonce: str | None = None, device: str = DEVICE) -> bytes:
    asked = Renewal(device=device, csr=wallet.next_request(), at=at, nonce=nonce or secrets.token_hex(16))
    return INTL_1.sign(asked.model_dump_json().encode(), key or wallet.signing_key, RENEWAL_MEDIA_TYPE)


def refusal(centre: Centre, wallet: Wallet, message: bytes) -> DoorFault:
    with pytest.raises(DoorRefused) as refused:
        centre.door_of(wallet).renew(message)
    return refused.value.code


def look(centre: Centre, wallet: Wallet) -> float:
    """One look of the kiosk at what is due."""

    async def once() -> float:
        return await centre.renewals(wallet)._look()

    return asyncio.run(once())


def serial(wallet: Wallet) -> int:
    return wallet.certificate().serial_number


def tls_key(certificate: x509.Certificate) -> object:
    return certificate.public_key()


def test_a_certificate_is_renewed_at_two_thirds_of_its_life_and_not_before(centre: Centre) -> None:
    wallet = centre.enrol()
    first = wallet.certificate()
    centre.clock.pass_by(timedelta(days=59))
    look(centre, wallet)
    assert serial(wallet) == first.serial_number
    centre.clock.pass_by(timedelta(days=5))
    look(centre, wallet)
    second = wallet.certificate()
    assert second.serial_number != first.serial_number
    assert tls_key(second) != tls_key(first), "every certificate is for a new key"
    assert second.not_valid_after_utc.date() == (centre.clock.now() + timedelta(days=90)).date()


def test_renewals_of_a_fleet_are_spread(centre: Centre) -> None:
    wallet = centre.enrol()
    due = set()

    async def dues() -> None:
        from random import Random

        from kiosk.uplink.renewal import Renewals

        for seed in range(20):
            due.add(Renewals(wallet, centre.clock, Random(seed)).due())

    asyncio.run(dues())
    begin = wallet.certificate().not_valid_before_utc
    assert len(due) == 20
    assert timedelta(days=60) <= min(due) - begin < max(due) - begin <= timedelta(days=63, hours=1)


def test_renewal_works_when_the_certificate_has_ended(centre: Centre) -> None:
    wallet = centre.enrol()
    centre.clock.pass_by(timedelta(days=100))
    assert wallet.certificate().not_valid_after_utc < centre.clock.now()
    look(centre, wallet)
    assert wallet.certificate().not_valid_after_utc > centre.clock.now()


def test_a_request_that_got_no_answer_is_made_again_for_the_same_key(centre: Centre) -> None:
    wallet = centre.enrol()
    now = centre.clock.now()
    first, second = (centre.door_of(wallet).renew(request(wallet, now)) for _ in range(2))
    assert first.certificate == second.certificate
    wallet.renew(second)
    assert wallet.certificate() == x509.load_pem_x509_certificate(first.certificate.encode())


def test_the_pair_before_is_kept_until_the_new_one_has_connected(centre: Centre) -> None:
    wallet = centre.enrol()
    before = wallet.current
    wallet.renew(centre.door_of(wallet).renew(request(wallet, centre.clock.now())))
    tried = [wallet.to_connect().certificate for _ in range(4)]
    assert tried == [wallet.current.certificate, before.certificate] * 2
    wallet.connected(before)
    assert before.certificate.exists()
    wallet.connected(wallet.current)
    assert not before.certificate.exists()
    assert not before.tls_key.exists()
    assert {wallet.to_connect().certificate for _ in range(3)} == {wallet.current.certificate}


def test_renewed_twice_without_a_connection_the_pair_that_has_connected_is_kept(centre: Centre) -> None:
    wallet = centre.enrol()
    before = wallet.current
    for _ in range(2):
        between = wallet.current
        wallet.renew(centre.door_of(wallet).renew(request(wallet, centre.clock.now())))
    assert before.certificate.exists()
    assert not between.certificate.exists()
    assert {wallet.to_connect().certificate for _ in range(2)} == {wallet.current.certificate, before.certificate}


def test_an_answer_for_another_key_changes_nothing(centre: Centre) -> None:
    wallet, other = centre.enrol(), centre.enrol("other", "kiosk-2")
    theirs = centre.door_of(other).renew(request(other, centre.clock.now(), device="kiosk-2"))
    wallet.next_request()
    before = serial(wallet)
    with pytest.raises(WrongAnswer):
        wallet.renew(theirs)
    assert serial(wallet) == before
    other.renew(theirs)


def test_a_request_is_taken_once(centre: Centre) -> None:
    wallet = centre.enrol()
    message = request(wallet, centre.clock.now())
    centre.door_of(wallet).renew(message)
    assert refusal(centre, wallet, message) is DoorFault.REPEATED
    assert ("enrolment", DEVICE, "renewal-repeated") in centre.alarms()


@pytest.mark.parametrize("minutes", [-11, 11])
def test_a_request_of_another_time_is_refused_with_the_time(centre: Centre, minutes: int) -> None:
    wallet = centre.enrol()
    late = request(wallet, centre.clock.now() + timedelta(minutes=minutes))
    with pytest.raises(DoorRefused) as refused:
        centre.door_of(wallet).renew(late)
    assert refused.value.code is DoorFault.WRONG_TIME
    assert refused.value.refusal.now == centre.clock.now()
    centre.door_of(wallet).renew(request(wallet, centre.clock.now() + timedelta(minutes=9)))


def test_a_kiosk_whose_clock_is_wrong_asks_by_the_centres_time(centre: Centre) -> None:
    wallet, first = centre.enrol(), None
    first = serial(wallet)
    renewals_clock = type(centre.clock)(centre.clock.now() + timedelta(days=70))

    async def once() -> None:
        renewals = centre.renewals(wallet)
        renewals._clock = renewals_clock
        await renewals._look()

    asyncio.run(once())
    assert serial(wallet) != first


def test_a_key_that_nobody_registered_gets_nothing(centre: Centre) -> None:
    wallet = centre.enrol()
    stranger = OKPKey.generate_key("Ed25519")
    assert refusal(centre, wallet, request(wallet, centre.clock.now(), key=stranger)) is DoorFault.NOT_KNOWN
    assert refusal(centre, wallet, b"nonsense") is DoorFault.BAD_REQUEST
    assert refusal(centre, wallet, b"x" * 20_000) is DoorFault.BAD_REQUEST


def test_a_device_cannot_renew_for_another(centre: Centre) -> None:
    wallet, _other = centre.enrol(), centre.enrol("other", "kiosk-2")
    assert refusal(centre, wallet, request(wallet, centre.clock.now(), device="kiosk-2")) is DoorFault.NOT_KNOWN
    assert ("enrolment", DEVICE, "renewal-refused") in centre.alarms()


def test_a_revoked_device_cannot_renew(centre: Centre) -> None:
    wallet = centre.enrol()
    centre.door_of(wallet).renew(request(wallet, centre.clock.now()))
    enrolment.revoke(centre.database, centre.authority, DEVICE, centre.settings.fleet, centre.clock.now())
    assert refusal(centre, wallet, request(wallet, centre.clock.now())) is DoorFault.NOT_KNOWN
    assert ("enrolment", DEVICE, "renewal-refused") in centre.alarms()


def rotate(centre: Centre, wallet: Wallet) -> None:
    """Have the device asked for a new record key, told so, and doing it."""
    renewal.want_new_key(centre.database, DEVICE, centre.clock.now())

    async def hear() -> None:
        renewals = centre.renewals(wallet)
        with centre.database.write() as session:
            newest = trust.newest_list(session, centre.authority, centre.clock.now())
            renewals.box.take(trust.signed(session, centre.authority, DEVICE, newest, centre.clock.now()))
        await renewals._look()

    asyncio.run(hear())


def test_a_record_key_is_replaced_and_the_one_before_holds_a_while_longer(centre: Centre) -> None:
    wallet = centre.enrol()
    old, attested = wallet.signing_key.thumbprint(), wallet.attestation
    rotate(centre, wallet)
    new = wallet.signing_key.thumbprint()
    assert new != old
    assert wallet.attestation not in ("", attested)
    with centre.database.read() as session:
        before, after = keys.find(session, old), keys.find(session, new)
        assert before is not None
        assert after is not None
        assert (before.revoked_at, after.revoked_at) == (centre.clock.now() + OVERLAP, None)
        assert after.device_id == DEVICE
    assert not wallet.has_next_record_key()


def test_asked_once_the_device_replaces_its_key_once(centre: Centre) -> None:
    wallet = centre.enrol()
    rotate(centre, wallet)
    once = wallet.signing_key.thumbprint()
    look(centre, wallet)
    assert wallet.signing_key.thumbprint() == once


def test_a_key_change_whose_answer_was_lost_is_finished_with_the_same_key(centre: Centre) -> None:
    wallet = centre.enrol()
    renewals_key = wallet.next_record_key().thumbprint()

    async def lost() -> None:
        renewals = centre.renewals(wallet)
        centre.door_of(wallet).renew(renewals._request(True, centre.clock.now()))

    asyncio.run(lost())
    assert wallet.signing_key.thumbprint() != renewals_key
    look(centre, wallet)
    assert wallet.signing_key.thumbprint() == renewals_key
    with centre.database.read() as session:
        assert len(session.scalars(select(DeviceKey)).all()) == 2


def test_a_replaced_key_brings_no_other_one_and_no_certificate(centre: Centre) -> None:
    wallet = centre.enrol()
    stolen = wallet.signing_key
    rotate(centre, wallet)
    assert refusal(centre, wallet, request(wallet, centre.clock.now(), key=stolen)) is DoorFault.NOT_KNOWN
    assert ("enrolment", DEVICE, "replaced-key") in centre.alarms()
    centre.door_of(wallet).renew(request(wallet, centre.clock.now()))


def test_revoking_shuts_out_a_replaced_key_at_once_too(centre: Centre) -> None:
    wallet = centre.enrol()
    rotate(centre, wallet)
    enrolment.revoke(centre.database, centre.authority, DEVICE, centre.settings.fleet, centre.clock.now())
    with centre.database.read() as session:
        assert {key.revoked_at for key in session.scalars(select(DeviceKey))} == {centre.clock.now()}
        assert all(row.revoked_at for row in session.scalars(select(DeviceCertificate)))


def test_a_record_key_that_is_too_old_is_to_be_replaced(centre: Centre) -> None:
    centre.enrol()
    with centre.database.write() as session:
        assert renewal.want_new_keys(session, 365, centre.clock.now()) == 0
        assert renewal.want_new_keys(session, 365, centre.clock.now() + timedelta(days=366)) == 1


def test_enrolled_by_file_a_device_renews_at_the_door_too(centre: Centre) -> None:
    wallet = centre.by_file("by-file", DEVICE)
    first = serial(wallet)
    centre.clock.pass_by(timedelta(days=70))
    look(centre, wallet)
    assert serial(wallet) != first
    assert identity.load(centre.state_dir / "by-file").certificate == wallet.current.certificate
