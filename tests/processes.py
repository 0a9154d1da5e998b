"""What runs on this machine, read from /proc: a bare Debian has no ps."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def running() -> dict[int, str]:
    """Return the command line of every process by its id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it may end while we look
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found
