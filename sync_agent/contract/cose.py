"""Signed CBOR in the smallest form: COSE_Sign1 (RFC 9052) with Ed25519 (RFC 9864), untagged, nothing in the unprotected header.

Reading is strict (RFC 8949, section 4.2.3): integers, byte and text strings, arrays, and maps with integer keys, the shorter
first, all of definite length and in their shortest form, so that a value has exactly one encoding. Everything else is refused.
"""

from __future__ import annotations

import base64
from typing import Final

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

ALG: Final = 1
KID: Final = 4
KCWT: Final = 13
"""Header parameters: algorithm and key (RFC 9052, section 3.1), a CWT that holds the signer's key (RFC 9528, section 9.3)."""

ED25519: Final = -19
"""The only algorithm (RFC 9864)."""

MAX_DEPTH: Final = 4

Value = int | bytes | str | list["Value"] | dict[int, "Value"]


class NotCose(ValueError):
    """Bytes that are not a message of this form."""


class BadSignature(ValueError):
    """The signature does not fit the bytes, the key and the purpose."""


def raw(key: OKPKey) -> bytes:
    """Return the 32 bytes of the public part of an Ed25519 key.

    Raises:
        ValueError: another kind of key.
    """
    fields = key.as_dict(private=False)
    if fields.get("crv") != "Ed25519":
        raise ValueError("not an Ed25519 key")
    x = str(fields["x"])
    return base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))


def encode(value: object) -> bytes:
    """Return the one encoding of a value."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> Value:
    """Read one value that fills `data`.

    Raises:
        NotCose: any other form than described above.
    """
    value, end = _value(data, 0, MAX_DEPTH)
    if end != len(data):
        raise NotCose("bytes follow the end")
    return value


class Sign1:
    """A COSE_Sign1 as received, not yet checked.

    Attributes:
        header: the protected header.
        payload: what was signed, beside the header.
    """

    __slots__ = ("_protected", "_signature", "header", "payload")

    def __init__(self, message: bytes) -> None:
        """Take a message apart.

        Raises:
            NotCose: not a COSE_Sign1 of this form.
        """
        match decode(message):
            case [bytes(protected), dict(unprotected), bytes(payload), bytes(signature)] if (
                not unprotected and len(signature) == 64
            ):
                header = decode(protected)
            case _:
                raise NotCose("not a COSE_Sign1")
        if not isinstance(header, dict) or header.get(ALG) != ED25519:
            raise NotCose("not signed with Ed25519")
        self.header: dict[int, Value] = header
        self.payload = payload
        self._protected = protected
        self._signature = signature

    def verify(self, public: bytes, purpose: bytes) -> None:
        """Check the signature.

        Args:
            public: the signer's Ed25519 key, 32 bytes.
            purpose: what it must have been signed for (externally supplied data, RFC 9052, section 4.3).

        Raises:
            BadSignature: it does not hold.
        """
        try:
            VerifyKey(public).verify(_signed(self._protected, purpose, self.payload), self._signature)
        except (BadSignatureError, ValueError) as err:
            raise BadSignature("the signature does not fit") from err


def sign1(header: dict[int, Value], payload: Value, key: OKPKey, purpose: bytes) -> bytes:
    """Return a signed message.

    Args:
        header: what the protected header holds beside the algorithm.
        payload: what is signed.
        key: private Ed25519 key.
        purpose: what it is signed for; a signature for one purpose does not hold for another.

    Raises:
        ValueError: not a private Ed25519 key.
    """
    private = key.private_key
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("not a private Ed25519 key")
    protected, body = encode({ALG: ED25519, **header}), encode(payload)
    return encode([protected, {}, body, private.sign(_signed(protected, purpose, body))])


def _signed(protected: bytes, purpose: bytes, payload: bytes) -> bytes:
    """Return the Sig_structure (RFC 9052, section 4.4)."""
    return encode(["Signature1", protected, purpose, payload])


def _value(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    """Read the value that begins at `at`; return it and where it ends."""
    if depth == 0:
        raise NotCose("nested too deep")
    major, number, at = _head(data, at)
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 2 | 3:
            end = at + number
            if end > len(data):
                raise NotCose("cut off")
            part = data[at:end]
            return (part if major == 2 else _text(part)), end
        case 4:
            items: list[Value] = []
            for _ in range(number):
                item, at = _value(data, at, depth - 1)
                items.append(item)
            return items, at
        case 5:
            return _map(data, number, at, depth)
        case _:
            raise NotCose("tags, floats and simple values are not used")


def _map(data: bytes, count: int, at: int, depth: int) -> tuple[Value, int]:
    fields: dict[int, Value] = {}
    last = (0, b"")
    for _ in range(count):
        begin = at
        key, at = _value(data, at, depth - 1)
        here = (at - begin, data[begin:at])
        if not isinstance(key, int) or here <= last:
            raise NotCose("the keys of a map are not integers in rising order")
        last = here
        fields[key], at = _value(data, at, depth - 1)
    return fields, at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Read major type and argument; return them and where they end (RFC 8949, section 3)."""
    if at >= len(data):
        raise NotCose("cut off")
    major, short = divmod(data[at], 32)
    at += 1
    if short < 24:
        return major, short, at
    if short > 27:
        raise NotCose("of indefinite length or reserved")
    size = 1 << (short - 24)
    number = int.from_bytes(data[at : at + size])
    if at + size > len(data):
        raise NotCose("cut off")
    if number < (24 if size == 1 else 1 << (4 * size)):
        raise NotCose("not in the shortest form")
    return major, number, at + size


def _text(part: bytes) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError as err:
        raise NotCose("a text is not UTF-8") from err
