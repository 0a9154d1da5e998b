"""Before something ends that others rely on there is an alarm, and it goes when it was made new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from sync_agent.fleet import enrolment, watch
from sync_agent.web.turnstile import Turnstile, network
from tests.sync_agent.trust.conftest import DEVICE, Centre, Hands


def look(centre: Centre) -> set[tuple[str, str, str]]:
    with centre.database.write() as session:
        watch.look(session, centre.authority, centre.clock.now())
    return {each for each in centre.alarms() if each[0] == "certificate"}


def new_list(centre: Centre) -> None:
    enrolment.refresh_revocations(centre.database, centre.authority, centre.settings.fleet, centre.clock.now())


def new_own(centre: Centre) -> None:
    centre.authority.certify_own([], centre.clock.now())
    centre.authority.certify_sessions(centre.clock.now())


@pytest.fixture
def centre(centre: Centre) -> Centre:
    """A sync agent has taken records once."""
    new_own(centre)
    return centre


def test_a_revocation_list_that_ends_within_a_week_is_alarmed(centre: Centre) -> None:
    new_list(centre)
    assert look(centre) == set()
    centre.clock.pass_by(timedelta(days=22))
    assert look(centre) == set()
    centre.clock.pass_by(timedelta(days=1))
    assert look(centre) == {("certificate", "", "revocation list")}
    new_list(centre)
    assert look(centre) == set()


def test_a_revocation_list_that_is_not_there_is_alarmed(centre: Centre) -> None:
    assert look(centre) == {("certificate", "", "revocation list")}


def test_a_device_that_did_not_renew_is_alarmed_and_one_that_did_is_not(centre: Centre) -> None:
    centre.enrol()
    centre.clock.pass_by(timedelta(days=71))
    new_list(centre)
    assert look(centre) == set()
    centre.clock.pass_by(timedelta(days=2))
    assert look(centre) == {("certificate", DEVICE, "certificate")}
    enrolment.revoke(centre.database, centre.authority, DEVICE, centre.settings.fleet, centre.clock.now())
    assert look(centre) == set()


def test_a_ca_in_its_last_year_and_certificates_of_our_own_are_alarmed(centre: Centre) -> None:
    centre.clock.pass_by(timedelta(days=352))
    new_list(centre)
    assert look(centre) == {("certificate", "", f"{what} certificate") for what in ("broker", "door", "session")}
    new_own(centre)
    assert look(centre) == set()
    centre.clock.pass_by(timedelta(days=3650 - 365 - 352))
    new_list(centre)
    new_own(centre)
    assert look(centre) == {("certificate", "", f"CA {centre.authority.issuer[:16]}")}


@pytest.mark.parametrize("spoil", [Path.unlink, partial(Path.write_text, data="spoilt")], ids=["not there", "not readable"])
def test_a_certificate_of_our_own_that_cannot_be_read_is_alarmed(centre: Centre, spoil: Callable[[Path], object]) -> None:
    new_list(centre)
    assert look(centre) == set(), "the control"
    files = centre.authority.files
    own = {"broker": files.broker_certificate, "door": files.door_certificate, "session": files.session_certificate(41)}
    for what, path in own.items():
        spoil(path)
        assert look(centre) == {("certificate", "", f"{what} certificate")}
        new_own(centre)
        assert look(centre) == set()


def test_one_session_whose_certificate_ends_before_the_others_is_alarmed(centre: Centre) -> None:
    new_list(centre)
    centre.clock.pass_by(timedelta(days=340))
    early = centre.authority.files.session_certificate(41)
    kept = early.read_bytes()
    new_own(centre)
    new_list(centre)
    centre.clock.pass_by(timedelta(days=15))
    assert look(centre) == set(), "the control"
    early.write_bytes(kept)
    assert look(centre) == {("certificate", "", "session certificate")}


def test_one_address_is_let_through_so_often_a_minute_and_others_meanwhile(clock: Hands) -> None:
    turnstile = Turnstile(3, clock.monotonic)
    assert [turnstile.lets_in("192.0.2.1") for _ in range(4)] == [True, True, True, False]
    assert turnstile.lets_in("192.0.2.2")
    clock.pass_by(timedelta(seconds=20))
    assert [turnstile.lets_in("192.0.2.1") for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
    ],
)
def test_an_ipv6_network_counts_as_one(one: str, other: str, is_same: bool) -> None:
    assert (network(one) == network(other)) is is_same
