"""Personal columns at rest: what a person's row holds is sealed with the registry's data key and found by a keyed index (P19).

AES-256-GCM with a random nonce, bound to its column, and HMAC-SHA256 as blind index; both keys come from one 32-byte data key by
HKDF (RFC 5869). The database file, its dumps and its backups show nothing without that key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Engine, LargeBinary, String, TypeDecorator
from sqlalchemy.engine.interfaces import Dialect

_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class CannotUnseal(Exception):
    """A sealed column does not open. Code REG-01: another data key than the one it was written with, or changed bytes."""

    code = "REG-01"


class Vault:
    """Seals and indexes with one data key."""

    def __init__(self, data_key: bytes) -> None:
        """Derive the keys.

        Args:
            data_key: 32 random bytes.

        Raises:
            ValueError: another length.
        """
        if len(data_key) != _KEY_BYTES:
            raise ValueError(f"a data key is {_KEY_BYTES} bytes, not {len(data_key)}")
        self._cipher = AESGCM(_derived(data_key, b"rz-registry-seal-1"))
        self._index_key = _derived(data_key, b"rz-registry-index-1")

    def seal(self, secret: bytes, column: str) -> bytes:
        """Return `secret` sealed for one column."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, secret, column.encode())

    def unseal(self, sealed: bytes, column: str) -> bytes:
        """Return what was sealed for `column`.

        Raises:
            CannotUnseal: another key, another column, or changed bytes.
        """
        start = len(_FORMAT)
        nonce, content = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        if not sealed.startswith(_FORMAT) or len(nonce) < _NONCE_BYTES:
            raise CannotUnseal(f"{column} is not in the sealed format. Restore it, or the data key it belongs to.")
        try:
            return self._cipher.decrypt(nonce, content, column.encode())
        except InvalidTag as err:
            raise CannotUnseal(f"{column} does not open with this data key. Restore the key it was written with.") from err

    def index(self, text: str) -> str:
        """Return the blind index of `text`: equal texts, equal index; nothing can be read from it without the key."""
        return hmac.new(self._index_key, text.encode(), hashlib.sha256).hexdigest()

    def attach(self, engine: Engine) -> None:
        """Let the sealed columns of everything that runs on `engine` use this vault."""
        _VAULTS[engine.dialect] = self


def vault_at(path: Path) -> Vault:
    """Return the vault whose data key lies at `path`; the key is made on first use, readable for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Vault(path.read_bytes())
    with os.fdopen(file, "wb") as opened:
        opened.write(secrets.token_bytes(_KEY_BYTES))
        opened.flush()
        os.fsync(opened.fileno())
    return Vault(path.read_bytes())


class Sealed(TypeDecorator[bytes]):
    """Bytes that stand in the database sealed."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, column: str) -> None:
        """Name what is sealed.

        Args:
            column: ``table.column``; sealed bytes moved to another column do not open.
        """
        super().__init__()
        self.column = column

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Seal on the way in."""
        return None if value is None else _VAULTS[dialect].seal(value, self.column)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Unseal on the way out."""
        return None if value is None else _VAULTS[dialect].unseal(value, self.column)


class SealedText(TypeDecorator[str]):
    """Text that stands in the database sealed."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, column: str) -> None:
        """Name what is sealed, as in `Sealed`."""
        super().__init__()
        self.column = column

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """Seal on the way in."""
        return None if value is None else _VAULTS[dialect].seal(value.encode(), self.column)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        """Unseal on the way out."""
        return None if value is None else _VAULTS[dialect].unseal(value, self.column).decode()


class BlindIndex(TypeDecorator[str]):
    """A column that is found by a personal text it does not show: given the text, it stores and compares the keyed index."""

    impl = String(64)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace the text by its index; what comes out again is the index."""
        return None if value is None else _VAULTS[dialect].index(value)


_VAULTS: WeakKeyDictionary[Dialect, Vault] = WeakKeyDictionary()
"""The vault of each engine: a column type is given the engine's dialect and nothing else."""


def _derived(data_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=purpose).derive(data_key)
