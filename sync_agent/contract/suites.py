"""Cipher suites by name: how a record is signed, sealed and hashed.

``intl-1``: Ed25519 signatures (RFC 8037, 9864), ECDH-ES on X25519 with AES-256-GCM (RFC 7518), SHA-256.
The place of ``sm-1`` (SM2, SM3, SM4) is another entry in `SUITES`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey


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
        header = {"alg": self.signing, "kid": key.thumbprint(), "typ": kind}
        return jws.serialize_compact(header, payload, key, algorithms=[self.signing]).encode()

    def verify(self, message: bytes, key: OKPKey, kind: str) -> bytes:
        """Return the exact bytes that were signed.

        Raises:
            BadSignature: wrong key, changed bytes, or a message of another kind.
        """
        try:
            signed = jws.deserialize_compact(message, key, algorithms=[self.signing])
        except (JoseError, ValueError) as err:
            raise BadSignature("the signature does not fit") from err
        if signed.headers().get("typ") != kind:
            raise BadSignature(f"signed for another purpose than {kind}")
        return signed.payload

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
            plain = jwe.decrypt_compact(sealed, key, algorithms=[self.agreement, self.content]).plaintext
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
    try:
        kid = jws.extract_compact(message).headers().get("kid")
    except (JoseError, ValueError) as err:
        raise NotSigned("not a compact JWS") from err
    if not isinstance(kid, str):
        raise NotSigned("the header names no key")
    return kid
