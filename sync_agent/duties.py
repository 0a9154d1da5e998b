"""Duties: what a running sync agent does at its start and again and again, beside its main work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

log = structlog.get_logger(__name__)

DAY_S: Final = 86_400.0
RETRY_S: Final = 60.0
"""A duty that failed is tried again after so long, seconds; sooner where it is due sooner."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to be done at the start and then every `every_s` seconds.

    Attributes:
        name: what to call it in the log.
        do: does it; what it raises is logged, and it is tried again.
    """

    name: str
    every_s: float
    do: Callable[[], object]


@contextmanager
def on_duty(duties: Iterable[Duty]) -> Iterator[None]:
    """Do each duty at once and then at its times, one after the other in a thread of their own, for the block."""
    stopping = threading.Event()
    thread = threading.Thread(target=_run, args=(tuple(duties), stopping), name="duties", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(timeout=10)


def _run(duties: tuple[Duty, ...], stopping: threading.Event) -> None:
    due = dict.fromkeys(duties, time.monotonic())
    while due and not stopping.is_set():
        duty, at = min(due.items(), key=lambda entry: entry[1])
        if stopping.wait(max(0.0, at - time.monotonic())):
            return
        due[duty] = time.monotonic() + (duty.every_s if _done(duty) else min(duty.every_s, RETRY_S))


def _done(duty: Duty) -> bool:
    """Do a duty; return whether it went well. The edge of the thread: a duty that fails ends neither it nor the others."""
    try:
        duty.do()
    except Exception:
        log.exception("duty.failed", duty=duty.name)
        return False
    log.debug("duty.done", duty=duty.name)
    return True
