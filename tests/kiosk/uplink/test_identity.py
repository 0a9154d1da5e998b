"""A device's identity: made on the device, kept from others, loaded only when complete."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import OKPKey

from kiosk.uplink.identity import NotEnrolled, begin, finish, load
from sync_agent.contract.enrolment import Answer
from sync_agent.contract.topics import DeviceId

DEVICE = DeviceId("kiosk-01")


def answer() -> Answer:
    public = OKPKey.generate_key("Ed25519").as_dict(private=False)
    return Answer.model_validate(
        {
            "tenant": "xz",
            "device": DEVICE,
            "site": "site-1",
            "broker_host": "localhost",
            "broker_port": 8883,
            "certificate": "CERT",
            "ca": "CA",
            "agent_keys": [public],
            "registry_key": OKPKey.generate_key("X25519").as_dict(private=False),
        }
    )


def test_the_request_names_the_device_and_holds_no_secret(tmp_path: Path) -> None:
    request = begin(tmp_path / "identity", DEVICE, "site-1", "serial-1")
    csr = x509.load_pem_x509_csr(request.csr.encode())
    assert csr.subject.rfc4514_string() == f"CN={DEVICE}"
    assert csr.is_signature_valid
    assert isinstance(csr.public_key(), ec.EllipticCurvePublicKey)
    assert "d" not in request.record_key
    assert "PRIVATE" not in request.model_dump_json()


def test_asking_twice_keeps_the_keys(tmp_path: Path) -> None:
    first = begin(tmp_path, DEVICE, "site-1", "")
    assert begin(tmp_path, DEVICE, "site-1", "").record_key == first.record_key


def test_only_the_owner_can_read_any_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    begin(folder, DEVICE, "site-1", "")
    finish(folder, answer())
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_approved_device_knows_whom_to_believe(tmp_path: Path) -> None:
    request, given = begin(tmp_path, DEVICE, "site-1", ""), answer()
    with pytest.raises(NotEnrolled):
        load(tmp_path)
    finish(tmp_path, given)
    identity = load(tmp_path)
    assert (identity.device, identity.site, identity.broker_port) == (DEVICE, "site-1", 8883)
    assert identity.signing_key.as_dict(private=False)["x"] == request.record_key["x"]
    assert [key.as_dict(private=False)["x"] for key in identity.agent_keys] == [given.agent_keys[0]["x"]]


@pytest.mark.parametrize("name", ["answer.json", "state.json", "record.pem"])
def test_a_damaged_file_is_no_identity_and_its_content_is_not_told(tmp_path: Path, name: str) -> None:
    begin(tmp_path, DEVICE, "site-1", "")
    finish(tmp_path, answer())
    load(tmp_path)
    (tmp_path / name).write_bytes(b"{half a file")
    with pytest.raises(NotEnrolled) as caught:
        load(tmp_path)
    assert "half" not in str(caught.value)
