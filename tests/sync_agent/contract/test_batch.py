"""A batch is one signature over several records, each of which it proves alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from sync_agent.contract import envelope
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import BATCH_MAX, Refused
from sync_agent.contract.suites import INTL_1, NotSigned, key_id

KEY = OKPKey.generate_key("Ed25519")
STRANGER = OKPKey.generate_key("Ed25519")
PAYLOADS = [f'{{"seq":{seq}}}'.encode() for seq in range(1, 4)]


def test_what_went_in_comes_out_byte_for_byte_and_in_order() -> None:
    assert envelope.unwrap(envelope.batch(PAYLOADS, KEY), KEY) == PAYLOADS


def test_a_batch_names_its_key_like_a_record() -> None:
    assert key_id(envelope.batch(PAYLOADS, KEY).split(b"\n")[0]) == KEY.thumbprint()


def test_a_single_record_unwraps_to_itself() -> None:
    assert envelope.unwrap(INTL_1.sign(PAYLOADS[0], KEY, envelope.MEDIA_TYPE), KEY) == PAYLOADS[:1]


def test_each_record_of_a_batch_is_proven_alone() -> None:
    message = envelope.batch(PAYLOADS, KEY)
    for payload in PAYLOADS:
        assert envelope.unwrap(envelope.alone(message, payload), KEY) == [payload]


def test_a_single_record_is_its_own_proof() -> None:
    message = INTL_1.sign(PAYLOADS[0], KEY, envelope.MEDIA_TYPE)
    assert envelope.alone(message, PAYLOADS[0]) == message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.replace(b'{"seq":2}', b'{"seq":9}'),
        lambda m: m + b'\n{"seq":4}',
        lambda m: m[:-1],
        lambda m: b"A" + m,
    ],
)
def test_a_changed_line_spoils_the_batch(spoil) -> None:  # type: ignore[no-untyped-def]  # pytest's parameter
    with pytest.raises(Refused) as refused:
        envelope.unwrap(spoil(envelope.batch(PAYLOADS, KEY)), KEY)
    assert refused.value.fault is Fault.BAD_SIGNATURE


def test_anothers_signature_does_not_hold() -> None:
    with pytest.raises(Refused) as refused:
        envelope.unwrap(envelope.batch(PAYLOADS, STRANGER), KEY)
    assert refused.value.fault is Fault.BAD_SIGNATURE


def test_a_manifest_cannot_pass_for_a_record_nor_a_record_for_a_manifest() -> None:
    manifest = envelope.batch(PAYLOADS, KEY).split(b"\n")[0]
    record = INTL_1.sign(PAYLOADS[0], KEY, envelope.MEDIA_TYPE)
    for message in (manifest, record + b"\n" + PAYLOADS[0]):
        with pytest.raises(Refused):
            envelope.unwrap(message, KEY)


def test_more_than_a_batch_holds_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="digests"):
        envelope.batch([b"%d" % n for n in range(BATCH_MAX + 1)], KEY)


@given(st.binary(max_size=400))
def test_no_bytes_make_anything_escape_but_a_refusal(noise: bytes) -> None:
    with pytest.raises(Refused):
        envelope.unwrap(noise, KEY)
    with pytest.raises(NotSigned):
        key_id(noise)
