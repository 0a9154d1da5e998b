"""What trust means at a real Mosquitto: a revoked device loses its session, two authorities are let in, expired ones are not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kiosk.uplink import identity
from kiosk.uplink.trust import Taken, TrustBox
from kiosk.uplink.wallet import Wallet
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import enrolment, eviction, trust
from sync_agent.fleet.authority import Authority, establish
from sync_agent.fleet.eviction import NotEvicted
from sync_agent.fleet.keyring import Which
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import Vault
from sync_agent.settings import BrokerSettings, Settings
from system.services.process import free_port
from tests import observer
from tests.certificates import Issued
from tests.mqtt import Speaker
from tests.observer import OBSERVER, Observed

pytestmark = pytest.mark.broker
DEVICE, OTHER = DeviceId("kiosk-1"), DeviceId("kiosk-2")


class Site:
    """A centre's keys and registry, a broker that knows them, devices with identities on their disks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(state_dir=folder / "agent", tenant="xz", broker=BrokerSettings(port=free_port()))
        self.authority: Authority = establish(self.settings.keys_dir, [], self.now())
        self.database = Database(f"sqlite:///{folder / 'registry.db'}", Vault(bytes(32)))
        migrate(self.database.engine)
        self.refresh()
        files = self.authority.files
        self.broker = Observed(
            folder / "mosquitto",
            ca=files.ca,
            certificate=files.broker_certificate,
            key=files.broker_key,
            revoked=files.revoked,
            port=self.settings.broker.port,
        )

    def now(self) -> datetime:
        return datetime.now(UTC)

    def refresh(self, now: datetime | None = None) -> None:
        enrolment.refresh_revocations(self.database, self.authority, self.settings.fleet, now or self.now())

    def enrol(self, device: DeviceId, at: datetime | None = None) -> Wallet:
        asked = identity.begin(self.folder / device, device, "site-7", "")
        answer = enrolment.approve(self.database, self.authority, asked, self.settings, at or self.now())
        identity.finish(self.folder / device, answer)
        return Wallet(self.folder / device)

    def revoke(self, device: DeviceId) -> None:
        enrolment.revoke(self.database, self.authority, device, self.settings.fleet, self.now())
        self.broker.reload()

    def connect(self, wallet: Wallet) -> Speaker:
        who = wallet.current
        return Speaker(self.broker, who.ca, Issued(who.certificate, who.tls_key), client_id=who.device, keeps_session=True)

    def is_trusted_by(self, wallet: Wallet) -> bool:
        """Whether a device takes the broker for its own."""
        context = ssl.create_default_context(cafile=str(wallet.current.ca))
        with socket.create_connection((self.broker.host, self.broker.port)) as plain:
            try:
                context.wrap_socket(plain, server_hostname=self.broker.host).close()
            except ssl.SSLCertVerificationError:
                return False
        return True

    def is_let_in(self, wallet: Wallet) -> bool:
        with self.connect(wallet) as speaker:
            return speaker.was_let_in


@pytest.fixture
def site(state_dir: Path) -> Iterator[Site]:
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs Debian's mosquitto")
    here = Site(state_dir)
    with here.broker:
        yield here
    here.database.close()


def test_a_revoked_device_that_is_connected_loses_its_session_and_does_not_come_back(site: Site) -> None:
    wallet, other = site.enrol(DEVICE), site.enrol(OTHER)
    with site.connect(wallet) as speaker, site.connect(other) as neighbour:
        site.revoke(DEVICE)
        speaker.say("rz/1/xz/up/00/kiosk-1/tel", b"{}")  # the broker's list alone does not end a session
        eviction.evict(site.authority, DEVICE, site.settings.broker, site.now())
        speaker.wait_until_cut_off()
        neighbour.say("rz/1/xz/up/00/kiosk-2/tel", b"{}")
    assert not site.is_let_in(wallet)
    assert site.is_let_in(other)


def test_what_was_queued_for_an_evicted_device_is_gone(site: Site) -> None:
    wallet, topic = site.enrol(DEVICE), "rz/1/xz/dn/kiosk-1/rcpt"
    own = observer.certify(site.settings.keys_dir, site.folder)
    with site.connect(wallet) as speaker:
        speaker.subscribe(topic)
    eviction.evict(site.authority, DEVICE, site.settings.broker, site.now())
    with Speaker(site.broker, site.authority.files.ca, own, client_id=OBSERVER) as centre:
        centre.say(topic, b"for nobody")
    with site.connect(wallet) as speaker:
        speaker.subscribe(topic)
        with Speaker(site.broker, site.authority.files.ca, own, client_id=OBSERVER) as centre:
            centre.say(topic, b"for the session after")
        assert speaker.hear() == (topic, b"for the session after")


def test_a_session_that_cannot_be_ended_is_said(site: Site) -> None:
    site.broker.stop()
    with pytest.raises(NotEvicted, match="could not be ended"):
        eviction.evict(site.authority, DEVICE, site.settings.broker, site.now())
    site.broker.start()
    eviction.evict(site.authority, DEVICE, site.settings.broker, site.now())
    assert list(site.settings.keys_dir.glob("eviction-*")) == []


def test_during_a_change_of_the_ca_devices_of_both_are_let_in_and_afterwards_those_of_the_new_one(site: Site) -> None:
    old, behind = site.enrol(DEVICE), site.enrol(OTHER)
    trust.stage(site.database, site.authority, Which.CA, "operator", site.now())
    trust.promote(site.database, site.authority, Which.CA, "operator", site.now(), reason="test")
    site.refresh()
    site.broker.reload()
    with site.database.write() as session:
        newest = trust.newest_list(session, site.authority, site.now())
        told = trust.signed(session, site.authority, DEVICE, newest, site.now())
    assert site.is_let_in(old), "a certificate of the former authority"
    assert TrustBox(old, lambda: None).take(told) is Taken.NEW
    assert site.authority.certify_own([], site.now())
    site.broker.reload()
    assert site.is_let_in(old), "it trusts the broker's new certificate"
    assert site.is_trusted_by(old)
    assert not site.is_trusted_by(behind), "who did not take the list does not know the broker any more"
    new = site.enrol(DeviceId("kiosk-3"))
    assert site.is_let_in(new)
    trust.retire(site.database, site.authority, Which.CA, "operator", site.now(), reason="test")
    site.refresh()
    site.broker.reload()
    assert site.is_let_in(new)
    assert not site.is_let_in(old)


def test_an_ended_certificate_is_refused_and_an_ended_list_refuses_everybody(site: Site) -> None:
    ended = site.enrol(DEVICE, site.now() - timedelta(days=91))
    good = site.enrol(OTHER)
    assert site.is_let_in(good)
    assert not site.is_let_in(ended)
    site.refresh(site.now() - timedelta(days=31))
    site.broker.stop()
    site.broker.start()
    assert not site.is_let_in(good)
