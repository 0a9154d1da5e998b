"""Documents that belong to a record: put together from their pieces, and looked at before they are believed.

A document travels as pieces, each a record of its own before the one that names the whole by its digest.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Piece, PieceBytes
from sync_agent.contract.requests import Attachment
from sync_agent.registry.rules.decision import Change, Decision, accepted_not_effective
from sync_agent.registry.rules.requests import Lack, refuse

PIECE_BYTES: Final = 24_000
"""What a piece holds at most: a message holds 64 KiB."""

TOTAL_BYTES: Final = 30_000_000
"""What all documents of one record may hold together."""

KEPT_FOR: Final = timedelta(days=7)
"""A piece that no record took by then is deleted."""

_STARTS: Final = {
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "application/pdf": b"%PDF-",
}
_ENDS: Final = {
    "image/jpeg": b"\xff\xd9",
    "image/png": b"IEND\xaeB`\x82",
    "application/pdf": b"%%EOF",
}
"""How the bytes of each kind begin (ISO 10918-1, ISO 15948, ISO 32000-1) and what must stand near their end."""

_TAIL_BYTES: Final = 1024
"""Within so many bytes of its end a reader looks for a PDF's end mark (ISO 32000-1, annex H)."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A piece as it came."""

    index: int
    count: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Whole:
    """A document that came whole and is what it says it is."""

    attachment: Attachment
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeepPiece(Change):
    """The piece is kept until the record comes that names the whole."""

    data: bytes = field(repr=False)


def piece(facts: Piece, sealed: PieceBytes) -> Decision:
    """Take a piece that can be one: its place lies within the whole, and its bytes can be read."""
    data = _decoded(sealed.data)
    if facts.index >= facts.count or not data or len(data) > PIECE_BYTES:
        return refuse(Code.WRONG_CONTENT, "piece")
    return accepted_not_effective(KeepPiece(data))


def gather(attachments: Sequence[Attachment], pieces: Iterable[tuple[str, Arrived]]) -> tuple[list[Whole], list[Lack]]:
    """Put the documents of a record together.

    Args:
        attachments: what the record names.
        pieces: digest and piece, the newest first: of two for one place the newer counts, for it was sent because of the older.

    Returns:
        What is whole, and everything that is lacking.
    """
    of: dict[str, list[Arrived]] = defaultdict(list)
    for digest, arrived in pieces:
        of[digest].append(arrived)
    wholes: dict[str, Whole] = {}
    lacks: list[Lack] = []
    if sum(attachment.bytes for attachment in attachments) > TOTAL_BYTES:
        lacks.append(Lack(Code.ATTACHMENT_REFUSED, "total"))
    for attachment in attachments:
        content = _joined(of[attachment.digest])
        if content is None:
            lacks.append(Lack(Code.ATTACHMENT_MISSING, attachment.role))
        elif not _is_as_said(attachment, content):
            lacks.append(Lack(Code.ATTACHMENT_REFUSED, attachment.role))
        else:
            wholes.setdefault(attachment.digest, Whole(attachment, content))
    return list(wholes.values()), lacks


def wanted(attachments: Sequence[Attachment], role: str) -> list[Lack]:
    """Say whether a record lacks any document at all where it needs evidence.

    Args:
        attachments: what it names.
        role: what to call that which is lacking.
    """
    return [] if attachments else [Lack(Code.ATTACHMENT_MISSING, role)]


def _joined(pieces: Sequence[Arrived]) -> bytes | None:
    """Return the bytes of the first way of cutting that is whole."""
    for count in dict.fromkeys(arrived.count for arrived in pieces):
        places: dict[int, bytes] = {}
        for arrived in pieces:
            if arrived.count == count:
                places.setdefault(arrived.index, arrived.data)
        if all(index in places for index in range(count)):
            return b"".join(places[index] for index in range(count))
    return None


def _is_as_said(attachment: Attachment, content: bytes) -> bool:
    return (
        len(content) == attachment.bytes
        and hashlib.sha256(content).hexdigest() == attachment.digest
        and content.startswith(_STARTS[attachment.media])
        and _ENDS[attachment.media] in content[-_TAIL_BYTES:]
    )


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return b""
