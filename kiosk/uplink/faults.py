"""What can go wrong with the outbox's file, told apart: passing or permanent, each with its code and words for the visitor."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

from sqlalchemy.exc import DBAPIError


class OutboxFault(Exception):
    """The outbox cannot be used now. What is in it is left as it is, whatever the fault."""

    code: ClassVar[str]
    message: ClassVar[str]


class OutboxFull(OutboxFault):
    """The disk cannot take a record: full or failing. Code BOX-01: no visit may start; what is in the outbox is safe."""

    code = "BOX-01"
    message = "outbox.full"


class OutboxBusy(OutboxFault):
    """The outbox stayed locked too long. Code BOX-02, passing: the visitor is asked to try again."""

    code = "BOX-02"
    message = "outbox.busy"


class OutboxReadOnly(OutboxFault):
    """The disk or the file may not be written. Code BOX-03: a failing card often turns read-only; change it, keep it."""

    code = "BOX-03"
    message = "outbox.read-only"


class OutboxDamaged(OutboxFault):
    """The file is no whole database. Code BOX-04: evidence, so nobody but a person may put it aside."""

    code = "BOX-04"
    message = "outbox.damaged"


class OutboxOutOfReach(OutboxFault):
    """The file cannot be opened. Code BOX-05: the disk is not mounted, or the rights are wrong."""

    code = "BOX-05"
    message = "outbox.out-of-reach"


class OutboxNewer(OutboxFault):
    """A later release made the file and says that this one cannot serve it. Code BOX-06: install that release again."""

    code = "BOX-06"
    message = "outbox.newer"


_BY_RESULT: Final[dict[int, type[OutboxFault]]] = {
    sqlite3.SQLITE_FULL: OutboxFull,
    sqlite3.SQLITE_IOERR: OutboxFull,
    sqlite3.SQLITE_BUSY: OutboxBusy,
    sqlite3.SQLITE_LOCKED: OutboxBusy,
    sqlite3.SQLITE_READONLY: OutboxReadOnly,
    sqlite3.SQLITE_CORRUPT: OutboxDamaged,
    sqlite3.SQLITE_NOTADB: OutboxDamaged,
    sqlite3.SQLITE_CANTOPEN: OutboxOutOfReach,
}
_BY_ERRNO: Final[dict[int, type[OutboxFault]]] = {
    errno.ENOSPC: OutboxFull,
    errno.EDQUOT: OutboxFull,
    errno.EIO: OutboxFull,
    errno.EROFS: OutboxReadOnly,
}


@contextmanager
def told_apart(what: str) -> Iterator[None]:
    """Raise the faults of a disk as what they are; bugs stay what they were.

    Args:
        what: was tried, for the message.

    Raises:
        OutboxFault: SQLite or the system met one of the faults named here.
    """
    try:
        yield
    except DBAPIError as err:
        if isinstance(err.orig, sqlite3.Error) and (fault := _of(err.orig)):
            raise fault(f"{what} failed: {err.orig}") from err
        raise
    except sqlite3.Error as err:
        if fault := _of(err):
            raise fault(f"{what} failed: {err}") from err
        raise
    except OSError as err:
        fault = _BY_ERRNO.get(err.errno or 0, OutboxOutOfReach)
        raise fault(f"{what} failed: {err.strerror}") from err


def _of(err: sqlite3.Error) -> type[OutboxFault] | None:
    """Return the fault behind an error, by the primary part of SQLite's result code."""
    number = getattr(err, "sqlite_errorcode", None)
    return _BY_RESULT.get(number & 0xFF) if isinstance(number, int) else None
