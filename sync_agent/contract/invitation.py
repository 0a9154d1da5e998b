"""The one-time code: what an operator gives to whoever sets a kiosk up, to be typed or pasted there.

It names the invitation, carries its secret, and the fingerprint of the certificate authority whose door it opens: so the first
contact trusts nothing that it has not compared. 30 bytes in Crockford's base32, 12 groups of 4; two bytes catch typing errors.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKS_LIKE: Final = str.maketrans("OIL", "011")
_ID_BYTES: Final = 3
_SECRET_BYTES: Final = 10
_CA_BYTES: Final = 15
_CHECK_BYTES: Final = 2
_CHARACTERS: Final = (_ID_BYTES + _SECRET_BYTES + _CA_BYTES + _CHECK_BYTES) * 8 // 5


class BadCode(ValueError):
    """What was typed is not a one-time code. Code ENR-02."""

    code = "ENR-02"


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time code.

    Attributes:
        invitation: which one, hexadecimal; not secret.
        secret: hexadecimal.
        ca: first 15 bytes of the SHA-256 of the authority's certificate, hexadecimal.
    """

    invitation: str
    secret: str = field(repr=False)
    ca: str

    @classmethod
    def fresh(cls, ca: str) -> Self:
        """Return a new code.

        Args:
            ca: SHA-256 of the authority's certificate, hexadecimal.
        """
        return cls(secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES), ca[: 2 * _CA_BYTES])

    @classmethod
    def parse(cls, typed: str) -> Self:
        """Read what was typed; case, spaces and hyphens do not matter, nor O for 0 or I and L for 1.

        Raises:
            BadCode: too long, too short, or mistyped.
        """
        characters = typed.upper().replace("-", "").translate(_LOOKS_LIKE)
        characters = "".join(characters.split())
        if len(characters) != _CHARACTERS or not set(characters) <= set(_ALPHABET):
            raise BadCode(f"a one-time code has {_CHARACTERS} letters and digits in groups of 4. Type it again.")
        number = 0
        for character in characters:
            number = number * 32 + _ALPHABET.index(character)
        whole = number.to_bytes(_CHARACTERS * 5 // 8)
        body, check = whole[:-_CHECK_BYTES], whole[-_CHECK_BYTES:]
        if _check(body) != check:
            raise BadCode("the one-time code is mistyped. Compare it and type it again.")
        secret_at, ca_at = _ID_BYTES, _ID_BYTES + _SECRET_BYTES
        return cls(body[:secret_at].hex(), body[secret_at:ca_at].hex(), body[ca_at:].hex())

    def text(self) -> str:
        """Return the code as it is printed."""
        body = bytes.fromhex(self.invitation + self.secret + self.ca)
        number = int.from_bytes(body + _check(body))
        characters = "".join(_ALPHABET[number >> 5 * at & 31] for at in reversed(range(_CHARACTERS)))
        return "-".join(characters[at : at + 4] for at in range(0, _CHARACTERS, 4))

    def is_of(self, ca: str) -> bool:
        """Tell whether the code was made at a door of this authority.

        Args:
            ca: SHA-256 of its certificate, hexadecimal.
        """
        return ca.startswith(self.ca)


def secret_hash(secret: str) -> str:
    """Return what the centre keeps of a secret: 80 random bits need no slow hash."""
    return hashlib.sha256(b"rz-invitation-1" + bytes.fromhex(secret)).hexdigest()


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK_BYTES]
