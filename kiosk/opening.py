"""Opens what has to be there before anybody is served, identity and outbox; what cannot be opened is said until it can be."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable
from typing import Final

import structlog

from kiosk.screens.pages import OutOfService, Page, Text
from kiosk.settings import Settings
from kiosk.uplink.faults import OutboxDamaged, OutboxFault, OutboxNewer, OutboxOutOfReach, OutboxReadOnly
from kiosk.uplink.identity import NotEnrolled
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.wallet import Wallet

log = structlog.get_logger(__name__)

AGAIN_S: Final = 5.0
"""Between two tries, seconds: a disk may be mounted, a device enrolled, a card changed meanwhile."""

_OWN_WORDS: Final = {kind.code: kind.message for kind in (OutboxReadOnly, OutboxDamaged, OutboxOutOfReach, OutboxNewer)}


class Opening:
    """Opens identity and outbox, again and again if need be.

    Attributes:
        opened: both, once `run` has returned; whoever has them closes the outbox.
    """

    def __init__(
        self, settings: Settings, show: Callable[[Page], None] = lambda _page: None, *, again_s: float = AGAIN_S
    ) -> None:
        """Prepare.

        Args:
            settings: where they are.
            show: fills the screen with a page; without one the log alone tells.
            again_s: between two tries, seconds.
        """
        self._settings = settings
        self._show = show
        self._again_s = again_s
        self.opened: tuple[Wallet, Outbox] | None = None

    async def run(self) -> None:
        """Try until both are open, or until cancelled."""
        device, told = platform.node(), ""
        while True:
            try:
                who = Wallet(self._settings.identity_dir)
                device = who.device
                self.opened = who, Outbox(self._settings.outbox_path)
                return
            except (NotEnrolled, OutboxFault) as fault:
                if fault.code != told:
                    told = fault.code
                    log.critical("start.not-possible", code=fault.code, reason=str(fault))
                reason = Text("out.uplink") if isinstance(fault, NotEnrolled) else of_storage(fault.code)
                self._show(OutOfService(reason=reason, code=fault.code, device=device))
            await asyncio.sleep(self._again_s)


def of_storage(code: str) -> Text:
    """Say why nothing can be recorded, and what staff do: full where the code says nothing else."""
    message = _OWN_WORDS.get(code)
    return Text(f"out.storage-{message.removeprefix('outbox.')}" if message else "out.storage")
