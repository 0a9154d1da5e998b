"""No certificate that the authority issues hears all devices, or another shard than its own, at a real Mosquitto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from kiosk.uplink import identity
from sync_agent.contract import topics
from sync_agent.contract.topics import SHARDS, DeviceId, Down, Tenant, Up
from sync_agent.fleet.authority import Authority, establish, session_name
from system.services.broker import Mosquitto
from tests.certificates import Issued
from tests.mqtt import Speaker
from tests.observer import OBSERVER, Observed, certify

pytestmark = [
    pytest.mark.broker,
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),  # paho drops its socket where it is refused
]

TENANT: Final = Tenant("xz")
ONE, TWO, REVOKED = DeviceId("kiosk-1"), DeviceId("kiosk-2"), DeviceId("kiosk-3")
BY_ONE, BY_TWO = topics.up(TENANT, ONE, Up.RECORD), topics.up(TENANT, TWO, Up.RECORD)
TO_ONE, TO_TWO = topics.down(TENANT, ONE, Down.RECEIPT), topics.down(TENANT, TWO, Down.RECEIPT)
OF_ONE, OF_TWO = session_name(topics.shard(ONE)), session_name(topics.shard(TWO))
END: Final = b"nothing comes after this"


@pytest.fixture
def authority(state_dir: Path) -> Authority:
    """The product's own, with everything that it issues for itself."""
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    now = datetime.now(UTC)
    made = establish(state_dir / "keys", [], now)
    made.certify_sessions(now)
    made.write_revocation_list([], 30, now)
    return made


def issued(authority: Authority, folder: Path) -> Iterator[tuple[str, Issued]]:
    """Yield name and pair of every certificate: whatever lies in the authority's folder, two devices', an eviction's."""
    now = datetime.now(UTC)
    keys = [(load_pem_private_key(path.read_bytes(), None), path) for path in authority.files.folder.rglob("*.key")]
    for path in sorted(authority.files.folder.rglob("*.crt")):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        if path != authority.files.ca:
            [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            [key] = (path for private, path in keys if private.public_key() == certificate.public_key())
            yield str(name.value), Issued(path, key)
    for device in (ONE, TWO):
        asked = identity.begin(folder / device, device, "site-7", "")
        [key] = (folder / device).glob("tls*.pem")
        certificate_file = folder / f"{device}.crt"
        certificate_file.write_text(authority.sign_device(asked.csr, device, 90, now).pem)
        yield device, Issued(certificate_file, key)
    own = generate_private_key(SECP256R1())
    pair = Issued(folder / "eviction.crt", folder / "eviction.key")
    pair.certificate.write_text(authority.sign_for_eviction(own.public_key(), REVOKED, now))
    pair.key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    yield REVOKED, pair


def heard(broker: Mosquitto, ca: Path, everybody: Iterable[tuple[str, Issued]]) -> dict[str, list[str] | None]:
    """Have everybody ask for everything, two devices speak and the centre answer; return who heard what, None if kept out."""
    with ExitStack() as stack:
        ears = {}
        for name, own in everybody:
            ears[name] = stack.enter_context(Speaker(broker, ca, own, client_id=name))
            if ears[name].was_let_in:
                ears[name].subscribe("#")
        ears[ONE].say(BY_ONE, b"a record")
        ears[TWO].say(BY_TWO, b"a record")
        centre = ears[OF_ONE]
        for topic in (TO_ONE, TO_TWO):
            centre.say(topic, b"a receipt")
        for name in ears:  # each may hear what is said to its own name, and the broker keeps the order
            centre.say(topics.down(TENANT, DeviceId(name), Down.RECEIPT), END)
        return {name: list(_until_end(name, ear)) if ear.was_let_in else None for name, ear in ears.items()}


def _until_end(name: str, ear: Speaker) -> Iterator[str]:
    end = (topics.down(TENANT, DeviceId(name), Down.RECEIPT), END)
    while (said := ear.hear()) != end:
        if said[1] != END:
            yield said[0]


def the_broker(kind: type[Mosquitto], authority: Authority, folder: Path) -> Mosquitto:
    files = authority.files
    return kind(
        folder / "mosquitto", ca=files.ca, certificate=files.broker_certificate, key=files.broker_key, revoked=files.revoked
    )


def test_a_session_hears_its_shard_a_device_itself_and_no_certificate_more(authority: Authority, state_dir: Path) -> None:
    with the_broker(Mosquitto, authority, state_dir) as broker:
        found = heard(broker, authority.files.ca, issued(authority, state_dir))
    nothing = {name: list[str]() for name in (REVOKED, *map(session_name, range(SHARDS)))}
    own = {ONE: [TO_ONE], TWO: [TO_TWO], OF_ONE: [BY_ONE], OF_TWO: [BY_TWO]}
    assert found == {"localhost": None} | nothing | own


def test_one_whom_a_rule_lets_hear_everything_is_found(authority: Authority, state_dir: Path) -> None:
    """The negative control."""
    with the_broker(Observed, authority, state_dir) as broker:
        everybody = [*issued(authority, state_dir), (OBSERVER, certify(authority.files.folder, state_dir))]
        found = heard(broker, authority.files.ca, everybody)
    assert found[OBSERVER] == [BY_ONE, BY_TWO, TO_ONE, TO_TWO]
    assert found[OF_TWO] == [BY_TWO]
