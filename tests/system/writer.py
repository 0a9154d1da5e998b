"""A program that writes records with the product's own pen and outbox and says each one when it is safe; tests end it at will.

``python -m tests.system.writer IDENTITY OUTBOX RECORDS SITTINGS [PRAGMA]``
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

import structlog
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

from kiosk.clock import SystemClock
from kiosk.uplink import identity
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from sync_agent.contract.kinds import Case, Cause
from sync_agent.contract.receipts import Receipt


def write(who: identity.Identity, outbox: Path, records: int, sittings: int) -> None:
    """Write records, the outbox opened anew for each sitting and some of them received by the centre in between.

    Says ``boot EPOCH BOOT`` for each start and ``kept EPOCH SEQ DIGEST`` for each record, as soon as the product has promised it.
    """
    clock = SystemClock()
    for _ in range(sittings):
        with closing(Outbox(outbox)) as ours:
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
    write(identity.load(Path(identity_dir)), Path(path), int(how_many), int(how_often))
