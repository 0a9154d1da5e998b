"""The pen: what it writes is signed, chained, sealed, and unreadable on a pulled card (P19)."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from kiosk.uplink.identity import Identity
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from sync_agent.contract import envelope
from sync_agent.contract.kinds import Capture, CardFacts, CardHolder, CardKind, Case, Cause, Provenance
from sync_agent.contract.topics import DeviceId, Tenant

HOLDER = CardHolder(
    name="扎西顿珠", number="540102198803150011", sex="1", birth=date(1988, 3, 15), valid_from=date(2020, 6, 1), valid_until=None
)
CAPTURE = Capture(
    site="site-1", card=CardFacts(kind=CardKind.RESIDENT, provenance=Provenance.SAM_VERIFIED, reader_module="module-1")
)
CASE = Case(site="site-1", step="face", cause=Cause.HELP)


class StillClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 23, 8, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0

    def age_s(self) -> int | None:
        return 7


@pytest.fixture(scope="module")
def registry_key() -> OKPKey:
    return OKPKey.generate_key("X25519")


@pytest.fixture(scope="module")
def identity(registry_key: OKPKey) -> Identity:
    nowhere = Path()
    return Identity(
        Tenant("xz"),
        DeviceId("kiosk-01"),
        "site-1",
        "localhost",
        8883,
        OKPKey.generate_key("Ed25519"),
        (),
        OKPKey.import_key(registry_key.as_dict(private=False)),
        nowhere,
        nowhere,
        nowhere,
    )


def test_two_records_form_a_chain_that_the_centre_can_read(tmp_path: Path, identity: Identity, registry_key: OKPKey) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        pen = Pen(outbox, identity, StillClock())
        filed = [pen.write(CASE, None), pen.write(CAPTURE, HOLDER)]
        first, second = (
            envelope.read(message, identity.signing_key, identity.tenant, identity.device) for message in outbox.messages()
        )
    assert [one.number for one in filed] == [f"kiosk-01-{first.event.epoch[:4]}-{seq}" for seq in (1, 2)]
    assert second.event.prev == first.digest
    assert (first.event.boot, first.event.clockage) == (1, 7)
    assert second.personal(registry_key) == HOLDER


def test_a_pulled_card_shows_nothing_personal(tmp_path: Path, identity: Identity) -> None:
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        Pen(outbox, identity, StillClock()).write(CAPTURE, HOLDER)
        found = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"capture" in found, "the search reads what was written"
    for value in (HOLDER.name.encode(), HOLDER.number.encode(), HOLDER.name.encode("utf-16-le"), b"1988-03-15"):
        assert value not in found
