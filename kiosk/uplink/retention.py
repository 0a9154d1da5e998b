"""How long answered records stay: deleted after their time, sooner where room is short, never without their final answer."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from kiosk.clock import Clock
from kiosk.settings import OutboxSettings
from kiosk.uplink.faults import OutboxFault
from kiosk.uplink.outbox import Outbox

log = structlog.get_logger(__name__)

EVERY_S: Final = 3600.0
"""Between two clearings, seconds."""


async def retain(outbox: Outbox, settings: OutboxSettings, clock: Clock) -> None:
    """Clear the outbox at start and every hour, beside the loop, until cancelled."""
    while True:
        try:
            await asyncio.to_thread(outbox.prune, clock.now(), keep_days=settings.keep_days, min_free_mb=settings.min_free_mb)
        except OutboxFault as err:
            log.error("outbox.not-pruned", code=err.code, reason=str(err))
        await asyncio.sleep(EVERY_S)
