"""A record on the wire: signed over its exact bytes, sealed where personal, refused with the right reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime

import jsonschema
import pytest
from joserfc.jwk import OKPKey

from sync_agent.contract import documents, envelope
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import GENESIS, MEDIA_TYPE, Place, Refused, Signed
from sync_agent.contract.kinds import Capture, CardFacts, CardHolder, CardKind, Case, Cause, Provenance
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId, Tenant

TENANT, DEVICE = Tenant("xz"), DeviceId("kiosk-01")
HOLDER = CardHolder(
    name="扎西顿珠",
    number="540102198803150011",
    sex="1",
    ethnic_group="04",
    birth=date(1988, 3, 15),
    address="西藏自治区拉萨市城关区测试路1号",
    valid_from=date(2020, 6, 1),
    valid_until=None,
)
CAPTURE = Capture(
    site="site-1",
    card=CardFacts(
        kind=CardKind.RESIDENT, provenance=Provenance.SAM_VERIFIED, reader_module="05.03-20230115-001234567-987654321"
    ),
)


@dataclass(frozen=True)
class Keys:
    device: OKPKey
    registry: OKPKey


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys(OKPKey.generate_key("Ed25519"), OKPKey.generate_key("X25519"))


def written(keys: Keys, facts: Facts = CAPTURE, personal: Part | None = HOLDER, seq: int = 1) -> Signed:
    return envelope.write(
        facts,
        personal,
        record_id="01a20908-01b3-75cd-b38e-aae5d9aaca1b",
        source=(TENANT, DEVICE),
        time=datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
        place=Place("0123456789abcdef", seq, GENESIS),
        boot=3,
        clock_age_s=None,
        signing_key=keys.device,
        registry_key=keys.registry,
    )


def refusal(message: bytes, keys: Keys, device: DeviceId = DEVICE) -> Fault:
    with pytest.raises(Refused) as refused:
        envelope.read(message, keys.device, TENANT, device)
    return refused.value.fault


def resigned(keys: Keys, **changes: object) -> bytes:
    """A properly signed event with changed content, as a faulty or newer device would send."""
    event = json.loads(INTL_1.verify(written(keys).message, keys.device, MEDIA_TYPE))
    event.update(changes)
    return INTL_1.sign(json.dumps(event).encode(), keys.device, MEDIA_TYPE)


def test_what_is_written_is_read_back(keys: Keys) -> None:
    signed = written(keys)
    record = envelope.read(signed.message, keys.device, TENANT, DEVICE)
    assert record.facts == CAPTURE
    assert record.digest == signed.digest
    assert record.personal(keys.registry) == HOLDER


def test_nothing_personal_stands_in_the_clear(keys: Keys) -> None:
    payload = INTL_1.verify(written(keys).message, keys.device, MEDIA_TYPE)
    for value in (HOLDER.name, HOLDER.number, HOLDER.address, "19880315", "1988-03-15"):
        assert value.encode() not in payload
        assert json.dumps(value).strip('"').encode() not in payload
    assert HOLDER.number in HOLDER.model_dump_json(), "the search would find it where it stands in the clear"


def test_the_device_cannot_read_back_what_it_sealed(keys: Keys) -> None:
    record = envelope.read(written(keys).message, keys.device, TENANT, DEVICE)
    with pytest.raises(Refused) as refused:
        record.personal(OKPKey.generate_key("X25519"))
    assert refused.value.fault is Fault.CANNOT_OPEN


def test_a_kind_without_personal_part_opens_to_nothing(keys: Keys) -> None:
    case = Case(site="site-1", step="face", cause=Cause.HELP)
    record = envelope.read(written(keys, case, None).message, keys.device, TENANT, DEVICE)
    assert record.personal(keys.registry).model_dump() == {}


@pytest.mark.parametrize("position", [0, 20, -1])
def test_changed_bytes_are_a_bad_signature(keys: Keys, position: int) -> None:
    header, payload, signature = written(keys).message.split(b".")
    changed = bytearray(payload)
    changed[position] ^= 1
    assert refusal(b".".join((header, bytes(changed), signature)), keys) is Fault.BAD_SIGNATURE


def test_another_key_is_a_bad_signature(keys: Keys) -> None:
    other = Keys(OKPKey.generate_key("Ed25519"), keys.registry)
    assert refusal(written(other).message, keys) is Fault.BAD_SIGNATURE


def test_a_receipt_cannot_pass_for_a_record(keys: Keys) -> None:
    payload = INTL_1.verify(written(keys).message, keys.device, MEDIA_TYPE)
    assert refusal(INTL_1.sign(payload, keys.device, "rz-receipt+jws"), keys) is Fault.BAD_SIGNATURE


def test_a_record_of_another_device_is_refused(keys: Keys) -> None:
    assert refusal(written(keys).message, keys, DeviceId("kiosk-02")) is Fault.WRONG_DEVICE


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"type": "cn.renzheng.capture.v2"}, Fault.UNKNOWN_VERSION),
        ({"type": "cn.renzheng.horoscope.v1"}, Fault.UNKNOWN_VERSION),
        ({"suite": "sm-1"}, Fault.UNKNOWN_SUITE),
        ({"seq": 0}, Fault.BAD_CONTENT),
        ({"surprise": 1}, Fault.BAD_CONTENT),
        ({"data": {"facts": {"site": "site-1"}, "sealed": ""}}, Fault.BAD_CONTENT),
    ],
)
def test_signed_but_wrong_content_is_refused_with_its_reason(keys: Keys, changes: dict[str, object], fault: Fault) -> None:
    assert refusal(resigned(keys, **changes), keys) is fault
    envelope.read(resigned(keys), keys.device, TENANT, DEVICE)


def test_a_refusal_never_repeats_a_value(keys: Keys) -> None:
    planted = resigned(keys, data={"facts": {"site": "site-1", "card": HOLDER.number}, "sealed": ""})
    with pytest.raises(Refused) as refused:
        envelope.read(planted, keys.device, TENANT, DEVICE)
    assert HOLDER.number not in str(refused.value)


def test_what_is_written_fits_the_published_schemas(keys: Keys) -> None:
    event = json.loads(INTL_1.verify(written(keys).message, keys.device, MEDIA_TYPE))
    schemas = documents.schemas()
    jsonschema.Draft202012Validator(schemas["event"]).validate(event)
    jsonschema.Draft202012Validator(schemas["capture-facts"]).validate(event["data"]["facts"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schemas["event"]).validate(event | {"seq": "one"})
