"""Takes in records that were carried to the centre by hand (`contract.carried`), as if the device had sent them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final

from joserfc.jwk import OKPKey
from sqlalchemy.orm import Session

from sync_agent.contract import carried, topics
from sync_agent.contract.carried import Carried, NotCarried
from sync_agent.contract.topics import BadTopic, Up
from sync_agent.ingest.answers import Office
from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.verifiers import Verifiers
from sync_agent.registry.database import Database

BATCH: Final = 200
"""Messages in one transaction."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What came of a file: messages in it, and how many of them, or of the records in them, were refused."""

    messages: int
    refused: int


def bring_in(database: Database, office: Office, registry_keys: Sequence[OKPKey], file: BinaryIO) -> Brought:
    """Hold every record of a file; what is held already changes nothing, and a running sync agent judges what is new.

    The device learns of it from the answer to its next birth. No shard is needed: a record is held once whoever brings it.

    Args:
        database: the registry.
        office: who would answer; nothing is said here.
        registry_keys: private X25519 keys of the registry.
        file: open for reading, at its start.

    Raises:
        NotCarried: no such file, or it breaks off; what was read before is held.
        OperationalError, InterfaceError: the database is away; what was committed before is held.
    """
    clerk = Clerk(database, office, Verifiers(0), _anywhere)
    messages = refused = 0
    for batch in _batches(carried.read(file, registry_keys)):
        posts = clerk.take([_letter(office, number, one) for number, one in enumerate(batch)])
        messages += len(batch)
        refused += sum(len(post.receipt.rejections) for post in posts)
    return Brought(messages, refused)


def _anywhere(_session: Session, _shards: Iterable[int]) -> None:
    """Let every shard pass."""


def _batches(messages: Iterator[Carried]) -> Iterator[list[Carried]]:
    while batch := list(islice(messages, BATCH)):
        yield batch


def _letter(office: Office, number: int, one: Carried) -> Letter:
    try:
        topic = topics.up(one.tenant, one.device, Up.RECORD)
    except BadTopic as err:
        raise NotCarried(f"message {number} of a piece is of no proper device: {err}") from err
    return Letter(connection=0, packet=number, qos=0, topic=topic, payload=one.message, received_at=office.now())
