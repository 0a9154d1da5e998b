"""Power cuts without pulling a plug: a program's writes are recorded, and its folder is built again as a cut would have left it.

The model is a strict reading of POSIX. What was synced is there. Of what was written since, any part may be there, in any order,
and the last sector torn. A name is made or taken away for certain only when its folder was synced; until then the first few of
those changes may have happened, in their order, as a journalling file system keeps it. After an idea in ALICE (Pillai et al.,
"All File Systems Are Not Created Equal", OSDI 2014).
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SECTOR: Final = 512
_CALLS: Final = "openat,write,pwrite64,pwritev,fdatasync,fsync,ftruncate,fallocate,unlink,unlinkat,rename,renameat,renameat2,link"


class NotRecorded(Exception):
    """The record holds something that the model does not know; a test that went on would prove nothing."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes into a file."""

    name: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file cut off or lengthened."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Made:
    """A file opened that may have been made by it."""

    name: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A name taken away."""

    name: str


@dataclass(frozen=True, slots=True)
class Synced:
    """A file on the disk for certain; the folder where the name is empty."""

    name: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the program said on standard output: what it promised from then on."""

    text: str


Step = Write | Resize | Made | Removed | Synced | Said

_LINE: Final = re.compile(r"^(?:\d+ +)?(?P<call>\w+)\((?P<args>.*)\) += (?P<result>-?\d+|\?)")
_OPEN_FILE: Final = re.compile(r"^(?P<number>\d+)<(?P<path>(?:\\x..)*)>")
_TEXT: Final = re.compile(r'"((?:\\x..)*)"')


def record(command: Sequence[str | Path], folder: Path, trace: Path) -> list[Step]:
    """Run a program and return, in order, what it did to the files of a folder and what it said.

    Args:
        command: program and arguments; it may have threads, but not two that write into the folder at once.
        folder: flat; what happens to files elsewhere is left out.
        trace: file for strace's record.

    Raises:
        NotRecorded: a call was made that the model does not know.
        CalledProcessError: the program failed.
    """
    strace: list[str | Path] = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        "10000000",
        "-o",
        trace,
        "-e",
        f"trace={_CALLS}",
        "-e",
        "signal=none",
    ]
    # What measures coverage keeps a database of its own, with our folder's name in it.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    subprocess.run([*strace, *command], check=True, stdout=subprocess.DEVNULL, env=plain)
    with trace.open(encoding="ascii") as lines:
        return [step for line in lines if (step := _step(line, str(folder.absolute()))) is not None]


def _step(line: str, folder: str) -> Step | None:
    """Return what one line of the record says, None where it does not concern us."""
    spelt = "".join(f"\\x{byte:02x}" for byte in folder.encode())
    is_ours = spelt in line
    found = _LINE.match(line)
    if found is None:
        if is_ours:
            raise NotRecorded(f"two threads at once: {line[:60]!r}")
        return None
    call, args, result = found["call"], found["args"], found["result"]
    if result.startswith("-"):
        return None
    if call == "write" and args.startswith("1<"):
        return Said(_bytes(_TEXT.findall(args)[-1]).decode())
    if not is_ours:
        return None
    texts = [_bytes(text) for text in _TEXT.findall(args)]
    if call == "openat":
        return Made(_name(texts[0].decode(), folder)) if "O_CREAT" in args else None
    if call in ("unlink", "unlinkat"):
        return Removed(_name(texts[0].decode(), folder))
    opened = _OPEN_FILE.match(args)
    if opened is None:
        raise NotRecorded(f"{call} is not known to the model")
    if args[opened.end() :].startswith("(deleted)"):
        raise NotRecorded(f"{call} to a file whose name is gone")
    name = _name(_bytes(opened["path"]).decode(), folder)
    match call:
        case "pwrite64":
            offset = int(args.rsplit(",", 1)[1])
            return Write(name, offset, texts[-1][: int(result)])
        case "ftruncate":
            return Resize(name, int(args.rsplit(",", 1)[1]))
        case "fdatasync" | "fsync":
            return Synced(name)
    raise NotRecorded(f"{call} is not known to the model")


def _bytes(spelt: str) -> bytes:
    return bytes.fromhex(spelt.replace("\\x", ""))


def _name(path: str, folder: str) -> str:
    """Return a file's name in the folder; empty for the folder itself."""
    return path.removeprefix(folder).strip("/")


@dataclass(slots=True)
class _File:
    """What is on the disk for certain, and what was done since."""

    certain: bytes = b""
    since: list[Write | Resize] = field(default_factory=list)


class Disk:
    """A folder on a disk: takes the steps of a program, and says what a power cut would leave of them."""

    def __init__(self, *, without: str = "-shm") -> None:
        """Begin with an empty folder.

        Args:
            without: ending of names that are left out: SQLite writes its index of the log by memory map, which no call shows, and
                makes it anew after a cut.
        """
        self._without = without
        self._names: dict[str, _File] = {}  # as the running program sees them
        self._certain: dict[str, _File] = {}
        self._since: list[tuple[str, _File | None]] = []  # names made (of a file) and taken away (of None) since the last sync
        self.said: list[str] = []

    def take(self, step: Step) -> None:
        """Take the program's next step."""
        if isinstance(step, Said):
            self.said += step.text.splitlines()
            return
        if step.name.endswith(self._without):
            return
        match step:
            case Made(name):
                if name not in self._names:
                    self._names[name] = _File()
                    self._since.append((name, self._names[name]))
            case Removed(name):
                del self._names[name]
                self._since.append((name, None))
            case Write(name) | Resize(name):
                self._names[name].since.append(step)
            case Synced(""):
                self._certain = dict(self._names)
                self._since.clear()
            case Synced(name):
                file = self._names[name]
                file.certain = _done(file.certain, file.since)
                file.since.clear()

    @property
    def is_certain(self) -> bool:
        """Whether a cut now could leave only one state."""
        return not self._since and not any(file.since for file in self._names.values())

    def after_cut(self, luck: random.Random) -> dict[str, bytes]:
        """Return name and content of every file as a power cut now might leave them."""
        names = dict(self._certain)
        for name, made in self._since[: luck.randint(0, len(self._since))]:
            if made is None:
                names.pop(name, None)
            else:
                names[name] = made
        return {name: _done(file.certain, list(_survivors(file.since, luck))) for name, file in names.items()}


def _survivors(steps: list[Write | Resize], luck: random.Random) -> Iterator[Write | Resize]:
    """Yield what reaches the disk of what was not synced: by calls or by sectors, much or little, the last perhaps torn."""
    keep, by_sector = luck.choice((0.0, 0.5, 0.9, 1.0)), luck.random() < 0.5
    kept = []
    for step in steps:
        parts = _sectors(step) if by_sector and isinstance(step, Write) else iter((step,))
        kept += [part for part in parts if luck.random() < keep]
    last = kept[-1] if kept else None
    if isinstance(last, Write) and luck.random() < 0.5:
        kept[-1] = Write(last.name, last.offset, last.data[: luck.randint(0, len(last.data))])
    yield from kept


def _sectors(step: Write) -> Iterator[Write]:
    """Yield the pieces of a write that lie in one sector each."""
    at = 0
    while at < len(step.data):
        size = SECTOR - (step.offset + at) % SECTOR
        yield Write(step.name, step.offset + at, step.data[at : at + size])
        at += size


def _done(content: bytes, steps: Sequence[Write | Resize]) -> bytes:
    """Return a file's content after some steps."""
    after = bytearray(content)
    for step in steps:
        size = step.size if isinstance(step, Resize) else step.offset + len(step.data)
        if isinstance(step, Resize):
            del after[size:]
        after.extend(bytes(max(0, size - len(after))))
        if isinstance(step, Write):
            after[step.offset : size] = step.data
    return bytes(after)


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut after so many steps.

    Attributes:
        step: how many steps were taken.
        files: what it left.
        said: everything the program had said before.
    """

    step: int
    files: dict[str, bytes]
    said: list[str]

    def rebuild(self, folder: Path) -> None:
        """Write what was left into a folder, in place of what is there."""
        for path in folder.iterdir():
            path.unlink()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


def cuts(steps: Sequence[Step], luck: random.Random, *, at: Sequence[int] | None = None, tries: int = 1) -> Iterator[Cut]:
    """Yield what cuts might leave.

    Args:
        steps: of the program.
        luck: where the chances come from.
        at: after how many steps to cut; absent is after every one, before the first too.
        tries: so many for each of those with more than one way to end.
    """
    disk, wanted = Disk(), set(range(len(steps) + 1) if at is None else at)
    for number in range(len(steps) + 1):
        if number:
            disk.take(steps[number - 1])
        if number in wanted:
            for _ in range(1 if disk.is_certain else tries):
                yield Cut(number, disk.after_cut(luck), copy(disk.said))
