from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select

from kiosk.uplink import identity
from sync_agent.contract.enrolment import Request
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import alarms, enrolment, keys
from sync_agent.fleet.authority import Authority, BadRequest, Revoked, establish
from sync_agent.fleet.enrolment import CannotEnrol, approve, is_list_behind, listing, refresh_revocations, revoke
from sync_agent.fleet.presence import Presence
from sync_agent.registry.database import Database
from sync_agent.registry.tables import AuditEvent, Device
from sync_agent.settings import BrokerSettings, Settings

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
DEVICE = DeviceId("kiosk-1")


@pytest.fixture
def settings(state_dir: Path) -> Settings:
    return Settings(state_dir=state_dir, tenant="xz", broker=BrokerSettings(device_host="broker.example", port=8884))


@pytest.fixture
def authority(settings: Settings) -> Authority:  # in place of the one for brokers in tests
    return establish(settings.keys_dir, [], NOW)


def ask(state_dir: Path, device: DeviceId = DEVICE, folder: str = "kiosk", site: str = "site-7") -> Request:
    """Ask as a kiosk does; the folder is its disk."""
    return identity.begin(state_dir / folder, device, site, "10000000abc")


def revoked(authority: Authority) -> set[int]:
    return {entry.serial_number for entry in x509.load_pem_x509_crl(authority.files.revoked.read_bytes())}


def test_a_kiosk_asks_is_approved_and_has_its_identity(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    answer = approve(database, authority, ask(state_dir), settings, NOW)
    identity.finish(state_dir / "kiosk", answer)
    mine = identity.load(state_dir / "kiosk")
    assert (mine.tenant, mine.device, mine.site) == ("xz", DEVICE, "site-7")
    assert (mine.broker_host, mine.broker_port) == ("broker.example", 8884)
    assert mine.registry_key.thumbprint() == authority.registry_key.thumbprint()
    assert [key.thumbprint() for key in mine.agent_keys] == [authority.receipt_key.thumbprint()]
    with database.read() as session:
        found = keys.find(session, mine.signing_key.thumbprint())
        assert found is not None
        assert (found.device_id, found.revoked_at) == (DEVICE, None)
        assert [event.action for event in session.scalars(select(AuditEvent))] == ["device.approve"]


def test_the_answer_holds_no_secret(database: Database, authority: Authority, settings: Settings, state_dir: Path) -> None:
    answer = approve(database, authority, ask(state_dir), settings, NOW)
    assert set(answer.registry_key) == set(answer.agent_keys[0]) == {"kty", "crv", "x"}
    assert "PRIVATE" not in answer.model_dump_json()


def test_approving_again_gives_a_new_certificate_for_the_same_keys(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    first = approve(database, authority, ask(state_dir), settings, NOW)
    second = approve(database, authority, ask(state_dir, site="site-8"), settings, NOW + timedelta(days=60))
    assert first.certificate != second.certificate
    (line,) = listing(database, settings.fleet, NOW)
    assert (line.site, line.seen.presence) == ("site-8", Presence.NEVER_SEEN)
    assert line.certificate_until == NOW + timedelta(days=150)


def test_a_device_that_was_set_up_anew_is_let_in_after_the_old_one_is_revoked(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    approve(database, authority, ask(state_dir), settings, NOW)
    anew = ask(state_dir, folder="new-disk")
    with pytest.raises(CannotEnrol, match="revoke it first"):
        approve(database, authority, anew, settings, NOW)
    revoke(database, authority, DEVICE, settings.fleet, NOW)
    approve(database, authority, anew, settings, NOW)
    with database.read() as session:
        assert session.get_one(Device, DEVICE).revoked_at is None


def test_a_revoked_key_never_comes_back(database: Database, authority: Authority, settings: Settings, state_dir: Path) -> None:
    approve(database, authority, ask(state_dir), settings, NOW)
    revoke(database, authority, DEVICE, settings.fleet, NOW)
    with pytest.raises(CannotEnrol, match="was revoked"):
        approve(database, authority, ask(state_dir), settings, NOW)


def test_a_device_cannot_bring_the_key_of_another(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    approve(database, authority, ask(state_dir), settings, NOW)
    other = ask(state_dir, DeviceId("kiosk-2"), "other")
    stolen = other.model_copy(update={"record_key": ask(state_dir).record_key})
    with pytest.raises(CannotEnrol, match="belongs to another device"):
        approve(database, authority, stolen, settings, NOW)
    approve(database, authority, other, settings, NOW)


@pytest.mark.parametrize(
    "record_key",
    [
        {},
        {"kty": "EC", "crv": "P-256", "x": "", "y": ""},
        {"kty": "OKP", "crv": "Ed25519", "x": "!"},
        {"kty": "OKP", "crv": "X25519"},
    ],
    ids=["none", "other curve", "unreadable", "for sealing"],
)
def test_a_request_without_a_proper_record_key_is_refused(
    database: Database, authority: Authority, settings: Settings, state_dir: Path, record_key: dict[str, str]
) -> None:
    with pytest.raises(CannotEnrol, match="record key"):
        approve(database, authority, ask(state_dir).model_copy(update={"record_key": record_key}), settings, NOW)


def test_a_request_that_is_refused_leaves_nothing(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    with pytest.raises(BadRequest):
        approve(database, authority, ask(state_dir).model_copy(update={"csr": "none"}), settings, NOW)
    assert listing(database, settings.fleet, NOW) == []


def test_revoking_shuts_out_the_key_and_every_certificate_of_that_device_only(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    serials = set()
    for days in (0, 1):
        answer = approve(database, authority, ask(state_dir), settings, NOW + timedelta(days=days))
        serials.add(x509.load_pem_x509_certificate(answer.certificate.encode()).serial_number)
    other = ask(state_dir, DeviceId("kiosk-2"), "other")
    approve(database, authority, other, settings, NOW)
    refresh_revocations(database, authority, settings.fleet, NOW)
    assert revoked(authority) == set()

    revoke(database, authority, DEVICE, settings.fleet, NOW + timedelta(days=2))
    assert revoked(authority) == serials
    with database.read() as session:
        mine, theirs = (keys.find(session, enrolment.record_key(r).thumbprint()) for r in (ask(state_dir), other))
        assert mine is not None
        assert theirs is not None
        assert (mine.revoked_at, theirs.revoked_at) == (NOW + timedelta(days=2), None)
    lines = {line.device: line.seen.presence for line in listing(database, settings.fleet, NOW)}
    assert lines == {"kiosk-1": Presence.REVOKED, "kiosk-2": Presence.NEVER_SEEN}


def test_certificates_that_have_ended_leave_the_list(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    approve(database, authority, ask(state_dir), settings, NOW)
    revoke(database, authority, DEVICE, settings.fleet, NOW)
    assert len(revoked(authority)) == 1
    refresh_revocations(database, authority, settings.fleet, NOW + timedelta(days=91))
    assert revoked(authority) == set()


def test_a_device_that_nobody_knows_cannot_be_revoked(database: Database, authority: Authority, settings: Settings) -> None:
    with pytest.raises(CannotEnrol, match="no device 'nobody'"):
        revoke(database, authority, DeviceId("nobody"), settings.fleet, NOW)


def test_a_line_of_the_list_says_what_an_operator_needs(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    approve(database, authority, ask(state_dir), settings, NOW)
    (line,) = listing(database, settings.fleet, NOW)
    assert str(line).split() == ["kiosk-1", "site-7", "never-seen,", "certificate", "until", "2026-05-31"]


def test_a_list_read_before_a_revocation_is_not_written_after_it(
    database: Database, authority: Authority, settings: Settings, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daily duty reads, a device is revoked, the duty writes: without the lock the device would be let in for a day."""
    approve(database, authority, ask(state_dir), settings, NOW)
    write = authority.write_revocation_list
    revoking: list[threading.Thread] = []

    def slowly(entries: Iterable[Revoked], days: int, now: datetime) -> None:
        if not revoking:
            thread = threading.Thread(target=revoke, args=(database, authority, DEVICE, settings.fleet, NOW))
            revoking.append(thread)
            thread.start()
            while not is_list_behind(database, authority, NOW):  # the revocation is committed
                thread.join(0.01)
        write(entries, days, now)

    monkeypatch.setattr(authority, "write_revocation_list", slowly)
    refresh_revocations(database, authority, settings.fleet, NOW)
    revoking[0].join(10)
    assert len(revoked(authority)) == 1


def test_a_revocation_that_is_missing_on_the_list_is_noticed(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    """Made at another host, or the power went between registry and file."""
    approve(database, authority, ask(state_dir), settings, NOW)
    refresh_revocations(database, authority, settings.fleet, NOW)
    before = authority.files.revoked.read_bytes()
    assert not is_list_behind(database, authority, NOW)
    revoke(database, authority, DEVICE, settings.fleet, NOW)
    assert not is_list_behind(database, authority, NOW)
    authority.files.revoked.write_bytes(before)
    assert is_list_behind(database, authority, NOW)
    assert not is_list_behind(database, authority, NOW + timedelta(days=91)), "it has ended anyway"


def test_two_devices_on_one_board_are_alarmed_and_one_that_followed_a_revoked_one_is_not(
    database: Database, authority: Authority, settings: Settings, state_dir: Path
) -> None:
    other, third = DeviceId("kiosk-2"), DeviceId("kiosk-3")
    approve(database, authority, ask(state_dir), settings, NOW)
    approve(database, authority, ask(state_dir), settings, NOW)
    with database.read() as session:
        assert alarms.open_alarms(session) == []
    approve(database, authority, ask(state_dir, other, "other"), settings, NOW)
    with database.read() as session:
        assert [(each.device_id, each.subject) for each in alarms.open_alarms(session)] == [(other, "same-board")]
    revoke(database, authority, DEVICE, settings.fleet, NOW)
    revoke(database, authority, other, settings.fleet, NOW)
    approve(database, authority, ask(state_dir, third, "third"), settings, NOW)
    with database.read() as session:
        assert third not in [each.device_id for each in alarms.open_alarms(session)]
