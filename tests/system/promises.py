"""What a kiosk promised about its records, and whether its outbox keeps it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from kiosk.uplink.faults import OutboxFault
from kiosk.uplink.identity import Identity
from kiosk.uplink.outbox import Outbox
from sync_agent.contract import envelope
from sync_agent.contract.envelope import GENESIS


@dataclass(frozen=True, slots=True)
class Promised:
    """What `tests.system.writer` had said: the starts counted, and the digest of every record kept."""

    epoch: str
    boot: int
    digests: dict[int, str]


def promised(said: Iterable[str]) -> Promised:
    """Read the words of one or more writers on one outbox.

    Raises:
        AssertionError: a sequence was promised twice.
    """
    epoch, boot, digests = "", 0, dict[int, str]()
    for line in said:
        word, epoch, *more = line.split()
        if word == "boot":
            boot = int(more[0])
        else:
            assert int(more[0]) not in digests, f"sequence {more[0]} was used twice"
            digests[int(more[0])] = more[1]
    return Promised(epoch, boot, digests)


def broken(before: Promised, path: Path, who: Identity) -> str:
    """Start the product on an outbox and say in a word what is wrong with it; nothing when every promise is kept."""
    try:
        with closing(Outbox(path)) as outbox:
            epoch, boot, next_seq = outbox.epoch, outbox.boot, outbox.tail().last_seq + 1
        with closing(sqlite3.connect(path)) as database:
            if database.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                return "corrupt"
            rows = database.execute("SELECT seq, digest, message FROM record ORDER BY seq").fetchall()
        chain_holds = _holds([message for *_, message in rows], who)
    except (
        OutboxFault,
        DatabaseError,
        sqlite3.DatabaseError,
        ValueError,
        envelope.Refused,
    ):  # a value torn in the middle is corrupt, too
        return "corrupt"
    held = {seq: digest for seq, digest, _ in rows}
    if not before.digests.items() <= held.items() or (before.digests and epoch != before.epoch):
        return "lost"
    if before.boot > boot:
        return "a start forgotten"
    if next_seq in before.digests:
        return "a sequence used twice"
    return "" if chain_holds else "chain broken"


def _holds(messages: Sequence[bytes], who: Identity) -> bool:
    """Whether every record's signature holds, none is missing, and each names the one before.

    Raises:
        Refused: a signature does not hold.
    """
    prev = GENESIS
    for number, message in enumerate(messages, start=1):
        one = envelope.read(message, who.signing_key, who.tenant, who.device)
        if (one.event.seq, one.event.prev) != (number, prev):
            return False
        prev = one.digest
    return True
