from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync_agent.contract.receipts import Receipt, read, write
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet.authority import RESERVED, AuthorityFault, BadRequest, Files, Revoked, establish, load, session_name
from sync_agent.fleet.keyring import own_key

NOW = datetime.now(UTC)  # openssl judges by the real clock
DEVICE = DeviceId("kiosk-1")


def request(name: str = DEVICE, curve: ec.EllipticCurve | None = None) -> str:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def openssl_verdict(files: Files, certificate: Path, purpose: str) -> str:
    """Ask another program than the one that signed whether a certificate holds."""
    command = ["openssl", "verify", "-x509_strict", "-crl_check", "-purpose", purpose]
    done = subprocess.run(
        [*command, "-CRLfile", files.revoked, "-CAfile", files.ca, certificate], capture_output=True, text=True, check=False
    )
    return "ok" if done.returncode == 0 else done.stderr


def test_what_it_signs_holds_for_its_purpose_and_no_other(state_dir: Path) -> None:
    authority = establish(state_dir / "keys", [], NOW)
    authority.write_revocation_list([], 30, NOW)
    device = state_dir / "device.crt"
    device.write_text(authority.sign_device(request(), DEVICE, 90, NOW).pem)
    files = authority.files
    assert openssl_verdict(files, files.broker_certificate, "sslserver") == "ok"
    assert openssl_verdict(files, files.door_certificate, "sslserver") == "ok"
    assert openssl_verdict(files, device, "sslclient") == "ok"
    assert "purpose" in openssl_verdict(files, device, "sslserver")


def test_a_revoked_certificate_holds_no_longer_and_the_others_do(state_dir: Path) -> None:
    authority = establish(state_dir / "keys", [], NOW)
    one, other = (authority.sign_device(request(), DEVICE, 90, NOW) for _ in range(2))
    authority.write_revocation_list([Revoked(one.serial, NOW)], 30, NOW)
    for name, issued in (("one", one), ("other", other)):
        (state_dir / name).write_text(issued.pem)
    assert "revoked" in openssl_verdict(authority.files, state_dir / "one", "sslclient")
    assert openssl_verdict(authority.files, state_dir / "other", "sslclient") == "ok"


def test_a_certificate_of_another_authority_does_not_hold(state_dir: Path) -> None:
    authority, stranger = establish(state_dir / "keys", [], NOW), establish(state_dir / "other", [], NOW)
    authority.write_revocation_list([], 30, NOW)
    (state_dir / "strange").write_text(stranger.sign_device(request(), DEVICE, 90, NOW).pem)
    assert openssl_verdict(authority.files, state_dir / "strange", "sslclient") != "ok"


def test_a_device_certificate_names_the_device_and_ends_in_time(state_dir: Path) -> None:
    issued = establish(state_dir, [], NOW).sign_device(request(), DEVICE, 90, NOW)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    assert [name.value for name in certificate.subject] == [DEVICE]
    assert issued.valid_until == NOW.replace(microsecond=0) + timedelta(days=90)
    assert certificate.not_valid_before_utc < NOW - timedelta(minutes=30)
    assert int(issued.serial, 16) == certificate.serial_number


def test_the_broker_is_named_by_every_name_it_has(state_dir: Path) -> None:
    files = establish(state_dir, ["broker.example", "192.0.2.7"], NOW).files
    certificate = x509.load_pem_x509_certificate(files.broker_certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1", "broker.example", "192.0.2.7"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_establishing_again_changes_nothing(state_dir: Path) -> None:
    establish(state_dir, ["broker.example"], NOW)
    before = contents(state_dir)
    establish(state_dir, ["broker.example"], NOW + timedelta(days=300))
    assert contents(state_dir) == before


@pytest.mark.parametrize(("names", "later"), [(["new.example"], timedelta()), ([], timedelta(days=340))], ids=["name", "ending"])
def test_the_brokers_certificate_is_made_new_when_it_must_and_no_key_is(
    state_dir: Path, names: list[str], later: timedelta
) -> None:
    establish(state_dir, [], NOW)
    before = contents(state_dir)
    establish(state_dir, names, NOW + later)
    after = contents(state_dir)
    assert after["broker.crt"] != before["broker.crt"]
    kept = {name for name in before if not name.endswith(".crt")} | {"ca.crt"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_only_the_owner_can_read_anything(state_dir: Path) -> None:
    folder = state_dir / "keys"
    establish(folder, [], NOW).write_revocation_list([], 30, NOW)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_its_keys_sign_receipts_and_open_what_is_sealed(state_dir: Path) -> None:
    establish(state_dir, [], NOW)
    authority = load(state_dir)
    receipt = Receipt(device=DEVICE, epoch="", upto=0, at=NOW)
    assert read(write(receipt, authority.receipt_key), authority.receipt_key, DEVICE) == receipt
    assert INTL_1.open(INTL_1.seal(b"x", authority.registry_key), authority.registry_key) == b"x"


@pytest.mark.parametrize(
    ("csr", "device"),
    [
        (request("kiosk-2"), DEVICE),
        (request(curve=ec.SECP384R1()), DEVICE),
        (request(RESERVED), RESERVED),
        (request(session_name(7)), session_name(7)),
        (request("sync-agent-99"), "sync-agent-99"),
        ("no request", DEVICE),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", DEVICE),
    ],
    ids=["other name", "other curve", "the sessions' name", "a session's name", "nearly one", "no PEM", "PEM of nothing"],
)
def test_a_request_that_does_not_fit_is_not_signed(state_dir: Path, csr: str, device: DeviceId) -> None:
    with pytest.raises(BadRequest):
        establish(state_dir, [], NOW).sign_device(csr, device, 90, NOW)


def test_a_request_signed_by_another_key_is_not_signed(state_dir: Path) -> None:
    der = bytearray(x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(BadRequest, match="not signed"):
        establish(state_dir, [], NOW).sign_device(forged, DEVICE, 90, NOW)


def test_without_a_folder_of_keys_the_way_to_make_one_is_said(state_dir: Path) -> None:
    with pytest.raises(AuthorityFault, match="device init"):
        load(state_dir / "nowhere")


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "receipt.pem"])
def test_a_spoilt_file_is_named(state_dir: Path, name: str) -> None:
    establish(state_dir, [], NOW)
    (state_dir / name).write_text("spoilt")
    with pytest.raises(AuthorityFault, match=name):
        load(state_dir)


def test_each_shard_has_a_certificate_of_its_own_that_holds_and_is_made_new_before_it_ends(state_dir: Path) -> None:
    authority = establish(state_dir / "keys", [], NOW)
    authority.write_revocation_list([], 30, NOW)
    authority.certify_sessions(NOW)
    path = authority.files.session_certificate(7)
    assert openssl_verdict(authority.files, path, "sslclient") == "ok"
    named = x509.load_pem_x509_certificate(path.read_bytes()).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in named] == ["sync-agent-07"]
    first = path.read_bytes()
    authority.certify_sessions(NOW + timedelta(days=300))
    assert path.read_bytes() == first
    authority.certify_sessions(NOW + timedelta(days=340))
    assert path.read_bytes() != first


def test_no_device_may_have_the_name_of_a_shards_session(state_dir: Path) -> None:
    authority = establish(state_dir / "keys", [], NOW)
    name = DeviceId(session_name(63))
    with pytest.raises(BadRequest, match="kept for the sync agent"):
        authority.sign_device(request(name), name, 90, NOW)
    beyond = DeviceId("sync-kiosk-64")
    assert "BEGIN CERTIFICATE" in authority.sign_device(request(beyond), beyond, 90, NOW).pem


def test_a_certificate_for_another_key_than_the_one_that_lies_there_is_made_new(state_dir: Path) -> None:
    """Two that began at once, or a backup that brought one of the two files back."""
    authority = establish(state_dir, [], NOW)
    assert not authority.certify_own([], NOW)
    authority.files.door_key.unlink()
    assert authority.certify_own([], NOW)
    held = x509.load_pem_x509_certificate(authority.files.door_certificate.read_bytes())
    assert held.public_key() == own_key(authority.files.door_key).public_key()
