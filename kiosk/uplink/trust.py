"""Takes trust lists: whom this device believes from now on, said by somebody it believes already."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import structlog

from kiosk.uplink.wallet import Wallet
from sync_agent.contract import trust

log = structlog.get_logger(__name__)


class Taken(StrEnum):
    """What became of a list."""

    NEW = "new"
    KNOWN = "known"
    FORGED = "forged"


class TrustBox:
    """Where trust lists arrive."""

    def __init__(self, wallet: Wallet, on_wish: Callable[[], None]) -> None:
        """Make the box.

        Args:
            wallet: where a new list is put in force.
            on_wish: told when a list asks for a new certificate or a new record key.
        """
        self._wallet = wallet
        self._on_wish = on_wish
        self.replace_key = ""

    def take(self, message: bytes) -> Taken:
        """Take a list as it came; one that is not higher than that in force, or not signed by a believed key, changes nothing."""
        known = self._wallet.current
        try:
            said = trust.read(message, known.agent_keys, known.device)
        except trust.Forged as err:
            log.error("trust.forged", reason=str(err))
            return Taken.FORGED
        if said.number < known.trust:
            log.info("trust.old", number=said.number, in_force=known.trust)
            return Taken.KNOWN
        is_new = said.number > known.trust
        if is_new:
            self._wallet.believe(said)
            log.info("trust.taken", number=said.number, agent_keys=len(said.agent_keys))
        self.replace_key = said.replace_key
        if is_new or said.replace_key:
            self._on_wish()
        return Taken.NEW if is_new else Taken.KNOWN
