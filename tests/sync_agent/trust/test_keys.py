"""Agent key, registry key and CA, each from one to the next with both valid in between; nobody is cut off unnamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from joserfc.jwk import OKPKey

from kiosk.uplink.renewal import Renewals
from kiosk.uplink.trust import Taken, TrustBox
from kiosk.uplink.wallet import Wallet
from sync_agent.contract import receipts
from sync_agent.contract import trust as wire
from sync_agent.contract.receipts import Receipt
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId
from sync_agent.fleet import trust
from sync_agent.fleet.keyring import Place, Which, WrongStep
from sync_agent.fleet.trust import OVERLAP, DevicesBehind
from tests.sync_agent.trust.conftest import DEVICE, Centre


def said(centre: Centre, device: DeviceId = DEVICE) -> bytes:
    """The newest list as it is told to a device."""
    with centre.database.write() as session:
        newest = trust.newest_list(session, centre.authority, centre.clock.now())
        return trust.signed(session, centre.authority, device, newest, centre.clock.now())


def tell(centre: Centre, wallet: Wallet, message: bytes | None = None) -> Taken:
    """Tell a device the newest list; it says in its birth what it believes then."""
    taken = TrustBox(wallet, lambda: None).take(message or said(centre, wallet.device))
    with centre.database.write() as session:
        trust.heard(session, wallet.device, wallet.trust)
    return taken


def step(centre: Centre, take: Callable[..., None], which: Which, **more: str) -> None:
    take(centre.database, centre.authority, which, "operator", centre.clock.now(), **more)


def believes(wallet: Wallet, key: OKPKey) -> bool:
    message = receipts.write(Receipt(device=wallet.device, epoch="", upto=0, at=wallet.certificate().not_valid_before_utc), key)
    for held in wallet.agent_keys:
        try:
            receipts.read(message, held, wallet.device)
        except receipts.Forged:
            continue
        return True
    return False


def test_the_agents_key_is_staged_promoted_and_retired_and_every_device_follows(centre: Centre) -> None:
    wallet = centre.enrol()
    old = centre.authority.receipt_key
    step(centre, trust.stage, Which.AGENT)
    staged = centre.authority.ring.agent[Place.STAGED]
    assert centre.authority.receipt_key.thumbprint() == old.thumbprint()
    assert (believes(wallet, old), believes(wallet, staged)) == (True, False)
    assert tell(centre, wallet) is Taken.NEW
    assert (believes(wallet, old), believes(wallet, staged)) == (True, True)
    step(centre, trust.promote, Which.AGENT)
    assert centre.authority.receipt_key.thumbprint() == staged.thumbprint()
    assert tell(centre, wallet) is Taken.NEW
    assert (believes(wallet, old), believes(wallet, staged)) == (True, True)
    step(centre, trust.retire, Which.AGENT)
    assert tell(centre, wallet) is Taken.NEW
    assert (believes(wallet, old), believes(wallet, staged)) == (False, True)
    with centre.database.read() as session:
        ever = {OKPKey.import_key(key).thumbprint() for key in trust.agent_keys_ever(session, centre.authority)}
    assert ever == {old.thumbprint(), staged.thumbprint()}, "what was signed with a retired key can be checked for ever"


def test_promoting_is_refused_by_name_while_a_live_device_does_not_know_the_key(centre: Centre) -> None:
    wallet, _behind = centre.enrol(), centre.enrol("other", "kiosk-2")
    step(centre, trust.stage, Which.AGENT)
    tell(centre, wallet)
    with pytest.raises(DevicesBehind, match="kiosk-2") as refused:
        step(centre, trust.promote, Which.AGENT)
    assert "kiosk-1" not in str(refused.value)
    assert Place.STAGED in centre.authority.ring.agent
    tell(centre, _behind)
    step(centre, trust.promote, Which.AGENT)


def test_a_device_that_is_revoked_or_whose_certificate_has_ended_holds_nobody_up(centre: Centre) -> None:
    centre.enrol()
    step(centre, trust.stage, Which.AGENT)
    with pytest.raises(DevicesBehind):
        step(centre, trust.promote, Which.AGENT)
    centre.clock.pass_by(timedelta(days=91))
    step(centre, trust.promote, Which.AGENT)


def test_forced_with_a_reason_a_device_that_is_behind_is_told_by_the_key_it_believes(centre: Centre) -> None:
    wallet = centre.enrol()
    old = centre.authority.receipt_key
    step(centre, trust.stage, Which.AGENT)
    step(centre, trust.promote, Which.AGENT, reason="the old key may be known")
    assert wire.read(said(centre), [old], DEVICE).number == 3
    assert tell(centre, wallet) is Taken.NEW
    assert believes(wallet, centre.authority.receipt_key)


def test_a_list_with_a_lower_or_equal_number_changes_nothing(centre: Centre) -> None:
    wallet = centre.enrol()
    old = said(centre)
    step(centre, trust.stage, Which.AGENT)
    assert tell(centre, wallet) is Taken.NEW
    number = wallet.trust
    assert tell(centre, wallet, old) is Taken.KNOWN
    assert tell(centre, wallet) is Taken.KNOWN
    assert (wallet.trust, len(wallet.agent_keys)) == (number, 2)


def test_a_forged_list_changes_nothing(centre: Centre) -> None:
    wallet, other = centre.enrol(), centre.enrol("other", "kiosk-2")
    stranger = OKPKey.generate_key("Ed25519")
    genuine = wire.read(said(centre), wallet.agent_keys, DEVICE).model_copy(update={"number": 99})
    forged = wire.write(genuine, stranger)
    with_our_kid = INTL_1.sign(b"{}", stranger, wire.MEDIA_TYPE)
    for message in (forged, with_our_kid, b"nonsense", said(centre, other.device), said(centre)[:-4] + b"AAAA"):
        assert tell(centre, wallet, message) is Taken.FORGED
    assert wallet.trust == 1
    assert tell(centre, wallet, wire.write(genuine, centre.authority.receipt_key)) is Taken.NEW


def test_the_registrys_key_opens_until_it_is_retired(centre: Centre) -> None:
    wallet = centre.enrol()
    sealed_before = INTL_1.seal(b"before", wallet.registry_key)
    step(centre, trust.stage, Which.REGISTRY)
    step(centre, trust.promote, Which.REGISTRY)
    assert tell(centre, wallet) is Taken.NEW
    sealed_after = INTL_1.seal(b"after", wallet.registry_key)
    in_force, former = centre.authority.registry_keys
    assert INTL_1.open(sealed_after, in_force) == b"after"
    assert INTL_1.open(sealed_before, former) == b"before"
    with pytest.raises(DevicesBehind, match="on their way"):
        step(centre, trust.retire, Which.REGISTRY)
    centre.clock.pass_by(OVERLAP)
    step(centre, trust.retire, Which.REGISTRY)
    assert [key.thumbprint() for key in centre.authority.registry_keys] == [in_force.thumbprint()]
    (kept,) = (centre.settings.keys_dir / "retired").iterdir()
    assert OKPKey.import_key(kept.read_bytes()).thumbprint() == former.thumbprint()


def test_the_ca_is_changed_with_both_trusted_and_every_device_gets_a_certificate_of_the_new_one(centre: Centre) -> None:
    wallet = centre.enrol()
    old = centre.authority.issuer
    step(centre, trust.stage, Which.CA)
    with pytest.raises(DevicesBehind, match=DEVICE):
        step(centre, trust.promote, Which.CA)
    tell(centre, wallet)
    assert len(x509.load_pem_x509_certificates(wallet.current.ca.read_bytes())) == 2
    step(centre, trust.promote, Which.CA)
    assert centre.authority.issuer != old
    assert centre.authority.certify_own([], centre.clock.now()), "our own certificates are of the new one"
    tell(centre, wallet)
    assert wallet.is_of_former_authority()
    with pytest.raises(DevicesBehind, match="certificates from it"):
        step(centre, trust.retire, Which.CA)
    centre.clock.pass_by(timedelta(days=1))

    async def renew() -> None:
        renewals: Renewals = centre.renewals(wallet)
        await renewals._look()

    asyncio.run(renew())
    assert not wallet.is_of_former_authority()
    step(centre, trust.retire, Which.CA)
    tell(centre, wallet)
    assert len(x509.load_pem_x509_certificates(wallet.current.ca.read_bytes())) == 1
    asyncio.run(renew())


def test_steps_are_taken_in_order_one_change_at_a_time(centre: Centre) -> None:
    for which in Which:
        with pytest.raises(WrongStep, match="Stage one first"):
            step(centre, trust.promote, which)
        with pytest.raises(WrongStep, match="no former"):
            step(centre, trust.retire, which)
        step(centre, trust.stage, which)
        with pytest.raises(WrongStep, match="staged already"):
            step(centre, trust.stage, which)
        step(centre, trust.promote, which)
        with pytest.raises(WrongStep, match="still holds"):
            step(centre, trust.stage, which)
        step(centre, trust.retire, which, reason="test")
        step(centre, trust.stage, which)


def test_a_step_whose_list_was_not_published_is_published_at_the_next_look(centre: Centre) -> None:
    centre.enrol()
    centre.authority.keyring.stage(Which.AGENT, centre.clock.now())  # and then the power goes
    lines = trust.listing(centre.database, centre.authority, centre.clock.now())
    (staged,) = [line for line in lines if line.place is Place.STAGED]
    assert (staged.which, staged.number, staged.behind) == (Which.AGENT, 2, 1)
    assert "1 live devices" in str(staged)


def published(centre: Centre) -> list[str]:
    with centre.database.read() as session:
        return [OKPKey.import_key(key).thumbprint() for key in trust.agent_keys_ever(session, centre.authority)]


def disown(centre: Centre, kid: str) -> str:
    return trust.disown(centre.database, centre.authority, kid, "operator", "stolen", centre.clock.now())


def test_a_stolen_key_is_disowned_published_no_more_and_devices_stop_believing_it(centre: Centre) -> None:
    wallet, old = centre.enrol(), centre.authority.receipt_key
    step(centre, trust.stage, Which.AGENT)
    tell(centre, wallet)
    with pytest.raises(WrongStep, match="in force"):
        disown(centre, old.thumbprint())
    step(centre, trust.promote, Which.AGENT)
    tell(centre, wallet)
    assert believes(wallet, old), "former, and not disowned: the negative control"
    assert old.thumbprint() in published(centre)
    assert disown(centre, old.thumbprint()[:16]) == old.thumbprint()
    assert published(centre) == [centre.authority.receipt_key.thumbprint()]
    assert tell(centre, wallet) is Taken.NEW
    assert not believes(wallet, old)
    assert believes(wallet, centre.authority.receipt_key)
    step(centre, trust.stage, Which.AGENT)  # the change is at its end
    assert disown(centre, old.thumbprint()) == old.thumbprint(), "said twice it is as once"


def test_only_a_key_that_there_was_is_disowned(centre: Centre) -> None:
    centre.enrol()
    for kid in ("", "x" * 43, centre.authority.receipt_key.thumbprint()[:8]):
        with pytest.raises(WrongStep, match="there is no agent key"):
            disown(centre, kid)
