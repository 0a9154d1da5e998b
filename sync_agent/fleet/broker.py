"""Tells the broker that what it reads from files has changed: revocation lists, its certificate, access rules."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def tell(pid_file: Path | None) -> bool:
    """Have the broker read its files again (SIGHUP); return whether it was told.

    Args:
        pid_file: where the broker wrote its process id; None where it is told by others.
    """
    if pid_file is None:
        return False
    try:
        os.kill(int(pid_file.read_text()), signal.SIGHUP)
    except (OSError, ValueError) as err:
        log.error("broker.not-told", pid_file=pid_file.name, reason=str(err))
        return False
    log.info("broker.told")
    return True
