"""Records carried to the centre by hand: a file that only the registry can open, written and read in bounded pieces.

A first line that says what the file is, then one sealed piece (compact JWE) a line. A piece holds some messages exactly as the
device would have sent them; each is signed by itself, so the file adds secrecy and order, not belief. Pieces are counted and bear
the file's mark, and the last says that it is the last: what is missing, cut off or mixed in from another file is noticed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, BinaryIO, Final

from joserfc.jwk import OKPKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sync_agent.contract.suites import INTL_1, CannotOpen
from sync_agent.contract.topics import DeviceId, Tenant

MAGIC: Final = b"rz-carried/1\n"
PIECE_BYTES: Final = 256 * 1024
"""Most bytes of messages in one piece; a single longer message stands alone in its piece."""

LINE_BYTES: Final = 1024 * 1024
"""Longest line that is read."""


class NotCarried(Exception):
    """The file, or the rest of it, is not one of carried records for these keys; what was read before is good."""


class Head(BaseModel):
    """First line of a piece."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    file: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="Mark of the file, random.")]
    piece: Annotated[int, Field(ge=1)]
    is_last: bool
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
    device: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]


@dataclass(frozen=True, slots=True)
class Carried:
    """One message out of a file, unverified: nothing in it may be believed before its signature is checked."""

    tenant: Tenant
    device: DeviceId
    message: bytes


def write(source: tuple[Tenant, DeviceId], messages: Iterable[bytes], registry_key: OKPKey) -> Iterator[bytes]:
    """Yield the lines of a file, each with its line end; no more than one piece is held in memory.

    Args:
        source: tenant and device that the messages are of.
        messages: signed records, one a message, without line ends.
        registry_key: the registry's public X25519 key.
    """
    tenant, device = source
    mark = secrets.token_hex(8)
    yield MAGIC
    pieces = _pieces(messages)
    number = 0
    piece: list[bytes] | None = next(pieces)
    while piece is not None:
        number, following = number + 1, next(pieces, None)
        head = Head(file=mark, piece=number, is_last=following is None, tenant=tenant, device=device)
        plain = b"\n".join([head.model_dump_json().encode(), *piece])
        yield INTL_1.seal(plain, registry_key).encode() + b"\n"
        piece = following


def read(file: BinaryIO, registry_keys: Sequence[OKPKey]) -> Iterator[Carried]:
    """Yield every message of a file, piece by piece.

    Args:
        file: open for reading, at its start.
        registry_keys: private X25519 keys of the registry; two or more while old ones still open.

    Raises:
        NotCarried: no such file, none of the keys opens it, or the file breaks off; raised where the fault is met.
    """
    if file.readline(len(MAGIC)) != MAGIC:
        raise NotCarried("the file does not hold carried records")
    mark, number, is_whole = "", 0, False
    while line := file.readline(LINE_BYTES):
        number += 1
        if is_whole or not line.endswith(b"\n"):
            raise NotCarried(f"piece {number} is cut off, too long or behind the last")
        head, messages = _open(line, registry_keys, number)
        if head.piece != number or head.file != (mark or head.file):
            raise NotCarried(f"piece {number} is missing or another file's")
        mark, is_whole = head.file, head.is_last
        for message in messages:
            yield Carried(Tenant(head.tenant), DeviceId(head.device), message)
    if not is_whole:
        raise NotCarried(f"the file breaks off after piece {number}")


def _pieces(messages: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the messages in bounded groups, the last of them possibly empty."""
    piece: list[bytes] = []
    size = 0
    for message in messages:
        if piece and size + len(message) > PIECE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(message)
        size += len(message) + 1
    yield piece


def _open(line: bytes, keys: Sequence[OKPKey], number: int) -> tuple[Head, list[bytes]]:
    for key in keys:
        try:
            head, *messages = INTL_1.open(line[:-1].decode("ascii", "replace"), key).split(b"\n")
            return Head.model_validate_json(head), messages
        except CannotOpen:
            continue
        except ValidationError as err:
            raise NotCarried(f"piece {number} has no proper head ({err.error_count()} faults)") from None
    raise NotCarried(f"piece {number} does not open with any of {len(keys)} keys of the registry")
