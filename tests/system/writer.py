"""A program that writes records with the product's own pen and outbox and says each one when it is safe; tests end it at will.

``python -m tests.system.writer IDENTITY OUTBOX RECORDS SITTINGS [PRAGMA]``. What is chance elsewhere, key, ids, epoch and time,
is the same here in every run, so that SQLite lays out the same pages and a power cut at the same step takes the same.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
import uuid_utils
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

from kiosk.uplink import identity
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from sync_agent.contract.kinds import Case, Cause
from sync_agent.contract.receipts import Receipt

SEED: Final = 20261123
BEGUN: Final = datetime(2026, 11, 23, 8, tzinfo=UTC)


class Course:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        self._at += timedelta(seconds=1)
        return self._at

    def monotonic(self) -> float:
        return self._at.timestamp()

    def age_s(self) -> int | None:
        return 0


def seeded(who: identity.Identity) -> identity.Identity:
    """Return the device with a record key that is the same in every run."""
    key = Ed25519PrivateKey.from_private_bytes(random.Random(SEED).randbytes(32))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return replace(who, signing_key=OKPKey.import_key(pem))


def seed(boot: int) -> None:
    """Have this process draw its epoch and its ids from a seed, other ids at every start on one outbox."""
    luck = random.Random(f"{SEED} {boot}")
    drawn = iter(range(1, 1_000_000))

    def uuid7() -> UUID:
        high = (boot * 1_000_000 + next(drawn)) << 80
        return UUID(int=high | 7 << 76 | luck.getrandbits(12) << 64 | 2 << 62 | luck.getrandbits(62))

    vars(uuid_utils)["uuid7"] = uuid7
    vars(secrets)["token_hex"] = lambda size: luck.randbytes(size).hex()


def write(who: identity.Identity, outbox: Path, records: int, sittings: int) -> None:
    """Write records, the outbox opened anew for each sitting and some of them received by the centre in between.

    Says ``boot EPOCH BOOT`` for each start and ``kept EPOCH SEQ DIGEST`` for each record, as soon as the product has promised it.
    """
    seed(0)
    for _ in range(sittings):
        with closing(Outbox(outbox)) as ours:
            boot = ours.boot + 1
            seed(boot)
            clock = Course(BEGUN + timedelta(hours=boot))
            pen = Pen(ours, who, clock)
            say(f"boot {ours.epoch} {ours.boot}")
            for number in range(records // sittings):
                seq = pen.write(Case(site=who.site, step="face", cause=Cause.HELP), None).seq
                say(f"kept {ours.epoch} {seq} {ours.tail().last_digest}")
                if number % 4 == 3:
                    ours.settle(Receipt(device=who.device, epoch=ours.epoch, upto=seq - 1, at=clock.now()), clock.now())


def say(text: str) -> None:
    """Say a line at once."""
    os.write(1, f"{text}\n".encode())


def weaken(pragma: str) -> None:
    """Have every connection to SQLite keep less than the product asked for, as a negative control."""

    @event.listens_for(Pool, "checkout")
    def less(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        connection.cursor().execute(f"PRAGMA {pragma}")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for promises
    identity_dir, path, how_many, how_often, *weaker = sys.argv[1:]
    for asked in weaker:
        weaken(asked)
    write(seeded(identity.load(Path(identity_dir))), Path(path), int(how_many), int(how_often))
