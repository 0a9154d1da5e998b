"""Signed CBOR: one form, strictly read; whatever bytes come, only the declared faults escape."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from nacl.signing import VerifyKey

from sync_agent.contract import cose

KEY = OKPKey.generate_key("Ed25519")
VALUES: st.SearchStrategy[object] = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-70_000, 70_000), inner, max_size=4),
    max_leaves=6,
)


def depth(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case _:
            return 1


@given(VALUES.filter(lambda value: depth(value) <= cose.MAX_DEPTH))
def test_a_value_comes_back_as_it_was(value: object) -> None:
    assert cose.decode(cose.encode(value)) == value


@given(st.binary(max_size=80) | VALUES.map(cbor2.dumps))
@example(bytes.fromhex("9b7fffffffffffffff"))
@example(b"\x81" * 10_000)
def test_what_is_read_is_the_one_encoding_of_what_the_library_reads(data: bytes) -> None:
    try:
        value = cose.decode(data)
    except cose.NotCose:
        return
    assert value == cbor2.loads(data)
    assert cose.encode(value) == data


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("c11a6a000000", "a tag"),
        ("fb3ff8000000000000", "a float"),
        ("f5", "a simple value"),
        ("5f4101ff", "bytes of indefinite length"),
        ("9f01ff", "an array of indefinite length"),
        ("1801", "a number longer than needed"),
        ("a201010101", "a key twice"),
        ("a202010101", "keys in falling order"),
        ("a1616101", "a key that is a text"),
        ("4201", "bytes cut off"),
        ("0101", "bytes behind the end"),
        ("62c328", "a text that is not UTF-8"),
        ("", "nothing"),
        ("1c", "a reserved length"),
        ("19", "a length cut off"),
        ("818181818101", "arrays nested too deep"),
    ],
)
def test_fail__any_other_form_is_refused(data: str, what: str) -> None:
    with pytest.raises(cose.NotCose):
        cose.decode(bytes.fromhex(data))


def test_ok__a_signature_holds_for_its_key_and_purpose() -> None:
    message = cose.Sign1(cose.sign1({4: b"kid"}, {1: "said"}, KEY, b"purpose"))
    message.verify(cose.raw(KEY), b"purpose")
    assert message.header == {1: -19, 4: b"kid"}
    assert cose.decode(message.payload) == {1: "said"}


@pytest.mark.parametrize("purpose", [b"another", b""])
def test_fail__a_signature_for_another_purpose(purpose: bytes) -> None:
    message = cose.Sign1(cose.sign1({}, {1: "said"}, KEY, b"purpose"))
    with pytest.raises(cose.BadSignature):
        message.verify(cose.raw(KEY), purpose)


def test_fail__another_key_or_none() -> None:
    message = cose.Sign1(cose.sign1({}, {1: "said"}, KEY, b"purpose"))
    for public in (cose.raw(OKPKey.generate_key("Ed25519")), b"short"):
        with pytest.raises(cose.BadSignature):
            message.verify(public, b"purpose")


def test_fail__a_header_outside_of_the_signature() -> None:
    protected, _, payload, signature = cbor2.loads(cose.sign1({}, {1: "said"}, KEY, b"purpose"))
    assert cose.Sign1(cose.encode([protected, {}, payload, signature])).payload == payload
    with pytest.raises(cose.NotCose):
        cose.Sign1(cose.encode([protected, {4: b"kid"}, payload, signature]))


def test_fail__another_algorithm() -> None:
    with pytest.raises(cose.NotCose):
        cose.Sign1(cose.encode([cose.encode({1: -7}), {}, b"", bytes(64)]))


def test_fail__a_key_that_cannot_sign_here() -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        cose.raw(OKPKey.generate_key("X25519"))
    with pytest.raises(ValueError, match="private"):
        cose.sign1({}, 1, OKPKey.import_key(KEY.as_dict(private=False)), b"purpose")


def test_the_form_is_that_of_the_standard() -> None:
    """RFC 9052, sections 4.2 and 4.4, spelled out byte by byte with the general library."""
    message = cbor2.loads(cose.sign1({4: b"k"}, {1: 2}, KEY, b"aad"))
    protected = bytes.fromhex("a2013204416b")
    signed = cbor2.dumps(["Signature1", protected, b"aad", bytes.fromhex("a10102")])
    assert message[:3] == [protected, {}, bytes.fromhex("a10102")]
    VerifyKey(cose.raw(KEY)).verify(signed, message[3])
