"""Gets the published files of a pack: from their addresses, from a mirror, or from a folder. Only the named file gets its name.

What has come of a file lies in `NAME.part` beside its place and is gone on with the next time. A whole file is checked before it
gets its name, and removed when it is another one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import ClassVar, Final

import httpx

from models.load import Pack
from models.spec import AddressSource

TRIES: Final = 8
"""So often a cut connection is taken up again, and only as long as each brings something new."""

ROOM_BYTES: Final = 64 * 2**20
"""So much of the disk must stay free beside the file; the outbox needs room before a model does."""

_TIMEOUT: Final = httpx.Timeout(30.0, connect=15.0)
_CHUNK: Final = 2**16
_PARTIAL: Final = 206
_BEYOND: Final = 416
_REMEDY: Final = "Take it from another place: --mirror ADDRESS or --from FOLDER"
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class NotFetched(Exception):
    """A file could not be had: which, from where, why, and what to do."""

    code: ClassVar[str] = "FACE-03"


class _Cut(Exception):
    """The connection ended before the file did."""


def fetch(pack: Pack, mirror: str | None = None) -> list[Path]:
    """Get the published files that are missing or wrong; return those that came.

    Args:
        pack: its `folder` is where they go.
        mirror: address below which they lie by their names; None takes each from its publisher.

    Raises:
        NotFetched: one could not be had; those before it are there.
    """
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=True, headers={"Accept-Encoding": "identity"}) as client:
        got = []
        for source, path in _wanted(pack):
            address = source.url if mirror is None else f"{mirror.rstrip('/')}/{source.file}"
            with _part(path, source) as part:
                _download(client, address, source, part)
                _finish(part, path, source, address)
            got.append(path)
        return got


def copy(pack: Pack, folder: Path) -> list[Path]:
    """Take the published files that are missing or wrong from a folder, for instance a USB stick; return those that came.

    Args:
        pack: its `folder` is where they go.
        folder: where they lie by their names.

    Raises:
        NotFetched: one is not there or is another; those before it are there.
    """
    got = []
    for source, path in _wanted(pack):
        origin = folder / source.file
        try:
            file = origin.open("rb")
        except OSError as err:
            raise NotFetched(f"{str(origin)!r} cannot be read: {err.strerror}. Put the file there by that name") from err
        with file, _part(path, source) as part:
            _clear(part)
            _append(part, iter(partial(file.read, _CHUNK), b""), source, str(origin))
            _finish(part, path, source, str(origin))
        got.append(path)
    return got


def published(pack: Pack) -> list[tuple[AddressSource, Path]]:
    """Return every file of a pack that has an address, and its place: by its own name where it is still to be converted."""
    files: dict[Path, AddressSource] = {}
    for part in pack.spec.weights:
        if isinstance(part.source, AddressSource):
            is_used = part.source.sha256 == part.sha256
            files[pack.folder / (part.file if is_used else part.source.file)] = part.source
    return [(source, path) for path, source in files.items()]


def _wanted(pack: Pack) -> Iterator[tuple[AddressSource, Path]]:
    for source, path in published(pack):
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == source.sha256:
                    continue
        except OSError:
            pass  # why, if it matters, shows when it is written
        yield source, path


@contextmanager
def _part(path: Path, source: AddressSource) -> Iterator[FileIO]:
    """Open what has come of a file, at its end, for this process alone."""
    name = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what a full disk did not take must not be written once more when the file is cut or closed.
        with name.open("ab", buffering=0) as part:
            _lock(part, name)
            _check_room(part, path, source)
            yield part
    except OSError as err:
        raise NotFetched(f"{str(err.filename or name)!r} cannot be written or read: {err.strerror}") from err


def _lock(part: FileIO, name: Path) -> None:
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = os.fstat(part.fileno()).st_ino == name.stat().st_ino  # another process may have finished it just now
    except (BlockingIOError, FileNotFoundError):
        is_ours = False
    if not is_ours:
        raise NotFetched(f"{name.stem!r} is being fetched by another process; wait for it")


def _check_room(part: FileIO, path: Path, source: AddressSource) -> None:
    free = shutil.disk_usage(path.parent).free + part.tell()
    if free < source.bytes + ROOM_BYTES:
        wanted = (source.bytes + ROOM_BYTES) // 2**20
        raise NotFetched(f"no room for {path.name!r}: {free // 2**20} MB are free, {wanted} MB must be. Make room")


def _clear(part: FileIO) -> None:
    part.seek(0)
    part.truncate()


def _download(client: httpx.Client, address: str, source: AddressSource, part: FileIO) -> None:
    """Bring a part to its full length."""
    if part.tell() > source.bytes:
        _clear(part)
    for _ in range(TRIES):
        before = part.tell()
        if before == source.bytes:
            return
        try:
            _try(client, address, source, part)
        except (httpx.TransportError, _Cut) as err:
            if part.tell() <= before:
                raise NotFetched(
                    f"{address} cannot be fetched: {str(err) or type(err).__name__}. "
                    f"{part.tell()} of {source.bytes} bytes are kept; try again and it goes on from there"
                ) from err
        except (httpx.HTTPError, httpx.InvalidURL) as err:
            raise NotFetched(f"{address} cannot be fetched: {err}. Check the address") from err
    if part.tell() != source.bytes:
        raise NotFetched(f"{address} was cut off {TRIES} times; what has come is kept, try again")


def _try(client: httpx.Client, address: str, source: AddressSource, part: FileIO) -> None:
    """Ask once for what is missing, and append what comes."""
    have = part.tell()
    with client.stream("GET", address, headers={"Range": f"bytes={have}-"} if have else {}) as answer:
        if have and (answer.status_code == _BEYOND or (answer.status_code == _PARTIAL and not _begins_at(answer, have))):
            _clear(part)  # another range than was asked for: the next try asks for all
            return
        if not answer.is_success:
            raise NotFetched(f"{address} cannot be fetched: the server answered {answer.status_code} {answer.reason_phrase}")
        if answer.status_code != _PARTIAL:
            _clear(part)  # a server that knows no ranges begins anew
            stated = answer.headers.get("content-length", str(source.bytes))
            if stated != str(source.bytes):
                raise NotFetched(f"{address} is another file: {stated} bytes, the pack names {source.bytes}. {_REMEDY}")
        # Without a chunk size: with one, what has come of the last chunk before a cut would be lost.
        _append(part, answer.iter_raw(), source, address)
        if part.tell() < source.bytes:
            raise _Cut("the answer ended too early")


def _begins_at(answer: httpx.Response, have: int) -> bool:
    found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    return found is not None and int(found[1]) == have


def _append(part: FileIO, chunks: Iterator[bytes], source: AddressSource, origin: str) -> None:
    try:
        for chunk in chunks:
            if part.tell() + len(chunk) > source.bytes:
                _clear(part)
                raise NotFetched(f"{origin} is another file: longer than the {source.bytes} bytes the pack names. {_REMEDY}")
            rest = memoryview(chunk)
            while rest:
                rest = rest[part.write(rest) :]
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            _clear(part)  # a full disk is worse than a download from the start
            raise NotFetched(f"the disk was full before {source.file!r} was whole; nothing of it is kept. Make room") from err
        raise


def _finish(part: FileIO, path: Path, source: AddressSource, origin: str) -> None:
    """Give a whole part its name, or remove it."""
    own = Path(part.name)
    with own.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != source.sha256:
        own.unlink()
        raise NotFetched(f"{origin} is another file (sha256 {found[:12]}...) than the pack names; it was removed. {_REMEDY}")
    os.fsync(part.fileno())
    own.chmod(0o644)
    own.replace(path)
