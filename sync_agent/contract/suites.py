"""Cipher suites by name: how a record is signed, sealed and hashed.

``intl-1``: Ed25519 signatures (RFC 8037, 9864), ECDH-ES on X25519 with AES-256-GCM (RFC 7518), SHA-256.
The place of ``sm-1`` (SM2, SM3, SM4) is another entry in `SUITES`.

Signatures are made and checked by libsodium and the parts of a compact JWS are read here: the check is most of what the centre
spends on a record, and this way costs less than half of the general library's (tests/bench/README.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from nacl.bindings import crypto_sign, crypto_sign_BYTES
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey


class _Sealed(jwe.JWERegistry):
    """What may be opened: the library's limit of 64 KB is below a message and a piece of carried records (carried.py)."""

    max_ciphertext_length = 1024 * 1024


class BadSignature(ValueError):
    """The signature does not fit the bytes and the key."""


class CannotOpen(ValueError):
    """The sealed part does not open with this key."""


class NotSigned(ValueError):
    """The message is not a signed message at all."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One named set of algorithms."""

    name: str
    signing: str
    agreement: str
    content: str

    def sign(self, payload: bytes, key: OKPKey, kind: str) -> bytes:
        """Return `payload` signed as a compact JWS whose ``kid`` is the key's thumbprint.

        Args:
            payload: the exact bytes to be signed.
            key: private Ed25519 key.
            kind: the media type of the message, in header ``typ``.
        """
        signed = b".".join((_encoded_header(self.signing, key.thumbprint(), kind), _encoded(payload)))
        return b".".join((signed, _encoded(crypto_sign(signed, _secret(key))[:crypto_sign_BYTES])))

    def verify(self, message: bytes, key: OKPKey, kind: str) -> bytes:
        """Return the exact bytes that were signed.

        Raises:
            BadSignature: wrong key, changed bytes, or a message of another kind.
        """
        try:
            signed, header, signature = _split(message)
            if header.algorithm != self.signing:
                raise BadSignature(f"signed with another algorithm than {self.signing}")
            _verifying(key).verify(signed, signature)
        except (BadSignatureError, NotSigned, ValueError) as err:
            raise BadSignature("the signature does not fit") from err
        if header.kind != kind:
            raise BadSignature(f"signed for another purpose than {kind}")
        return _decoded(signed.partition(b".")[2])

    def payload(self, message: bytes) -> bytes:
        """Return what a compact JWS of our own holds, its signature not checked.

        Raises:
            NotSigned: not a compact JWS.
        """
        return _decoded(_split(message)[0].partition(b".")[2])

    def seal(self, secret: bytes, key: OKPKey) -> str:
        """Return `secret` so that only the holder of the private part of X25519 `key` can read it (compact JWE)."""
        header = {"alg": self.agreement, "enc": self.content, "kid": key.thumbprint()}
        return jwe.encrypt_compact(header, secret, key, algorithms=[self.agreement, self.content])

    def open(self, sealed: str, key: OKPKey) -> bytes:
        """Return what was sealed to `key`.

        Raises:
            CannotOpen: another key, or changed bytes.
        """
        try:
            plain = jwe.decrypt_compact(sealed, key, registry=_Sealed(algorithms=[self.agreement, self.content])).plaintext
        except (JoseError, ValueError) as err:
            raise CannotOpen("the sealed part does not open with this key") from err
        if plain is None:
            raise CannotOpen("the sealed part is empty")
        return plain

    def digest(self, payload: bytes) -> str:
        """Return the hash of the signed bytes, in hexadecimal."""
        return hashlib.sha256(payload).hexdigest()


INTL_1: Final = Suite("intl-1", signing="Ed25519", agreement="ECDH-ES", content="A256GCM")
SUITES: Final = {INTL_1.name: INTL_1}


def key_id(message: bytes) -> str:
    """Return the ``kid`` a signed message claims, before anything is verified.

    Raises:
        NotSigned: not a compact JWS with a ``kid``.
    """
    return _split(message)[1].kid


class _Header(NamedTuple):
    algorithm: str
    kid: str
    kind: str


def _split(message: bytes) -> tuple[bytes, _Header, bytes]:
    """Return what was signed, the header and the signature of a compact JWS (RFC 7515, section 7.1)."""
    signed, _, signature = message.rpartition(b".")
    header, dot, _ = signed.partition(b".")
    if not dot:
        raise NotSigned("not a compact JWS")
    return signed, _header(header), _decoded(signature)


@lru_cache(maxsize=4096)
def _header(encoded: bytes) -> _Header:
    """Read a protected header; a device's are all alike, so each is read once."""
    if len(encoded) > 1024:
        raise NotSigned("the header is too long")
    try:
        fields = json.loads(_decoded(encoded))
    except (ValueError, RecursionError) as err:
        raise NotSigned("the header is not JSON") from err
    match fields:
        case {"alg": str(algorithm), "kid": str(kid), "typ": str(kind), **others} if not others:
            return _Header(algorithm, kid, kind)
        case _:
            raise NotSigned("the header does not hold exactly alg, kid and typ")


@lru_cache(maxsize=256)
def _encoded_header(algorithm: str, kid: str, kind: str) -> bytes:
    return _encoded(json.dumps({"alg": algorithm, "kid": kid, "typ": kind}, separators=(",", ":")).encode())


def _encoded(part: bytes) -> bytes:
    """Encode base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def _decoded(part: bytes) -> bytes:
    """Decode base64url without padding (RFC 7515, section 2).

    Raises:
        NotSigned: other characters.
    """
    try:
        return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as err:
        raise NotSigned("a part is not base64url") from err


def _secret(key: OKPKey) -> bytes:
    """Return a private key as libsodium wants it: seed and public key, so that the one need not be worked out again.

    Raises:
        ValueError: not a private Ed25519 key.
    """
    private = key.private_key
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("not a private Ed25519 key")
    return private.private_bytes_raw() + private.public_key().public_bytes_raw()


def _verifying(key: OKPKey) -> VerifyKey:
    """Return the key as libsodium wants it.

    Raises:
        ValueError: not an Ed25519 key.
    """
    public = key.public_key
    if isinstance(public, Ed25519PrivateKey):
        public = public.public_key()
    if not isinstance(public, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return VerifyKey(public.public_bytes_raw())
