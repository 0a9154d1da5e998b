"""Starts the processes of a kiosk from one command: `kiosk run` without network and `kiosk uplink` with it.

An appliance lets systemd do this, with its own confinement; here `run` gets an empty network namespace where the system allows
it, so that what sees faces and cards cannot reach any address.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)

STOP_S: Final = 10.0
"""How long a process may take to end before it is killed, seconds."""

PAUSE_S = 1.0
"""Between the end of a process and its next start, seconds."""

RESTARTS: Final = 5
WINDOW_S: Final = 600.0
"""So many restarts of one process within this time are a permanent fault."""


class GaveUp(Exception):
    """A process ended too often."""


async def start_all(settings: Path) -> int:
    """Run both processes until told to stop; start again one that ends. Return the exit status."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    confined = await _confinement()
    log.info("start.confinement", run_without_network=bool(confined))
    tasks = [
        asyncio.ensure_future(_keep("run", [*confined, *_command("run", settings)])),
        asyncio.ensure_future(_keep("uplink", _command("uplink", settings))),
    ]
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    gave_up = any(task.done() for task in tasks)
    for task in (*tasks, stopping):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return 1 if gave_up else 0


def _command(part: str, settings: Path) -> list[str]:
    return [sys.executable, "-m", "kiosk", part, "--settings", str(settings)]


async def _confinement() -> list[str]:
    """Return the words that start a program in an empty network namespace, or none where that is not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    for words in ([unshare, "--net"], [unshare, "--map-current-user", "--net"]):
        trial = await asyncio.create_subprocess_exec(*words, "true", stderr=asyncio.subprocess.DEVNULL)
        if await trial.wait() == 0:
            return words
    return []


async def _keep(name: str, command: list[str]) -> None:
    """Keep one process running.

    Raises:
        GaveUp: it ended too often within the window.
    """
    starts: deque[float] = deque(maxlen=RESTARTS)
    while True:
        if len(starts) == RESTARTS and time.monotonic() - starts[0] < WINDOW_S:
            log.critical("start.gave-up", part=name, restarts=RESTARTS)
            raise GaveUp(name)
        starts.append(time.monotonic())
        process = await asyncio.create_subprocess_exec(*command)
        try:
            status = await process.wait()
            log.error("start.part-ended", part=name, status=status)
            await asyncio.sleep(PAUSE_S)
        finally:
            if process.returncode is None:
                await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
