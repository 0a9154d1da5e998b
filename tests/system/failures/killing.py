"""SIGKILL at a chosen moment: strace ends a program at its n-th call of a kind, with no debugger and no hook in the product."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def killed_at(call: str, when: int, files: Iterable[Path] = ()) -> list[str | Path]:
    """Return what to put before a command so that it ends as by a power switch at one of its system calls.

    Args:
        call: name of the system call.
        when: the how manieth of any one thread; the call itself does not happen any more.
        files: count only calls on these.
    """
    only = [word for file in files for word in ("-P", file)]
    return [
        "strace",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        *only,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=KILL:when={when}",
    ]
